"""Small pictures of images of any kind, real or blended, read only when they are shown."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clesmote_losses.smote.decoding import pil_mode, to_tensor
from clesmote_losses.smote.resizing import channel_axis

if TYPE_CHECKING:
    from PIL.Image import Image

    from clesmote_losses.inspection.inspection import Inspection

_WIDE_MODES = ("I", "F")  # of Pillow, and I;16: more than 8 bits
_QUALITY = 80  # of JPEG


class ImageReader:
    """Read the images of an inspection before the transform, in its current draw.

    Args:
        inspection: Names the images.

    Raises:
        ValueError: If the training set has drawn other synthetic samples since.
    """

    def __init__(self, inspection: "Inspection") -> None:
        plan, table = inspection.train_set.plan, inspection.table
        rows = table["index"].to_numpy(dtype=np.int64) - plan.num_real
        if len(rows) and not (
            rows.max() < len(plan)
            and np.array_equal(plan.base[rows], table["base"])
            and np.allclose(plan.lam[rows], table["lam"], atol=1e-6)
        ):
            raise ValueError(
                "the training set has drawn new synthetic samples since the inspection, so its pictures would be of others. Call "
                "inspect_synthetic again, and draw before the next set_epoch."
            )
        self._view = inspection.train_set.real_subset(transform=_as_stored).dataset

    def thumbnails(self, indices: Sequence[int], size: int) -> list["Image"]:
        """Return pictures of some samples of the training set, with one grey scale for all; see :func:`draw_alike`."""
        return draw_alike([self._view[index][0] for index in indices], size)


def _as_stored(image: Any) -> Any:
    return image


def draw_alike(images: Sequence[Any], size: int) -> list["Image"]:
    """Draw images as small RGB pictures.

    8-bit values are shown as they are, and floats in ``[0, 1]`` as black to white. Other values, such as those of 16 bits, are
    stretched: the least value of all the images is black, the greatest is white.

    Args:
        images: PIL images, arrays or tensors. Of two channels the first is shown, of more than three the first
            three, of a volume the middle slice.
        size: Longest side of a picture in pixels; smaller images keep their size.
    """
    from PIL import Image

    pixels = [_pixels(image) for image in images]
    wide = [values for values in pixels if values.dtype != np.uint8]
    finite = np.concatenate(
        [values[np.isfinite(values)].ravel()[:: 1 + values.size // 10**6] for values in wide] or [[]]
    )
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if wide and all(values.dtype.kind == "f" for values in wide) and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    drawn = []
    for values in pixels:
        if values.dtype != np.uint8:
            scaled = np.nan_to_num((values.astype(np.float64) - low) / (high - low or 1), nan=0, posinf=1, neginf=0)
            values = (scaled.clip(0, 1) * 255).round().astype(np.uint8)
        picture = Image.fromarray(values)
        picture.thumbnail((size, size))
        drawn.append(picture.convert("RGB"))
    return drawn


def _pixels(image: Any) -> NDArray[Any]:
    """Return the values of an image, shape ``(H, W)`` or ``(H, W, 3)``."""
    mode = pil_mode(image)
    if mode is not None and not mode.startswith(_WIDE_MODES):
        return np.asarray(image if mode == "L" else image.convert("RGB"))
    values = to_tensor(image)
    values = values.float() if values.dtype == torch.bfloat16 else values  # numpy has none
    while values.ndim > 3:  # a volume or a video
        values = values[:, values.shape[1] // 2]
    if values.ndim < 3:
        return values.reshape(-1, values.shape[-1]).numpy()
    try:
        axis = channel_axis(image if image.ndim == 3 else values)
    except ValueError:  # an odd shape: a picture all the same
        axis = 0 if isinstance(image, Tensor) else -1
    values = values.movedim(axis or 0, -1)
    return (values[..., :3] if values.shape[-1] > 2 else values[..., 0]).numpy()


def data_uri(picture: "Image") -> str:
    """Return a picture as text that an HTML page can hold, compressed as JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
