"""Blending images of every kind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

from clesmote_losses.smote.blending import blend, blend_alike
from clesmote_losses.smote.decoding import decode
from tests.support.image_kinds import EVERY_KIND, H, W, is_integer, kind, pixels, values

LAMBDAS = [0.1, 0.37, 0.5, 0.999]


@EVERY_KIND
@pytest.mark.parametrize("lam", LAMBDAS)
def test_a_blend_is_the_equation_in_float64_rounded_to_the_dtype(make: Callable[[int], Any], lam: float) -> None:
    base, neighbor = make(1), make(2)
    x, y = values(base), values(neighbor)
    assert (x != y).mean() > 0.9
    mixed = blend(base, neighbor, lam)
    exact = (1 - lam) * x + lam * y
    # half a step of an integer; the last digits of a float, at the size of the parents
    digits = {torch.bfloat16: 2**-8, torch.float16: 2**-11, np.dtype(np.float16): 2**-11}
    step = 0.5 + 1e-2 if is_integer(base) else 500 * digits.get(getattr(base, "dtype", None), 2**-22)
    assert np.abs(values(mixed) - exact).max() <= step


@EVERY_KIND
@pytest.mark.parametrize("lam", LAMBDAS)
def test_every_value_of_a_blend_lies_between_its_parents(make: Callable[[int], Any], lam: float) -> None:
    base, neighbor = make(3), make(4)
    mixed = values(blend(base, neighbor, lam))
    x, y = values(base), values(neighbor)
    assert (x > y).any()
    assert (x < y).any()
    assert (mixed >= np.minimum(x, y)).all()
    assert (mixed <= np.maximum(x, y)).all()


@EVERY_KIND
def test_a_blend_is_of_the_kind_and_size_of_its_parents(make: Callable[[int], Any]) -> None:
    base, neighbor = make(1), make(2)
    mixed = blend(base, neighbor, 0.4)
    assert kind(mixed) == kind(base)
    assert values(mixed).shape == values(base).shape


@EVERY_KIND
def test_lambda_0_is_the_base_and_lambda_1_the_neighbor_to_the_bit(make: Callable[[int], Any]) -> None:
    base, neighbor = make(1), make(2)
    np.testing.assert_array_equal(values(blend(base, neighbor, 0.0)), values(base))
    np.testing.assert_array_equal(values(blend(base, neighbor, 1.0)), values(neighbor))


@EVERY_KIND
def test_blending_changes_neither_parent(make: Callable[[int], Any]) -> None:
    base, neighbor = make(1), make(2)
    mixed = blend(base, neighbor, 0.5)
    for image, seed in ((base, 1), (neighbor, 2)):
        np.testing.assert_array_equal(values(image), values(make(seed)))
    if not isinstance(mixed, Image.Image):
        mixed[...] = 0
        np.testing.assert_array_equal(values(base), values(make(1)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_an_image_is_the_same_blended_alone_and_with_others(dtype: str) -> None:
    base, neighbor = (np.random.default_rng(seed).integers(0, 256, (300, 301)).astype(dtype) for seed in range(2))
    base, neighbor = decode(base), decode(neighbor)
    (alone,) = blend_alike([(base, neighbor)], [0.3])
    together = blend_alike([(base, neighbor), (neighbor, base)], [0.3, 0.5])[0]
    assert alone.dtype == together.dtype == np.dtype(dtype)
    assert (alone == together).all()


@pytest.mark.parametrize("lam", np.linspace(0, 1, 17).tolist())
def test_no_pair_of_bytes_wraps_around(lam: float) -> None:
    x = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, axis=1)
    mixed = blend(x, x.T.copy(), lam)
    exact = (1 - lam) * x.astype(float) + lam * x.T.astype(float)
    assert np.abs(mixed - exact).max() <= 0.5 + 1e-4


@EVERY_KIND
def test_swapping_the_parents_and_taking_the_other_lambda_changes_at_most_rounding(make: Callable[[int], Any]) -> None:
    base, neighbor = make(1), make(2)
    there, back = values(blend(base, neighbor, 0.3)), values(blend(neighbor, base, 0.7))
    atol = 1 if is_integer(base) else 2**-7 * np.abs(values(base)).max()
    np.testing.assert_allclose(there, back, rtol=0, atol=atol)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::-1, :],
        lambda a: np.asfortranarray(a),
        lambda a: a.astype(a.dtype.newbyteorder()),
        lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),  # read-only
    ],
    ids=["upside down", "mirrored", "Fortran order", "foreign byte order", "read-only"],
)
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_arrays_of_any_memory_layout_blend_as_their_plain_copies(view: Callable[[Any], Any], dtype: Any) -> None:
    base, neighbor = view(pixels((H, W, 3), dtype, 1)), view(pixels((H, W, 3), dtype, 2))
    native = np.dtype(dtype)
    plain = blend(np.ascontiguousarray(base, dtype=native), np.ascontiguousarray(neighbor, dtype=native), 0.3)
    np.testing.assert_array_equal(blend(base, neighbor, 0.3), plain)


def test_a_tensor_that_asks_for_a_gradient_can_be_blended() -> None:
    base = torch.rand(3, 4, 4, requires_grad=True)
    assert torch.equal(blend(base, base.detach(), 0.5), base.detach())


@pytest.mark.parametrize(
    ("base", "neighbor", "message"),
    [
        (Image.new("RGB", (4, 6)), Image.new("RGB", (6, 4)), "PIL.*6x4.*PIL.*4x6.*image_size"),
        (Image.new("RGB", (4, 4)), Image.new("L", (4, 4)), "'RGB'.*'L'.*convert"),
        (np.zeros((4, 4)), np.zeros((4, 5)), "4x4.*4x5.*image_size"),
        (np.zeros((4, 4)), np.zeros((4, 4), np.uint8), "float64.*uint8"),
        (np.zeros((4, 4), np.uint8), torch.zeros(4, 4, dtype=torch.uint8), "ndarray.*Tensor"),
        (torch.zeros(1, 4, 4), torch.zeros(3, 4, 4), "1x4x4.*3x4x4"),
        (torch.zeros(1, 4, 4), tv_tensors.Image(torch.zeros(1, 4, 4)), "Tensor.*Image"),
    ],
)
def test_two_images_that_differ_are_refused_and_both_described(base: Any, neighbor: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        blend(base, neighbor, 0.5)
