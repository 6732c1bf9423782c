"""Blending, resizing and laying out images of every kind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from clesmote_losses.smote.blending import blend, blend_alike, decode, resize, to_tensor

H, W = 7, 5
PIL_MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3}
INTEGERS = [np.uint8, np.int8, np.uint16, np.int16, np.int32]
FLOATS = [np.float16, np.float32, np.float64]
LAMBDAS = [0.1, 0.37, 0.5, 0.999]


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


SIZE = (4, 9)  # lower and wider than H, W: height and width cannot be mixed up


@EVERY_KIND
def test_a_resized_image_has_the_height_and_width_asked_for_and_its_kind(make: Callable[[int], Any]) -> None:
    image = make(1)
    small = resize(image, SIZE)
    assert kind(small) == kind(image)
    shape = values(image).shape
    wanted = (*shape[:-2], *SIZE) if isinstance(image, torch.Tensor) else (*SIZE, *shape[2:])
    assert values(small).shape == wanted


@EVERY_KIND
def test_resizing_never_leaves_the_range_of_the_image_and_changes_it(make: Callable[[int], Any]) -> None:
    image = make(1)
    before, after = values(image), values(resize(image, SIZE))
    slack = 0 if is_integer(image) else 1e-2
    if getattr(image, "mode", None) in ("LA", "RGBA"):  # transparent pixels weigh nothing there
        assert after.std() > 1
        return
    assert before.std() > 1
    assert after.std() > 1
    assert after.min() >= before.min() - slack
    assert after.max() <= before.max() + slack
    if np.abs(before).max() < 2**24:  # int32 passes through float32
        np.testing.assert_allclose(after.mean(), before.mean(), atol=before.std())


@EVERY_KIND
def test_resizing_to_its_own_size_keeps_an_image(make: Callable[[int], Any]) -> None:
    image = make(1)
    if is_integer(image) and np.abs(values(image)).max() > 2**24:
        pytest.skip("32-bit integers pass through float32")
    rtol = 1e-6 if "float64" in str(kind(image)) else 0
    np.testing.assert_allclose(values(resize(image, (H, W))), values(image), rtol=rtol)


@pytest.mark.parametrize("channels", [None, 1, 3, 6])
def test_an_array_is_resized_as_torchvision_resizes_the_same_tensor(channels: int | None) -> None:
    image = pixels((H, W) if channels is None else (H, W, channels), np.uint8, 1)
    planes = torch.from_numpy(image.reshape(H, W, -1)).permute(2, 0, 1)
    wanted = functional.resize(planes.float(), list(SIZE)).round().byte().permute(1, 2, 0).numpy()
    ours = resize(image, SIZE)
    assert ours.shape == (*SIZE, *image.shape[2:])
    np.testing.assert_array_equal(ours, wanted.reshape(ours.shape))


def test_a_pil_image_is_resized_as_torchvision_resizes_it() -> None:
    image = pil("RGB", 1)
    np.testing.assert_array_equal(np.asarray(resize(image, SIZE)), np.asarray(functional.resize(image, list(SIZE))))
