"""What an image carries besides pixels, such as the orientation of a photo or the spacing of a scan."""

import copy
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clesmote_losses.errors import shortened

Metadata = dict[str, Any]

_ORIENTATION = 0x0112  # of EXIF: how a viewer turns the pixels
_TEXT = (str, bytes, date, PathLike, type(None))
_CHANGES_PIXELS = ("icc_profile", "transparency")  # though they are bytes or None
# What Pillow's readers tell of the file in numbers. All other values are the user's own, or change colours (gamma).
_OF_THE_FILE = (
    "adobe adobe_transform aspect background bbox bits blend compression data_size default_image disposal dpi duration extension "
    "flashpix interlace jfif jfif_density jfif_unit jfif_version loop mp mpoffset photoshop pixels_per_meter planes progression "
    "progressive quality resolution rle sizes srgb timestamp version"
)
_OF_AN_IMAGE = ("affine", "space")  # of MONAI's meta; the rest describes the file


def read_metadata(image: Any) -> Metadata:
    """Read what an image carries besides pixels.

    Of a PIL image: ``info``, ``format``, and the orientation that EXIF or XMP give. Of an array or tensor: its attributes,
    such as those that MONAI's ``MetaTensor`` keeps.
    """
    info = getattr(image, "info", None)
    if not hasattr(image, "getexif") or not isinstance(info, dict):
        return dict(getattr(image, "__dict__", ()))
    if not info and image.format is None and getattr(image, "_exif", None) is None:
        return {}  # made in memory: looking for EXIF would take as long as decoding a small image
    metadata = {**info, "format": image.format}
    with suppress(Exception):  # EXIF may be damaged, and the user's own code may never read it
        metadata["orientation"] = image.getexif().get(_ORIENTATION)
    return {key: value for key, value in metadata.items() if value is not None}


def shared_metadata(base: Metadata, neighbor: Metadata) -> Metadata:
    """Return the metadata of a blend: what both parents agree on.

    Text, bytes, names and dates that differ are left out, and so is what Pillow tells of the file (``dpi``, compression and
    the like; of EXIF and XMP that differ, the orientation stays). All else must be equal, since a transform may make other
    pixels by it: orientation, colour profile, transparency, gamma, and attributes that users set. Of MONAI's ``meta``, spacing
    and axes (the affine without its last column) and ``space`` must be equal; the position is that of ``base``, and other
    entries that differ are left out.

    Raises:
        ValueError: If the two differ in something that changes pixels.
    """
    if base is neighbor or not (base or neighbor):
        return base
    shared: Metadata = {}
    for key in dict.fromkeys((*base, *neighbor)):
        one, other = base.get(key), neighbor.get(key)
        if key == "_meta" and isinstance(one, dict) and isinstance(other, dict):
            shared[key] = _shared_meta(one, other)
        elif key == "orientation" and (one or 1) == (other or 1):
            shared[key] = one or 1
        elif is_same(one, other):
            shared[key] = one
        elif key == "_applied_operations":  # by which MONAI takes a transform back
            shared[key] = []
        elif key in _CHANGES_PIXELS or not (
            key in _OF_THE_FILE.split() or all(isinstance(v, _TEXT) for v in (one, other))
        ):
            raise _difference(key, one, other)
    return shared


def _shared_meta(base: Metadata, neighbor: Metadata) -> Metadata:
    shared = {key: value for key, value in base.items() if key in neighbor and is_same(value, neighbor[key])}
    for key in _OF_AN_IMAGE:
        one, other = base.get(key), neighbor.get(key)
        if not (_have_same_axes(one, other) if key == "affine" else is_same(one, other)):
            raise _difference(key, one, other)
        if one is not None:
            shared[key] = one
    return shared


def _have_same_axes(one: Any, other: Any) -> bool:
    one, other = (np.asarray(affine, dtype=np.float64) for affine in (one, other))
    axes = one[..., :-1, :-1], other[..., :-1, :-1]
    return one.shape == other.shape and np.allclose(*axes, rtol=0, atol=1e-4 * np.abs(axes[0]).max(initial=0))


def _difference(key: str, one: Any, other: Any) -> ValueError:
    remedy = {
        "orientation": "turn them upright in the base data set: ImageOps.exif_transpose(image)",
        "icc_profile": "convert them to one profile in the base data set (ImageCms.profileToProfile), or drop it there if nothing "
        'reads it: image.info.pop("icc_profile", None)',
        "transparency": 'convert them in the base data set: image.convert("RGBA")',
        "affine": "bring them to one spacing and orientation in the base data set, by Spacing and Orientation of MONAI",
    }.get(key, "make it equal, or remove it, in the base data set")
    return ValueError(
        f"they differ in {key}, by which a transform may make other pixels: {_describe(one)} and {_describe(other)}. To blend them, {remedy}."
    )


def _describe(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, np.ndarray | Tensor):
        array = np.asarray(value)
        return str(array.round(4).tolist()) if array.size <= 16 else f"values of shape {array.shape}"
    return shortened(repr(value))


def is_same(one: Any, other: Any) -> bool:
    """Compare two values of any type, arrays and nested containers among them."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(is_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)


def attach_metadata(image: Any, metadata: Metadata) -> Any:
    """Give metadata to an image that has none, and return it. Nothing that can be written to is shared."""
    if not metadata:
        return image
    if not hasattr(image, "getexif"):
        vars(image).update(copy.deepcopy(metadata))
        return image
    info = copy.deepcopy(metadata)
    image.format, orientation = info.pop("format", None), info.pop("orientation", 1)
    image.info = info
    if orientation != 1:  # the entry it was read from may have been left out
        exif = type(image.getexif())()
        exif.load(info.get("exif", b""))
        if exif.get(_ORIENTATION) != orientation:
            exif[_ORIENTATION] = orientation
            info["exif"] = exif.tobytes()
        image.getexif()[_ORIENTATION] = orientation
    return image
