"""Raw images of any kind (PIL, array, tensor): blended, resized, and laid out as a row of numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

_WIDE = (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)  # float32 would lose digits of these
# not HSV, whose hue is an angle, and not LAB, whose bytes are signed
_BLENDABLE_MODES = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16")


def blend(base: Any, neighbor: Any, lam: float) -> Any:
    """The image ``(1 - lam) * base + lam * neighbor``, of the kind, shape and dtype of ``base``.

    Computed in float and rounded for integer images, so each value lies between those of its parents. (imbalanced-learn
    subtracts in the dtype of its input, where uint8 wraps around.)

    Args:
        base, neighbor: Two PIL images, arrays or tensors of one kind, shape and dtype (or mode).
        lam: Weight of the neighbour, in ``[0, 1]``.

    Raises:
        TypeError: If it is no image, or values of its kind cannot be averaged (bool, palette, complex).
        ValueError: If the two differ in kind, shape or dtype.

    Example:
        >>> blend(np.uint8([[200, 0]]), np.uint8([[100, 255]]), 0.25)
        array([[175,  64]], dtype=uint8)
    """
    check_alike(base, neighbor)
    return blend_alike([(base, neighbor)], [lam])[0]


def blend_alike(pairs: Sequence[tuple[Any, Any]], lams: Sequence[float]) -> list[Any]:
    """:func:`blend` of pairs of images that are all alike, at once: that saves time where images are small."""
    bases, neighbors = ([to_tensor(image) for image in images] for images in zip(*pairs, strict=True))
    kind = bases[0].dtype
    dtype = torch.float64 if kind in _WIDE else torch.float32
    if len(pairs) == 1:  # stack would copy a large image once more
        mixed = bases[0][None].to(dtype, copy=True).lerp_(neighbors[0][None].to(dtype), lams[0])
    else:
        mixed, others = (torch.stack(images).to(dtype) for images in (bases, neighbors))
        mixed.lerp_(others, torch.tensor(lams, dtype=dtype).reshape(-1, *[1] * (mixed.ndim - 1)))
    if not kind.is_floating_point:
        # numpy, since torch has no fast way from float32 to bytes
        mixed = torch.from_numpy(mixed.round_().numpy().astype(str(kind).removeprefix("torch.")))
    mixed = mixed.to(kind)
    return [_restore(values, base) for values, (base, _) in zip(mixed, pairs, strict=True)]


def check_alike(image: Any, other: Any) -> None:
    """Raise ``ValueError`` if two images differ in kind, shape or dtype (or mode)."""
    if form_of(image) != form_of(other):
        raise ValueError(
            f"two images to be blended differ: {_told(image)} and {_told(other)}. Where sizes differ, pass "
            "image_size=(height, width); where modes or dtypes do, let the base data set convert them."
        )


def form_of(image: Any) -> tuple[Any, ...]:
    """Kind, mode or dtype, and size: equal for images that are alike."""
    if isinstance(image, np.ndarray | Tensor):
        return type(image), image.dtype, image.shape
    if (mode := _pil_mode(image)) is not None:
        return "PIL", mode, (image.height, image.width)
    return (type(image),)


def _told(image: Any) -> tuple[str, ...]:
    kind, *values = form_of(image)
    kind = kind if isinstance(kind, str) else kind.__name__
    return kind, *(str(value) if not isinstance(value, tuple) else "x".join(map(str, value)) for value in values)


def resize(image: Any, size: tuple[int, int]) -> Any:
    """The image at ``size`` (height, width), bilinear with antialiasing, of the kind it was.

    Arrays are ``(H, W[, C])``, tensors ``([C,] H, W)``.
    """
    from torchvision.transforms.v2 import functional

    if isinstance(image, np.ndarray):
        planes = to_tensor(image)
        planes = planes[None] if planes.ndim == 2 else planes.movedim(2, 0)
        planes = functional.resize(planes.to(torch.float32), list(size)).movedim(0, 2)
        planes = planes if np.issubdtype(image.dtype, np.floating) else planes.round_()
        return planes.numpy().astype(image.dtype).reshape(*size, *image.shape[2:])
    if isinstance(image, Tensor) and image.ndim == 2:
        return functional.resize(image[None], list(size))[0]
    return functional.resize(image, list(size))


def to_tensor(image: Any) -> Tensor:
    """The values of an image as a CPU tensor, without a copy where that is possible.

    Raises:
        TypeError: If it is no image, or values of its kind cannot be averaged.
    """
    if isinstance(image, Tensor):
        tensor = image.detach().as_subclass(Tensor).cpu()
    elif isinstance(image, np.ndarray):
        if image.dtype.kind not in "iuf":
            raise TypeError(f"images must have integer or float values; got an array of {image.dtype}.")
        if not (image.flags.carray and image.dtype.isnative):  # torch takes no other
            image = np.require(image, image.dtype.newbyteorder("="), ["C", "W"])
        tensor = torch.from_numpy(image)
    elif (mode := _pil_mode(image)) is not None:
        if mode not in _BLENDABLE_MODES:
            raise TypeError(
                f"a PIL image of mode {mode!r} holds no values that can be averaged: let the base data set return "
                'image.convert("RGB").'
            )
        tensor = torch.from_numpy(np.array(image))
    else:
        raise TypeError(
            f"images must be PIL images, arrays or tensors; got {type(image).__name__}. SMOTEDataset wants a data set of (image, label)."
        )
    if tensor.dtype == torch.bool or tensor.is_complex():
        raise TypeError(f"images must have integer or float values; got a tensor of {tensor.dtype}.")
    return tensor


def _pil_mode(image: Any) -> str | None:
    from PIL import Image  # not at the top: users of the loss alone need no Pillow

    return image.mode if isinstance(image, Image.Image) else None


def _restore(values: Tensor, like: Any) -> Any:
    if isinstance(like, np.ndarray):
        return values.numpy()
    if (mode := _pil_mode(like)) is not None:
        from PIL import Image

        return Image.frombytes(mode, like.size, values.numpy().tobytes())
    if type(like) is not Tensor:
        from torchvision import tv_tensors

        return tv_tensors.wrap(values, like=like) if isinstance(like, tv_tensors.TVTensor) else values
    return values.to(like.device)
