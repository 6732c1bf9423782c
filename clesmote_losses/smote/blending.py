"""Blend and resize images of any kind (PIL, array, tensor), and give back images of the same kind."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from clesmote_losses.errors import Argument, ArgumentError

_WIDE = (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)  # float32 would lose digits of these
# not HSV, whose hue is an angle, and not LAB, whose bytes are signed
_BLENDABLE_MODES = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16")


class DecodedImage(NamedTuple):
    """The values of an image, and how to make an image of its kind from other values.

    Attributes:
        values: Of the image, on the CPU.
        form: Kind, mode or dtype, and size: equal for images that can be blended.
        restore: Makes an image of this kind from values of the same shape and dtype. It holds no pixels.
    """

    values: Tensor
    form: tuple[Any, ...]
    restore: Callable[[Tensor], Any]


def blend(base: Any, neighbor: Any, lam: float) -> Any:
    """Compute the image ``(1 - lam) * base + lam * neighbor``, of the kind, shape and dtype of ``base``.

    Computed in float and rounded for integer images, so each value lies between those of its parents. (imbalanced-learn
    subtracts in the dtype of its input, where uint8 wraps around.)

    Args:
        base, neighbor: Two PIL images, arrays or tensors of one kind, shape and dtype (or mode).
        lam: Weight of the neighbour, in ``[0, 1]``.

    Raises:
        TypeError: If an argument is no image, or values of its kind cannot be averaged (bool, palette, complex).
        ValueError: If the two differ in kind, shape or dtype.

    Example:
        >>> blend(np.uint8([[200, 0]]), np.uint8([[100, 255]]), 0.25)
        array([[175,  64]], dtype=uint8)
    """
    pair = decode(base), decode(neighbor)
    check_alike(*pair)
    return blend_alike([pair], [lam])[0]


def blend_alike(pairs: Sequence[tuple[DecodedImage, DecodedImage]], lams: Sequence[float]) -> list[Any]:
    """Blend pairs of images of one form at once, which saves time where images are small.

    The results share no memory with the parents.
    """
    bases, neighbors = ([image.values for image in images] for images in zip(*pairs, strict=True))
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
    return [base.restore(values) for values, (base, _) in zip(mixed, pairs, strict=True)]


def check_alike(image: DecodedImage, other: DecodedImage) -> None:
    """Raise ``ArgumentError`` if two images differ in kind, shape or dtype (or mode)."""
    if image.form != other.form:
        raise ArgumentError(
            "image_size",
            f"two images to be blended differ: {_describe_form(image.form)} and {_describe_form(other.form)}. Where sizes differ, pass ",
            Argument("image_size", "(height, width)"),
            "; where modes or dtypes differ, let the base data set convert them.",
        )


def _describe_form(form: tuple[Any, ...]) -> str:
    kind, values, size = form
    name = kind if isinstance(kind, str) else kind.__name__
    return f"{name} {values!r} {'x'.join(map(str, size))}"


def decode(image: Any) -> DecodedImage:
    """Read the values of an image.

    Raises:
        TypeError: If it is no image, or values of its kind cannot be averaged.
    """
    values = to_tensor(image)
    if isinstance(image, np.ndarray):
        return DecodedImage(values, (type(image), image.dtype, image.shape), Tensor.numpy)
    if (mode := _pil_mode(image)) is not None:
        return DecodedImage(values, ("PIL", mode, (image.height, image.width)), partial(_to_pil, mode, image.size))
    restore = partial(_to_kind_of, type(image), image.device)
    return DecodedImage(values, (type(image), image.dtype, image.shape), restore)


def _to_pil(mode: str, size: tuple[int, int], values: Tensor) -> Any:
    from PIL import Image

    return Image.frombytes(mode, size, values.numpy().tobytes())


def _to_kind_of(kind: type[Tensor], device: torch.device, values: Tensor) -> Tensor:
    if kind is not Tensor:
        from torchvision import tv_tensors

        return values.as_subclass(kind) if issubclass(kind, tv_tensors.TVTensor) else values
    return values.to(device)


def resize(image: Any, size: tuple[int, int]) -> Any:
    """Resize an image to ``size`` (height, width), bilinear with antialiasing; the result is of the same kind.

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
    """Return the values of an image as a CPU tensor, without a copy where that is possible.

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
            f"images must be PIL images, arrays or tensors; got {type(image).__name__}. SMOTEDataset takes a data set of (image, label)."
        )
    if tensor.dtype == torch.bool or tensor.is_complex():
        raise TypeError(f"images must have integer or float values; got a tensor of {tensor.dtype}.")
    return tensor


def _pil_mode(image: Any) -> str | None:
    from PIL import Image  # not at the top: users of the loss alone need no Pillow

    return image.mode if isinstance(image, Image.Image) else None
