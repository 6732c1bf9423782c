"""Handwritten digits of 8x8 pixels that come with scikit-learn: real images that need no download."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from benchmarks.data.image_files import resize_image
from benchmarks.data.source import Source, TestImages

_SPLIT_SEED = 0


def load_digit_images(classes: Sequence[str], *, image_size: int = 32) -> Source:
    """Return the digits, enlarged; half of them are for testing.

    Args:
        classes: Digits that take part, "0" to "9".
        image_size: Height and width in pixels.

    Raises:
        ValueError: If a class is no digit.
    """
    images, digits = load_digits(return_X_y=True)
    known = [str(digit) for digit in range(10)]
    if unknown := [name for name in classes if name not in known]:
        raise ValueError(f"no class {unknown[0]!r} among the training images; there are {', '.join(known)}.")
    parts = []
    split = train_test_split(images, digits, test_size=0.5, random_state=_SPLIT_SEED, stratify=digits)
    for rows, labels in (split[0::2], split[1::2]):
        places = [np.flatnonzero(labels == int(name)) for name in classes]
        # the values are 0 ... 16
        pictures = [
            Image.fromarray(np.uint8(np.rint(row * 255 / 16)).reshape(8, 8)) for row in rows[np.concatenate(places)]
        ]
        stratum = np.repeat(np.arange(len(classes)), [len(found) for found in places])
        parts.append((np.stack([resize_image(picture, image_size) for picture in pictures]), stratum))
    (train, stratum), (test, tested) = parts
    members = tested[:, None] == np.arange(len(classes))
    return Source("digits of scikit-learn", tuple(classes), train, stratum, {"test": TestImages(test, members)})
