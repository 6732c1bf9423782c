"""Notice images of 16 bits that a data set reads as 8 bits: PIL's ``convert`` makes all above 255 white."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from clesmote_losses.distributed import get_rank
from clesmote_losses.errors import warn_user
from clesmote_losses.restore import preserved_rng
from clesmote_losses.smote.base_dataset import image_path
from clesmote_losses.smote.real_images import RealImages

_LOOKED_AT = 32  # of the images, evenly; a set of scans is rarely mixed


def warn_of_clipped_images(images: RealImages, parents: Sequence[int]) -> None:
    """Warn, on rank 0, if :func:`clipped_image` finds an image, or :func:`are_white` is true of the parents."""
    if get_rank() != 0:
        return
    base = images.base
    if (name := clipped_image(base)) is not None:
        warn_user(
            f"{name} has values above 255 in its file and 8 bits in the training set, so that they are all white, with and without "
            "SMOTE. Scale the files to 8 bits, or let the data set keep their mode (torchvision: ImageFolder(..., loader=Image.open) of "
            "PIL; timm: --input-img-mode)."
        )
    elif image_path(base, 0) is None and are_white(images, parents[:: max(1, len(parents) // 8)]):
        warn_user(
            f"most images of {type(base).__name__} are more than half white (255) and hold hardly another value above 0. Are they files of "
            'more than 8 bits, of which .convert("L") makes all above 255 white? Then scale them to 8 bits, or keep their mode.'
        )


def clipped_image(base: Any) -> str | None:
    """Return the name of an image whose file has values above 255, all of which are 255 when it is read; check up to 32.

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
                if not image.mode.startswith(("I", "F")):
                    continue
                is_high = np.asarray(image) > 255
            if not is_high.any():
                continue
            with preserved_rng():  # a class that is not blended may be augmented here
                values = np.asarray(base[index][0]).squeeze()  # one channel, first or last, or several that are last
        except Exception:  # the data set names what it cannot read, when it is asked for
            continue
        if values.shape[: is_high.ndim] == is_high.shape and (values[is_high] == 255).all():
            return f"image {index} ({image_path(base, index) or getattr(file, 'name', 'in an archive')})"
    return None


def are_white(images: RealImages, indices: Sequence[int]) -> bool:
    """Tell whether most of some images have 8 bits, over half of their values at 255, and under a tenth between 0 and 255."""
    found = 0
    for index in indices:
        values = images.values(index)
        white, black = ((values == value).double().mean() for value in (255, 0))
        found += values.dtype == torch.uint8 and bool(white > 0.5 and white + black > 0.9)
    return found > len(indices) / 2
