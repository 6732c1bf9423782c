"""Blend images of any kind (PIL, array, tensor) into images of the same kind."""

from collections.abc import Sequence
from typing import Any

import torch

from clesmote_losses.errors import Argument, ArgumentError
from clesmote_losses.smote.decoding import DecodedImage, decode
from clesmote_losses.smote.image_metadata import shared_metadata
from clesmote_losses.smote.resizing import WIDE


def blend(base: Any, neighbor: Any, lam: float) -> Any:
    """Compute the image ``(1 - lam) * base + lam * neighbor``, of the kind, shape and dtype of ``base``.

    Computed in float and rounded for integer images, so each value lies between those of its parents. (imbalanced-learn
    subtracts in the dtype of its input, where uint8 wraps around.) What both parents carry besides pixels goes along; see
    :func:`~clesmote_losses.smote.image_metadata.shared_metadata`.

    Args:
        base, neighbor: Two PIL images, arrays or tensors of one kind, shape and dtype (or mode).
        lam: Weight of the neighbour, in ``[0, 1]``.

    Raises:
        TypeError: If an argument is no image, or values of its kind cannot be averaged (bool, palette, complex).
        ValueError: If the two differ in kind, shape or dtype, or in what changes pixels, such as their orientation.

    Example:
        >>> blend(np.uint8([[200, 0]]), np.uint8([[100, 255]]), 0.25)
        array([[175,  64]], dtype=uint8)
    """
    pair = decode(base), decode(neighbor)
    return blend_alike([(make_alike(*pair), pair[1])], [lam])[0]


def blend_alike(pairs: Sequence[tuple[DecodedImage, DecodedImage]], lams: Sequence[float]) -> list[Any]:
    """Blend pairs of images of one form at once, which saves time where images are small.

    The results have the metadata of the bases, and share no memory with the parents.
    """
    bases, neighbors = ([image.values for image in images] for images in zip(*pairs, strict=True))
    kind = bases[0].dtype
    dtype = torch.float64 if kind in WIDE else torch.float32
    if len(pairs) == 1:  # stack would copy a large image once more
        mixed = bases[0][None].to(dtype, copy=True).lerp_(neighbors[0][None].to(dtype), lams[0])
    else:
        mixed, others = (torch.stack(images).to(dtype) for images in (bases, neighbors))
        mixed.lerp_(others, torch.tensor(lams, dtype=dtype).reshape(-1, *[1] * (mixed.ndim - 1)))
    if not kind.is_floating_point:
        # numpy, since torch has no fast way from float32 to bytes
        mixed = torch.from_numpy(mixed.round_().numpy().astype(str(kind).removeprefix("torch.")))
    mixed = mixed.to(kind)
    return [base.restore(values, base.metadata) for values, (base, _) in zip(mixed, pairs, strict=True)]


def make_alike(image: DecodedImage, other: DecodedImage) -> DecodedImage:
    """Return an image with the metadata that it shares with another one.

    Raises:
        ArgumentError: If the two differ in kind, shape or dtype (or mode).
        ValueError: If they differ in metadata that changes pixels.
    """
    if image.form != other.form:
        is_deep = any(str(form[1]).startswith(("I", "F")) for form in (image.form, other.form) if form[0] == "PIL")
        clips = " (Pillow's convert() cuts values above 255 off: scale them before)" if is_deep else ""
        raise ArgumentError(
            "image_size",
            f"they differ: {_describe_form(image.form)} and {_describe_form(other.form)}. For images of unequal size, pass ",
            Argument("image_size", "(height, width)"),
            f"; where modes or dtypes differ, let the base data set convert them{clips}.",
        )
    metadata = shared_metadata(image.metadata, other.metadata)
    return image if metadata is image.metadata else image._replace(metadata=metadata)


def _describe_form(form: tuple[Any, ...]) -> str:
    kind, values, size = form
    name = kind if isinstance(kind, str) else kind.__name__
    return f"{name} {values!r} {'x'.join(map(str, size))}"
