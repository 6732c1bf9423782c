"""Augmentation of batches."""

import pytest
import torch

from benchmarks.training.augmentation import AUGMENTATIONS
from benchmarks.training.evaluation import on_device, to_input
from tests.support.benchmark_images import pictures


def dot(count=200, channels=3):
    images = torch.zeros(count, channels, 16, 16, dtype=torch.uint8)
    images[:, :, 7:9, 4:6] = 255
    return images


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_none_changes_nothing():
    assert torch.equal(AUGMENTATIONS["none"](dot()), to_input(dot()))
    assert AUGMENTATIONS["none"](dot()).unique().tolist() == [-1, 1]


@pytest.mark.parametrize("augmentation", ["shift", "shift_flip"])
def test_a_shift_moves_the_whole_image_by_up_to_an_eighth_each_on_its_own(augmentation):
    moved = AUGMENTATIONS[augmentation](dot())
    assert moved.shape == (200, 3, 16, 16)
    assert ((moved == 1).sum((1, 2, 3)) == 12).all()
    rows = {int(image[0].amax(1).argmax()) for image in moved}
    assert rows == {5, 6, 7, 8, 9}
    columns = {int(image[0].amax(0).argmax()) for image in moved}
    mirrored = {8, 9, 10, 11, 12}
    assert columns == {2, 3, 4, 5, 6} | (mirrored if augmentation == "shift_flip" else set())
    if augmentation == "shift_flip":
        assert 60 < sum(int(image[0].amax(0).argmax()) >= 8 for image in moved) < 140


@pytest.mark.parametrize("channels", [1, 3])
def test_strong_augmentation_changes_colours_too_and_keeps_the_range(channels):
    images = torch.from_numpy(pictures([0, 1] * 32, 32, channels)).permute(0, 3, 1, 2)
    strong = AUGMENTATIONS["strong"](images)
    assert strong.shape == images.shape
    assert strong.dtype == torch.float32
    assert strong.min() >= -1
    assert strong.max() <= 1
    assert (
        len({round(image.mean().item(), 3) for image in strong} - {round(i.mean().item(), 3) for i in to_input(images)})
        > 30
    )


def test_memory_stays_in_the_order_that_convolutions_on_it_are_fast_in():
    images = on_device(pictures([0, 1], 16), torch.device("cpu"))
    assert images.is_contiguous(memory_format=torch.channels_last)
    for augmentation in ("none", "shift", "shift_flip"):
        assert AUGMENTATIONS[augmentation](images).is_contiguous(memory_format=torch.channels_last)


def test_an_augmentation_that_is_not_known_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ValueError, match="no augmentation 'flip'; there are none, shift, shift_flip, strong"):
        AUGMENTATIONS["flip"]
