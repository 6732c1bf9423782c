"""Images of every kind that can be blended, and their pixels without the code under test."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

H, W = 7, 5
PIL_MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3}
INTEGERS = [np.uint8, np.int8, np.uint16, np.int16, np.int32]
FLOATS = [np.float16, np.float32, np.float64]


def pixels(shape: tuple[int, ...], dtype: Any, seed: int) -> np.ndarray:
    """Values over the whole range of an integer dtype, negative and positive ones of a float dtype."""
    rng = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.integer):
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return (rng.normal(size=shape) * 100).astype(dtype)


def pil(mode: str, seed: int) -> Image.Image:
    if mode in PIL_MODES:
        shape = (H, W) if PIL_MODES[mode] == 1 else (H, W, PIL_MODES[mode])
        return Image.frombytes(mode, (W, H), pixels(shape, np.uint8, seed).tobytes())
    dtype = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
    return Image.frombytes(mode, (W, H), pixels((H, W), dtype, seed).tobytes())


KINDS: dict[str, Callable[[int], Any]] = {
    **{f"PIL {mode}": lambda seed, mode=mode: pil(mode, seed) for mode in [*PIL_MODES, "I", "F", "I;16"]},
    **{f"array {d.__name__} HW": lambda seed, d=d: pixels((H, W), d, seed) for d in INTEGERS + FLOATS},
    **{f"array {d.__name__} HWC": lambda seed, d=d: pixels((H, W, 3), d, seed) for d in INTEGERS + FLOATS},
    **{
        f"tensor {d.__name__}": lambda seed, d=d: torch.from_numpy(pixels((3, H, W), d, seed))
        for d in INTEGERS + FLOATS
    },
    "tensor bfloat16": lambda seed: torch.from_numpy(pixels((3, H, W), np.float32, seed)).bfloat16(),
    "tensor HW": lambda seed: torch.from_numpy(pixels((H, W), np.uint8, seed)),
    "tv_tensors.Image uint8": lambda seed: tv_tensors.Image(torch.from_numpy(pixels((3, H, W), np.uint8, seed))),
    "tv_tensors.Image float32": lambda seed: tv_tensors.Image(torch.from_numpy(pixels((3, H, W), np.float32, seed))),
}
EVERY_KIND = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())


def values(image: Any) -> np.ndarray:
    """Pixels in float64, without the code under test."""
    if isinstance(image, torch.Tensor):
        return image.as_subclass(torch.Tensor).double().numpy().copy()
    return np.asarray(image).astype(np.float64)


def kind(image: Any) -> tuple[Any, ...]:
    if isinstance(image, Image.Image):
        return Image.Image, image.mode
    return type(image), image.dtype


def is_integer(image: Any) -> bool:
    array = np.asarray(image) if isinstance(image, Image.Image) else image
    return not array.is_floating_point() if isinstance(array, torch.Tensor) else array.dtype.kind in "iu"
