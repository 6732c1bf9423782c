"""Values of images of every kind, and what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clesmote_losses.smote.blending import blend
from clesmote_losses.smote.decoding import to_tensor
from tests.support.image_kinds import EVERY_KIND, values


@EVERY_KIND
def test_to_tensor_keeps_every_value_and_the_dtype(make: Callable[[int], Any]) -> None:
    image = make(5)
    tensor = to_tensor(image)
    assert type(tensor) is torch.Tensor
    np.testing.assert_array_equal(values(tensor), values(image))
    array = np.asarray(image) if isinstance(image, Image.Image) else image
    if isinstance(array, np.ndarray):
        assert tensor.numpy().dtype == array.dtype
    else:
        assert tensor.dtype == array.dtype


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ones((2, 2), bool), "integer or float values; got an array of bool"),
        (np.ones((2, 2), complex), "integer or float values; got an array of complex128"),
        (torch.ones(2, 2, dtype=torch.bool), "integer or float values; got a tensor of torch.bool"),
        (torch.ones(2, 2, dtype=torch.complex64), "integer or float values; got a tensor of torch.complex64"),
        ([[1, 2]], "PIL images, arrays or tensors; got list"),
        ("picture.png", "PIL images, arrays or tensors; got str"),
        (None, "PIL images, arrays or tensors; got NoneType"),
    ],
    ids=["bool array", "complex array", "bool tensor", "complex tensor", "list", "path", "None"],
)
def test_what_has_no_values_to_average_is_refused(image: Any, message: str) -> None:
    for refuse in (to_tensor, lambda image: blend(image, image, 0.5)):
        with pytest.raises(TypeError, match=message):
            refuse(image)


# LAB keeps a and b as signed bytes, HSV a hue that is an angle: the mean of the bytes is another colour
@pytest.mark.parametrize("mode", ["1", "P", "PA", "HSV", "LAB"])
def test_a_pil_mode_whose_bytes_have_no_mean_is_refused_by_name(mode: str) -> None:
    image = Image.new(mode, (4, 4))
    with pytest.raises(TypeError, match=f"mode '{mode}'.*convert"):
        blend(image, image, 0.5)
