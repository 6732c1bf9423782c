"""CIFAR-10 (Krizhevsky 2009), from torchvision's own folder or from image files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.data.image_files import resize_image
from benchmarks.data.image_folder import load_image_folder
from benchmarks.data.source import Source, TestImages

_BATCHES = "cifar-10-batches-py"  # what torchvision's CIFAR10(download=True) unpacks


def load_cifar10(folder: Path, classes: Sequence[str], *, image_size: int = 32) -> Source:
    """Read some classes of CIFAR-10.

    Args:
        folder: The ``root`` of torchvision's ``CIFAR10``, or a folder with ``train/CLASS/*`` and ``test/CLASS/*``.
        classes: Classes that take part, by their names (``airplane``, ...).
        image_size: Height and width in pixels.

    Raises:
        ValueError: If neither is there, or as :func:`load_image_folder`.
    """
    if (folder / "train").is_dir():
        return load_image_folder(folder, classes, image_size=image_size)
    if not (folder / _BATCHES).is_dir():
        raise ValueError(
            f"{folder} holds neither {_BATCHES}/ (torchvision.datasets.CIFAR10(root, download=True) puts it there) nor train/ and "
            "test/ with a folder of images for each class."
        )
    from PIL import Image
    from torchvision.datasets import CIFAR10

    parts = []
    for is_training in (True, False):
        try:
            data = CIFAR10(str(folder), train=is_training)
        except (RuntimeError, OSError) as error:
            raise ValueError(f"{folder / _BATCHES} cannot be read as CIFAR-10: {error}") from error
        if unknown := [name for name in classes if name not in data.class_to_idx]:
            raise ValueError(f"CIFAR-10 has no class {unknown[0]!r}; it has {', '.join(data.classes)}.")
        targets = np.array(data.targets)
        chosen = [np.flatnonzero(targets == data.class_to_idx[name]) for name in classes]
        images = data.data[np.concatenate(chosen)]
        if image_size != images.shape[1]:
            images = np.stack([resize_image(Image.fromarray(image), image_size) for image in images])
        parts.append((images, np.repeat(np.arange(len(classes)), [len(places) for places in chosen])))
    (images, stratum), (test_images, test_stratum) = parts
    members = test_stratum[:, None] == np.arange(len(classes))
    return Source("CIFAR-10", tuple(classes), images, stratum, {"test": TestImages(test_images, members)})
