"""Find images of 16 bits that a host reads as 8 bits: timm and torchvision convert to RGB, where all above 255 is white."""

from typing import Any

import numpy as np

from clesmote_losses.smote.base_dataset import image_path

_LOOKED_AT = 32  # of the images, evenly; a set of scans is rarely mixed


def clipped_image(base: Any) -> str | None:
    """Return the name of an image whose file has values above 255 but which is read as 8 bits; check up to 32 images.

    Args:
        base: Data set of ``(image, label)`` without its image transform. One that knows no files is not looked at.
    """
    from PIL import Image

    for index in np.unique(np.linspace(0, len(base) - 1, _LOOKED_AT).round().astype(int)).tolist():
        reader = getattr(base, "reader", None)  # of timm; its files may lie in an archive
        file = image_path(base, index) if reader is None else reader[index][0]
        if file is None:
            return None
        try:
            with Image.open(file) as image:
                is_deep = image.mode.startswith(("I", "F"))
                highest = np.asarray(image).max() if is_deep else 0  # getextrema() knows no big-endian mode
        except OSError:  # the training set names what it cannot read
            continue
        if highest > 255 and getattr(base[index][0], "mode", "I")[0] not in "IF":
            return f"image {index} ({image_path(base, index) or getattr(file, 'name', 'in an archive')})"
    return None
