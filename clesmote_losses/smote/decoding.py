"""The values of an image of any kind (PIL, array, tensor), and how to make an image of this kind from other values."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from clesmote_losses.smote.image_metadata import Metadata, attach_metadata, read_metadata

# Modes of Pillow whose bytes have no mean (HSV has an angle, LAB has signed bytes), and those to convert them to.
_REMEDIES = {"1": "L", "P": "RGB", "PA": "RGBA", "HSV": "RGB", "LAB": "RGB"}


class DecodedImage(NamedTuple):
    """The values of an image, and how to make an image of its kind from other values.

    Attributes:
        values: Of the image, on the CPU.
        form: Kind, mode or dtype, and size: equal for images that can be blended.
        restore: Makes an image of this kind from values of this dtype, and metadata. It holds no pixels.
        metadata: What the image carries besides pixels.
    """

    values: Tensor
    form: tuple[Any, ...]
    restore: Callable[[Tensor, Metadata], Any]
    metadata: Metadata


def decode(image: Any) -> DecodedImage:
    """Read the values of an image.

    Raises:
        TypeError: If it is no image, or values of its kind cannot be averaged.
    """
    values, metadata = to_tensor(image), {}
    restore: Callable[[Tensor, Metadata], Any]
    if isinstance(image, np.ndarray):
        kind: type = np.ndarray if isinstance(image, np.memmap) else type(image)
        if kind is not np.ndarray:
            metadata = read_metadata(image)
        restore = partial(_to_array, kind, image.dtype)
        return DecodedImage(values, (kind, image.dtype, image.shape), restore, metadata)
    metadata = read_metadata(image)
    if (mode := pil_mode(image)) is not None:
        restore = partial(_to_pil, mode, ">u2" if mode == "I;16B" else None)
        return DecodedImage(values, ("PIL", mode, (image.height, image.width)), restore, metadata)
    kind = Tensor if isinstance(image, nn.Parameter) else type(image)
    restore = partial(_to_tensor_of, kind, image.device, image.requires_grad)
    return DecodedImage(values, (kind, image.dtype, image.shape), restore, metadata)


def _to_array(kind: type, dtype: Any, values: Tensor, metadata: Metadata) -> Any:
    array = values.numpy().astype(dtype, copy=False)  # in the byte order of the parents
    return attach_metadata(array if kind is np.ndarray else array.view(kind), metadata)


def _to_pil(mode: str, dtype: str | None, values: Tensor, metadata: Metadata) -> Any:
    from PIL import Image

    array = values.numpy().astype(dtype) if dtype else values.numpy()
    return attach_metadata(Image.frombytes(mode, (array.shape[1], array.shape[0]), array.tobytes()), metadata)


def _to_tensor_of(
    kind: type[Tensor], device: torch.device, requires_grad: bool, values: Tensor, metadata: Metadata
) -> Tensor:
    image = values.to(device)
    image = image if kind is Tensor else image.as_subclass(kind)
    if requires_grad:
        image.requires_grad_()
    return attach_metadata(image, metadata)  # type: ignore[no-any-return]


def to_tensor(image: Any) -> Tensor:
    """Return the values of an image as a CPU tensor, without a copy where that is possible.

    Raises:
        TypeError: If it is no image, or values of its kind cannot be averaged.
    """
    if isinstance(image, Tensor):
        _check_tensor(image)
        tensor = image.detach().as_subclass(Tensor).resolve_neg().cpu()
    elif isinstance(image, np.ndarray):
        _check_array(image)
        if not (image.flags.carray and image.dtype.isnative):  # torch takes no other
            image = np.require(image, image.dtype.newbyteorder("="), ["C", "W"])
        tensor = torch.from_numpy(image)
    elif (mode := pil_mode(image)) is not None:
        if mode in _REMEDIES:
            target = "RGBA" if "transparency" in image.info else _REMEDIES[mode]
            raise TypeError(
                f"a PIL image of mode {mode!r} holds no values that can be averaged: let the base data set return "
                f'image.convert("{target}").'
            )
        array = np.array(image)
        tensor = torch.from_numpy(array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("=")))
    else:
        raise TypeError(
            f"images must be PIL images, arrays or tensors; got {type(image).__name__}. SMOTEDataset takes a data set of (image, label)."
        )
    if tensor.ndim == 0:
        raise TypeError("an image must have rows and columns; got a single number. Are the items (label, image)?")
    return tensor


def _check_array(image: Any) -> None:
    if image.dtype.kind not in "iuf" or image.dtype.itemsize > 8:
        raise TypeError(f"images must have integer or float values; got an array of {image.dtype}.")
    if isinstance(image, np.ma.MaskedArray):
        raise TypeError(
            "a blend cannot keep the mask of a MaskedArray: let the base data set return image.filled(value)."
        )


def _check_tensor(image: Tensor) -> None:
    if image.is_quantized or image.is_nested or image.layout != torch.strided or any(getattr(image, "names", ())):
        raise TypeError(
            f"images must be plain dense tensors; got one of layout {image.layout}, dtype {image.dtype}. Let the base data set return "
            "image.to_dense(), image.dequantize() or image.rename(None)."
        )
    if image.dtype == torch.bool or image.is_complex():
        raise TypeError(f"images must have integer or float values; got a tensor of {image.dtype}.")
    if type(image) is Tensor:
        return
    module: Any = sys.modules.get("torchvision.tv_tensors")
    no_images = tuple(getattr(module, name) for name in ("Mask", "BoundingBoxes", "KeyPoints") if hasattr(module, name))
    if isinstance(image, no_images):
        raise TypeError(
            f"a {type(image).__name__} of torchvision holds no values that can be averaged: return a tv_tensors.Image."
        )


def pil_mode(image: Any) -> str | None:
    """Return the mode of a PIL image; ``None`` for any other object."""
    from PIL import Image  # not at the top: users of the loss alone need no Pillow

    return image.mode if isinstance(image, Image.Image) else None
