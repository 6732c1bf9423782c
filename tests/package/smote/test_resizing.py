"""Resizing images of every kind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from clesmote_losses.smote.resizing import resize
from tests.support.image_kinds import EVERY_KIND, H, W, is_integer, kind, pil, pixels, values

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
    image = pixels((11, 12) if channels is None else (11, 12, channels), np.uint8, 1)
    planes = torch.from_numpy(image.reshape(11, 12, -1)).permute(2, 0, 1)
    wanted = functional.resize(planes.float(), list(SIZE)).round().byte().permute(1, 2, 0).numpy()
    ours = resize(image, SIZE)
    assert ours.shape == (*SIZE, *image.shape[2:])
    np.testing.assert_array_equal(ours, wanted.reshape(ours.shape))


def test_a_pil_image_is_resized_as_torchvision_resizes_it() -> None:
    image = pil("RGB", 1)
    np.testing.assert_array_equal(np.asarray(resize(image, SIZE)), np.asarray(functional.resize(image, list(SIZE))))


CHANNELS = {
    "array, first of 3": (np.zeros((3, 12, 10)), (3, *SIZE)),
    "array, first of 1": (np.zeros((1, 12, 10)), (1, *SIZE)),
    "array, last of 4": (np.zeros((12, 10, 4)), (*SIZE, 4)),
    "array, first of 6 bands": (np.zeros((6, 12, 10)), (6, *SIZE)),
    "array, last of 13 bands": (np.zeros((30, 20, 13)), (*SIZE, 13)),
    "tensor, last of 3": (torch.zeros(12, 10, 3), (*SIZE, 3)),
    "tensor, first of 2": (torch.zeros(2, 12, 10), (2, *SIZE)),
    "narrow tensor": (torch.zeros(3, 12, 4), (3, *SIZE)),
    "tv_tensors.Image, narrow": (tv_tensors.Image(torch.zeros(5, 12, 3)), (5, *SIZE)),
    "video": (tv_tensors.Video(torch.zeros(2, 3, 12, 10)), (2, 3, *SIZE)),
}


@pytest.mark.parametrize("case", CHANNELS)
def test_channels_are_found_by_the_shape_and_stay_where_they_are(case: str) -> None:
    image, shape = CHANNELS[case]
    small = resize(image, SIZE)
    assert small.shape == shape
    assert type(small) is type(image)


def test_channels_that_come_first_are_resized_as_those_that_come_last() -> None:
    image = pixels((12, 10, 3), np.uint8, 1)
    np.testing.assert_array_equal(resize(image.transpose(2, 0, 1), SIZE).transpose(1, 2, 0), resize(image, SIZE))
    tensor = torch.from_numpy(image)
    assert torch.equal(resize(tensor.permute(2, 0, 1), SIZE).permute(1, 2, 0), resize(tensor, SIZE))


@pytest.mark.parametrize("shape", [(3, 12, 3), (12, 12, 12), (7, 5, 6), (2, 12, 10, 3), (1, 12, 12, 12), (12,)])
def test_a_shape_that_does_not_tell_its_channels_is_refused(shape: tuple[int, ...]) -> None:
    for image in (np.zeros(shape), torch.zeros(shape)):
        if shape == (3, 12, 3) and isinstance(image, torch.Tensor):
            continue  # torch's images have their channels first
        with pytest.raises(ValueError, match=rf"cannot tell height, width and channels.*\({shape[0]},"):
            resize(image, SIZE)


def test_an_image_of_the_size_is_not_written_to() -> None:
    image = pil("RGB", 1)
    info = image.info
    assert resize(image, (H, W)).info is info
