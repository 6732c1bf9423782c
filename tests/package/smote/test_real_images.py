"""Real images of a base data set: kept decoded within a budget, and laid out as rows."""

import copy
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import ImageFolder

from clesmote_losses.errors import ArgumentError
from clesmote_losses.smote.decoding import DecodedImage
from clesmote_losses.smote.real_images import RealImages, as_row
from tests.support.smote_data import Items

KILOBYTE = np.zeros((32, 32), np.uint8)
OF_ONE = 3 / 1024  # megabytes that one image of a kilobyte takes with its overhead


def real_images(images: list[Any], **options: Any) -> tuple[RealImages, list[int]]:
    """Real images, and the list of what is read from the base."""
    base = Items(images, [0] * len(images))
    return RealImages(base, np.zeros(len(images), dtype=np.int64), **options), base.reads


def kept_bytes(images: RealImages, count: int) -> int:
    """Bytes of the pixels that the images of a data set hold, each memory counted once."""
    reads = images.base.reads  # type: ignore[attr-defined]
    reads.clear()
    decoded = [images.decoded(index) for index in range(count)]
    kept = [image for index, image in enumerate(decoded) if index not in reads]
    return sum({image.values.data_ptr(): image.values.untyped_storage().nbytes() for image in kept}.values())


@pytest.mark.parametrize("image", [KILOBYTE, Image.fromarray(KILOBYTE)], ids=["array", "PIL"])
def test_the_first_images_are_kept_until_the_budget_is_full(image: Any) -> None:
    for budget, reads in ((3 * OF_ONE, [0, 1, 2, 3, 4, 3, 4]), (1, [0, 1, 2, 3, 4]), (0, [*range(5)] * 2)):
        images, read = real_images([image] * 5, cache_mb=budget)
        for index in [*range(5)] * 2:
            assert np.array_equal(images.decoded(index).values, KILOBYTE)
        assert read == reads


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((100, 100, 3), np.uint8),
        np.zeros((50, 100, 100, 3), np.uint8)[7],
        torch.zeros(50, 3, 100, 100)[7],
        torch.zeros(50, 3, 100, 100)[7].numpy(),
        np.from_dlpack(torch.zeros(50, 3, 100, 100))[7],
        np.lib.stride_tricks.as_strided(np.zeros(30_100), (100, 100), (808, 8)),
        Image.new("RGB", (100, 100)),  # Pillow holds four bytes a pixel
        Image.new("1", (100, 100)).convert("L"),
        np.zeros((100, 100), np.dtype(">u2")),
    ],
    ids=[
        "array",
        "part of an array",
        "part of a tensor",
        "array of a tensor",
        "array by DLPack",
        "strided array",
        "PIL RGB",
        "PIL L",
        "big-endian",
    ],
)
def test_what_is_kept_never_exceeds_the_budget_and_uses_most_of_it(image: Any) -> None:
    megabytes = 0.5
    images, _ = real_images([image] * 200)
    images.cache_mb = megabytes
    images.forget()
    for index in range(200):
        images.decoded(index)
    held = kept_bytes(images, 200)
    assert 0 < held <= megabytes * 2**20
    assert held > 0.5 * megabytes * 2**20


def test_an_image_larger_than_the_room_left_is_not_kept_and_a_smaller_one_is() -> None:
    images, read = real_images([np.zeros(2**20, np.uint8), KILOBYTE], cache_mb=0.5)
    for index in (0, 1, 0, 1):
        images.decoded(index)
    assert read == [0, 1, 0]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc lists the open files")
def test_kept_images_leave_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for i in range(30):
        Image.new("RGB", (20, 20)).save(tmp_path / "a" / f"{i:02}.jpg")
    # lazily, and of files that Pillow does not close: the pixels are not read yet
    folder = ImageFolder(str(tmp_path), loader=lambda path: Image.open(open(path, "rb")))  # noqa: SIM115
    images = RealImages(folder, np.zeros(30, dtype=np.int64), cache_mb=10)
    before = len(os.listdir("/proc/self/fd"))
    kept = [images.decoded(index) for index in range(30)]
    assert len(kept) == 30
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the last image that was read


def test_copies_and_forgetful_ones_are_empty() -> None:
    images, read = real_images([KILOBYTE] * 3, cache_mb=1)

    def reads_of(others: RealImages) -> list[int]:
        others.base.reads.clear()  # type: ignore[attr-defined]
        for index in range(3):
            others.decoded(index)
        return list(others.base.reads)  # type: ignore[attr-defined]

    assert reads_of(images) == [0, 1, 2]
    for other in (copy.deepcopy(images), pickle.loads(pickle.dumps(images))):
        assert reads_of(other) == [0, 1, 2]
        assert reads_of(other) == []
    assert reads_of(images) == []
    images.forget()
    assert reads_of(images) == [0, 1, 2]
    assert len(read) == 3


@pytest.mark.parametrize("megabytes", [-1, float("nan")])
def test_a_negative_budget_is_refused(megabytes: float) -> None:
    with pytest.raises(ValueError, match="cache_mb must be 0 or more"):
        real_images([KILOBYTE], cache_mb=megabytes)


def test_a_decoded_image_holds_no_pixels_but_its_values() -> None:
    images, _ = real_images([Image.new("RGB", (300, 300))], cache_mb=1)
    decoded = images.decoded(0)
    assert isinstance(decoded, DecodedImage)
    assert len(pickle.dumps(decoded._replace(values=Tensor()))) < 2000


def test_rows_are_the_values_of_the_images_or_of_a_function() -> None:
    arrays = [np.full((2, 3), i, np.uint8) for i in range(4)]
    images, read = real_images(arrays)
    assert images.rows(np.array([2, 0])).tolist() == [[2] * 6, [0] * 6]
    assert read == [2, 0]
    assert images.rows(np.array([1, 3]), lambda image: [int(image.sum())]).tolist() == [[6], [18]]


def test_rows_of_unequal_images_are_refused_with_the_argument_that_helps() -> None:
    images, _ = real_images([np.zeros((2, 3)), np.zeros((3, 3))])
    with pytest.raises(ArgumentError, match=r"images 0 and 1: they differ.*image_size=\(height, width\)") as raised:
        images.rows(np.arange(2))
    assert raised.value.argument == "image_size"


def test_features_of_any_kind_become_a_row() -> None:
    for features in ([1.0, 2.0], np.array([1.0, 2.0]), torch.tensor([1.0, 2.0], requires_grad=True)):
        assert as_row(features).tolist() == [1.0, 2.0]
        assert not as_row(features).requires_grad
