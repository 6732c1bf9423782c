"""Resize an image of any kind, and keep its kind and what it carries besides pixels."""

from typing import Any

import torch
from torch import Tensor

from clesmote_losses.smote.decoding import decode, pil_mode
from clesmote_losses.smote.image_metadata import attach_metadata, read_metadata

WIDE = (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)  # float32 would lose digits of these


def resize(image: Any, size: tuple[int, int]) -> Any:
    """Resize an image to ``size`` (height, width), bilinear with antialiasing; the result is of the same kind.

    Arrays and tensors are ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``: the channels are the axis of 1, 3 or 4 entries (of two
    such axes of a tensor the first), else the shortest. Images and videos of torchvision have theirs before height and width.

    Raises:
        TypeError: If it is no image.
        ValueError: If its shape does not tell which axis holds the channels, or it has a spacing, which would change.
    """
    from torchvision.transforms.v2 import functional

    if pil_mode(image) is not None:
        if image.size == size[::-1]:
            return image
        return attach_metadata(functional.resize(image, list(size)), read_metadata(image))
    decoded = decode(image)
    values = decoded.values
    axis = channel_axis(image)
    planes = values[None] if axis is None else values.movedim(axis, -3)
    if planes.shape[-2:] == size:
        return image
    if "_meta" in decoded.metadata:
        raise ValueError(
            "a MetaTensor has another spacing after image_size=: resize the images in the base data set, by MONAI's Resize."
        )
    planes = functional.resize(planes.to(torch.float64 if values.dtype in WIDE else torch.float32), list(size))
    planes = planes if values.dtype.is_floating_point else planes.round_()
    planes = planes[0] if axis is None else planes.movedim(-3, axis)
    return decoded.restore(planes.contiguous().to(values.dtype), decoded.metadata)


def channel_axis(image: Any) -> int | None:
    """Return the axis of the channels; ``None`` for an image of height and width only."""
    if _is_of_torchvision(image):
        return None if image.ndim == 2 else -3
    if image.ndim == 2:
        return None
    if image.ndim == 3:
        first, last = image.shape[0], image.shape[-1]
        is_usual = [n in (1, 3, 4) for n in (first, last)]
        if all(is_usual) and isinstance(image, Tensor):
            return 0
        if not any(is_usual):
            is_usual = [first < min(image.shape[1:]), last < min(image.shape[:-1])]
        if sum(is_usual) == 1:
            return 0 if is_usual[0] else -1
    raise ValueError(
        f"image_size= cannot tell height, width and channels of an image of shape {tuple(image.shape)}. Let the base data set return "
        "images of shape (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels, or resize them there."
    )


def _is_of_torchvision(image: Any) -> bool:
    if type(image) is Tensor or not isinstance(image, Tensor):
        return False
    from torchvision import tv_tensors

    return isinstance(image, tv_tensors.TVTensor)
