"""Decoded images within a budget."""

import copy
import pickle

import numpy as np
import pytest
from PIL import Image

from clesmote_losses.smote.image_cache import ImageCache

KILOBYTE = np.zeros((32, 32), np.uint8)


def asked_twice(cache: ImageCache, number: int, image=KILOBYTE) -> list[int]:
    """Which images are read when each is asked for two times."""
    read: list[int] = []

    def reader(index: int):
        read.append(index)
        return image

    for index in [*range(number), *range(number)]:
        assert cache.get(index, reader) is image
    return read


@pytest.mark.parametrize("image", [KILOBYTE, Image.fromarray(KILOBYTE)], ids=["array", "PIL"])
def test_the_first_images_are_kept_until_the_budget_is_full(image) -> None:
    assert asked_twice(ImageCache(3 / 1024), 5, image) == [0, 1, 2, 3, 4, 3, 4]
    assert asked_twice(ImageCache(1), 5, image) == [0, 1, 2, 3, 4]
    assert asked_twice(ImageCache(0), 2, image) == [0, 1, 0, 1]


def test_copies_and_cleared_ones_are_empty() -> None:
    cache = ImageCache(1)
    asked_twice(cache, 3)
    assert len(pickle.dumps(cache)) < KILOBYTE.nbytes
    for other in (copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        assert asked_twice(other, 3) == [0, 1, 2]
    assert asked_twice(cache, 3) == []
    cache.clear()
    assert asked_twice(cache, 3) == [0, 1, 2]


@pytest.mark.parametrize("megabytes", [-1, float("nan")])
def test_a_negative_budget_is_refused(megabytes: float) -> None:
    with pytest.raises(ValueError, match="cache_mb must be 0 or more"):
        ImageCache(megabytes)
