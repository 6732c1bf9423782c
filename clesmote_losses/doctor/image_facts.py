"""What a check must know of one image; pixels are not kept."""

import dataclasses
import hashlib
import time
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clesmote_losses.errors import shortened
from clesmote_losses.smote.decoding import pil_mode, to_tensor
from clesmote_losses.smote.image_metadata import read_metadata

HASH_SIZE = 16  # 256 bits: with 64, different chest X-rays are as near as copies
_THUMBNAIL = 16
_LOW_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")


@dataclasses.dataclass(frozen=True)
class ImageFacts:
    """Facts of one image.

    Attributes:
        error: Why it cannot be read; empty if it can. Everything else has its default then.
        shape: Height and width in pixels, or the whole shape of a volume.
        kind: Mode of a PIL image, or type of the values.
        file_format: Such as ``"JPEG"``; empty if it comes from no file.
        orientation: How a viewer turns it (EXIF); 1 is upright.
        profile: Digest of its colour profile; empty if it has none.
        is_deep: Whether it has values above 255 in more than 8 bits.
        is_finite: Whether no value is NaN or infinite.
        nbytes: Of its values, decoded.
        largest_share: Share of values that equal its lowest or its highest one; 1 for a constant image.
        digest: Of the pixels; equal for images with the same pixels.
        hash: Perceptual hash, 32 bytes; empty if there is none.
        thumbnail: Grey values of 16 x 16 pixels.
        seconds: Time to read and decode it.
    """

    error: str = ""
    shape: tuple[int, ...] = ()
    kind: str = ""
    file_format: str = ""
    orientation: int = 1
    profile: str = ""
    is_deep: bool = False
    is_finite: bool = True
    nbytes: int = 0
    largest_share: float = 0.0
    digest: bytes = b""
    hash: bytes = b""
    thumbnail: bytes = b""
    seconds: float = 0.0


def facts_of_file(path: str) -> ImageFacts:
    """Read and decode a file with Pillow, once, and return its facts."""
    from PIL import Image

    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about damaged EXIF and palettes
            with Image.open(path) as image:
                image.load()
                seconds = time.perf_counter() - start
                return dataclasses.replace(facts_of(image), file_format=image.format or "", seconds=seconds)
    except Exception as error:
        return ImageFacts(error=f"{type(error).__name__}: {shortened(error)}")


def facts_of(image: Any) -> ImageFacts:
    """Return the facts of an image: PIL image, array or tensor of any layout.

    Raises:
        TypeError: If it is no image.
    """
    from PIL import Image

    mode = pil_mode(image)
    if mode is None:
        tensor = to_tensor(image)
        values = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        kind = f"{type(image).__name__} of {str(image.dtype).removeprefix('torch.')}"
        shape = _without_channels(values.shape)
    else:
        image.load()
        values = np.asarray(image.convert("RGBA" if mode in ("P", "PA") else "RGB" if mode in ("HSV", "LAB") else mode))
        kind, shape = mode, (image.height, image.width)
    metadata = read_metadata(image) if mode is not None else {}
    profile, orientation = metadata.get("icc_profile"), metadata.get("orientation") or 1
    lowest, highest = (values.min(), values.max()) if values.size else (0, 0)
    is_finite = bool(np.isfinite(lowest) and np.isfinite(highest))  # NaN passes through min and max
    facts = ImageFacts(
        shape=shape,
        kind=kind,
        orientation=orientation if isinstance(orientation, int) else 1,
        profile=hashlib.sha256(profile).hexdigest()[:8] if isinstance(profile, bytes) else "",
        is_deep=mode is not None and mode not in _LOW_MODES and bool(highest > 255),
        is_finite=is_finite,
        nbytes=values.nbytes,
        largest_share=float(max((values == lowest).mean(), (values == highest).mean())) if is_finite else 0.0,
        digest=_digest(values),
    )
    if values.ndim < 2 or not values.size or not is_finite or highest == lowest:
        return facts
    grey = image.convert("L") if mode in _LOW_MODES else Image.fromarray(_projected(values))
    small = grey.resize((4 * HASH_SIZE, 4 * HASH_SIZE), Image.Resampling.LANCZOS)  # the size that pHash asks for
    bits = require_imagehash().phash(small, hash_size=HASH_SIZE).hash
    thumbnail = small.resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    return dataclasses.replace(facts, hash=np.packbits(bits).tobytes(), thumbnail=thumbnail.tobytes())


def _digest(values: NDArray[Any]) -> bytes:
    digest = hashlib.blake2b(f"{values.shape} {values.dtype}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(values).data.cast("B") if values.size else b"")
    return digest.digest()


def _without_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without its channels, which are its shortest side, first or last."""
    if len(shape) < 3:
        return shape
    return shape[1:] if shape[0] <= shape[-1] else shape[:-1]


def _projected(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Average channels or slices, along the shortest side, until two sides are left; scale to 8 bits."""
    grey = values.astype(np.float64)
    while grey.ndim > 2:
        grey = grey.mean(axis=int(np.argmin(grey.shape)))
    low, span = grey.min(), np.ptp(grey)
    scaled: NDArray[np.uint8] = ((grey - low) * (255 / span if span else 0)).round().astype(np.uint8)
    return scaled


def require_imagehash() -> ModuleType:
    """Import imagehash, or raise an ``ImportError`` that says how to install it."""
    try:
        import imagehash
    except ImportError as error:
        raise ImportError(
            'the search for duplicates needs imagehash: pip install "clesmote-losses[report]".'
        ) from error
    found: ModuleType = imagehash
    return found
