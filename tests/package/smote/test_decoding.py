"""Values of images of every kind, and what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

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


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ma.masked_array(np.ones((2, 2)), mask=[[0, 1], [0, 0]]), "mask of a MaskedArray.*filled"),
        (np.ones((2, 2), np.longdouble), "array of float128|array of longdouble|array of float64"),
        (torch.eye(3).to_sparse(), r"dense tensors.*sparse_coo.*to_dense\(\)"),
        (tv_tensors.Mask(torch.ones(2, 2, dtype=torch.uint8)), "a Mask of torchvision.*tv_tensors.Image"),
        (
            tv_tensors.BoundingBoxes(torch.ones(1, 4), format="XYXY", canvas_size=(4, 4)),
            "a BoundingBoxes of torchvision",
        ),
    ],
    ids=["masked", "longdouble", "sparse", "mask", "boxes"],
)
def test_arrays_and_tensors_that_are_no_plain_images_are_refused_with_the_remedy(image: Any, message: str) -> None:
    if getattr(image, "dtype", None) == np.longdouble and np.longdouble == np.float64:
        pytest.skip("no longer floats here")
    with pytest.raises(TypeError, match=message):
        blend(image, image, 0.5)


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N", "RGBa", "La", "RGBX"])
def test_every_mode_of_pillow_that_has_a_mean_keeps_its_values_and_mode(mode: str) -> None:
    rng, deep = np.random.default_rng(0), mode.startswith("I")
    dtype = np.dtype(">u2" if mode == "I;16B" else "<u2" if deep else "u1")
    shape = (4, 3) if deep else (4, 3, {"RGBa": 4, "La": 2, "RGBX": 4}[mode])
    one, other = (rng.integers(0, 65536 if deep else 256, shape).astype(dtype) for _ in range(2))
    images = [Image.frombytes(mode, (3, 4), array.tobytes()) for array in (one, other)]
    mixed = blend(*images, 0.25)
    assert (mixed.mode, mixed.size) == (mode, (3, 4))
    exact = 0.75 * one.astype(float) + 0.25 * other.astype(float)
    assert np.abs(np.asarray(mixed).astype(float) - exact).max() <= 0.51


@pytest.mark.parametrize(("mode", "target"), [("1", "L"), ("P", "RGB"), ("PA", "RGBA"), ("HSV", "RGB"), ("LAB", "RGB")])
def test_the_mode_that_is_advised_can_be_converted_to_and_blended(mode: str, target: str) -> None:
    image = Image.new(mode, (4, 4))
    with pytest.raises(TypeError, match=rf'mode \'{mode}\'.*image\.convert\("{target}"\)'):
        to_tensor(image)
    assert to_tensor(image.convert(target)).dtype == torch.uint8


def test_16_bits_beside_8_are_not_advised_to_be_cut_off() -> None:
    deep, flat = Image.new("I;16", (4, 4), 4000), Image.new("L", (4, 4))
    assert np.asarray(deep.convert("L")).max() == 255
    with pytest.raises(ValueError, match=r"convert them \(Pillow's convert\(\) cuts values above 255 off: scale them"):
        blend(deep, flat, 0.5)


def test_a_blend_has_the_byte_order_of_its_parents() -> None:
    image = np.arange(12, dtype=">u2").reshape(3, 4)
    mixed = blend(image, image[::-1], 0.5)
    assert mixed.dtype == image.dtype
    assert mixed.tobytes() == np.full((3, 4), [4, 5, 6, 7]).astype(">u2").tobytes()


def test_values_seen_through_a_negation_are_read() -> None:
    image = torch.complex(torch.zeros(2, 2), torch.ones(2, 2)).conj().imag
    assert image.is_neg()
    assert to_tensor(image).numpy().tolist() == [[-1, -1], [-1, -1]]
