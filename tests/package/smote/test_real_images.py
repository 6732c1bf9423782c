"""Real images of a base data set: kept decoded within a budget, and laid out as rows."""

import copy
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE
from PIL import Image
from sklearn.base import clone
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder

from clesmote_losses import SMOTEDataset
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


class Folder(Dataset):
    """Files as ``Image.open`` gives them: the pixels are read later. It knows its files, or does not."""

    def __init__(self, folder: Path, names: list[str], *, knows_files: bool = True, transform: Any = None) -> None:
        self.paths, self.transform = [folder / name for name in names], transform
        self.targets = [0] * 14 + [1] * 8
        if knows_files:
            self.samples = [(str(path), label) for path, label in zip(self.paths, self.targets, strict=True)]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.open(self.paths[index])
        return image if self.transform is None else self.transform(image), self.targets[index]


def folder(root: Path, **options: Any) -> Folder:
    rng = np.random.default_rng(0)
    names = [f"{i:02}.jpg" for i in range(22)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(root / name)
    return Folder(root, names, **options)


def cut(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])


@pytest.mark.parametrize("knows_files", [True, False])
@pytest.mark.parametrize("options", [{}, {"image_size": 32}, {"features": lambda image: [image.getpixel((0, 0))[0]]}])
def test_a_file_whose_pixels_cannot_be_read_is_named_by_the_search(
    knows_files: bool, options: dict[str, Any], tmp_path: Path
) -> None:
    base = folder(tmp_path, knows_files=knows_files)
    cut(tmp_path / "17.jpg")
    with pytest.raises(RuntimeError, match=r"real image 17 \(.*17\.jpg\) cannot be read: OSError: .*truncated"):
        SMOTEDataset(base, **options)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_whose_pixels_cannot_be_read_is_named_when_the_transform_asks_for_them(
    workers: int, tmp_path: Path
) -> None:
    base = folder(tmp_path, transform=np.asarray)
    train_set = SMOTEDataset(base)
    cut(tmp_path / "03.jpg")  # of the frequent class, which no search reads
    cut(tmp_path / "14.jpg")  # found out as a parent
    loader = DataLoader(train_set, sampler=[3], num_workers=workers)
    with pytest.raises(RuntimeError, match=r"real image 3 \(.*03\.jpg\) cannot be read: OSError: .*truncated"):
        next(iter(loader))
    with pytest.raises(RuntimeError, match=r"real image 14 \(.*14\.jpg\) cannot be read"):
        [train_set[i] for i in range(22, 28)]
    with pytest.raises(RuntimeError, match=r"real image 14 \(.*14\.jpg\) cannot be read"):
        train_set.raw_image(14)


def test_an_error_of_the_transform_itself_stays_as_it_is(tmp_path: Path) -> None:
    train_set = SMOTEDataset(folder(tmp_path), transform=lambda image: image.no_such_method())
    for index in (3, 23):
        with pytest.raises(AttributeError, match="no_such_method"):
            train_set[index]


def test_a_real_item_reaches_its_transform_undecoded_as_without_smote(tmp_path: Path) -> None:
    base = folder(tmp_path)

    def drafted(image: Image.Image) -> np.ndarray:
        image.draft("RGB", (16, 16))  # a JPEG read at a quarter of its size
        return np.asarray(image)

    train_set = SMOTEDataset(base, transform=drafted)
    assert train_set[3][0].shape == drafted(base[3][0]).shape == (16, 16, 3)


@pytest.mark.parametrize("options", [{}, {"image_size": 32}])
@pytest.mark.parametrize(("has_transparency", "mode"), [(False, "RGB"), (True, "RGBA")])
def test_a_palette_image_among_others_is_named_with_what_to_convert_it_to(
    options: dict[str, Any], has_transparency: bool, mode: str, tmp_path: Path
) -> None:
    base = folder(tmp_path)
    palette = Image.open(tmp_path / "19.jpg").quantize(16)
    palette.save(tmp_path / "19.png", **({"transparency": 3} if has_transparency else {}))
    base.samples[19] = (str(tmp_path / "19.png"), 1)
    base.paths[19] = tmp_path / "19.png"
    with pytest.raises(
        TypeError, match=rf'real image 19 \(.*19\.png\): a PIL image of mode \'P\'.*convert\("{mode}"\)'
    ):
        SMOTEDataset(base, **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("sampler", [SMOTE(k_neighbors=3), BorderlineSMOTE(k_neighbors=3), ADASYN(n_neighbors=3)])
def test_an_image_with_pixels_that_are_no_numbers_is_named_if_it_is_searched_or_blended(
    value: float, sampler: Any
) -> None:
    images = list(np.random.default_rng(0).random((22, 6, 6), dtype=np.float32))
    labels = [0] * 14 + [1] * 8
    searched = [16] if isinstance(sampler, SMOTE) else [3, 16]  # the others search among all
    for index in searched:
        spoilt = [image.copy() for image in images]
        spoilt[index][2, 3] = value
        with pytest.raises(ValueError, match=f"real image {index}: NaN or infinity"):
            SMOTEDataset(Items(spoilt, labels), sampler=clone(sampler))
    features = np.random.default_rng(1).random((22, 3))
    features[3] = value  # not searched
    spoilt = [image.copy() for image in images]
    spoilt[3][2, 3] = value
    train_set = SMOTEDataset(Items(spoilt, labels), features=features)
    assert not np.isfinite(train_set[3][0]).all()  # the user's own item
    parent = int(train_set.plan.neighbor[0])
    spoilt[parent][2, 3] = value
    with pytest.raises(ValueError, match=f"real image {parent}: NaN or infinity"):
        train_set[22]


def test_features_that_are_no_numbers_are_named() -> None:
    images, labels = list(np.random.default_rng(0).random((22, 6, 6))), [0] * 14 + [1] * 8
    features = np.random.default_rng(1).random((22, 3))
    features[18, 1] = np.nan
    with pytest.raises(ArgumentError, match="features of sample 18 hold NaN or infinity") as raised:
        SMOTEDataset(Items(images, labels), features=features)
    assert raised.value.argument == "features"
    with pytest.raises(ValueError, match="features of real image 14: NaN or infinity"):
        SMOTEDataset(Items(images, labels), features=lambda image: [np.inf, image[0, 0]])


def test_what_images_carry_counts_in_the_budget_and_what_has_no_size_is_not_kept() -> None:
    images = [Image.new("L", (8, 8)) for _ in range(20)]
    for image in images:
        image.info["icc_profile"] = bytes(2**16)
    kept, read = real_images(images, cache_mb=0.5)
    for index in [*range(20)] * 2:
        assert len(kept.decoded(index).metadata["icc_profile"]) == 2**16
    assert read == [*range(20), *range(7, 20)]  # 7 times 66 KB of 512
    for image in images:
        image.info["icc_profile"] = memoryview(bytes(2**16))
    kept, read = real_images(images, cache_mb=0.5)
    for index in [0, 1, 0, 1]:
        kept.decoded(index)
    assert read == [0, 1, 0, 1]


STRIDED = {
    "expanded": torch.rand(1, 1, 1).expand(3, 8, 8),
    "expanded array": np.broadcast_to(np.float32(0.3), (8, 8)),
    "column": torch.rand(8, 9)[:, :1],
    "every second": torch.rand(1, 1, 16)[..., ::2],
    "channels last": torch.rand(1, 3, 8, 8).contiguous(memory_format=torch.channels_last)[0],
    "turned array": np.random.default_rng(0).random((8, 9))[::-1, ::2].T,
    "big-endian": np.random.default_rng(0).random((8, 9)).astype(">f8"),
}


@pytest.mark.parametrize("image", STRIDED.values(), ids=STRIDED)
def test_images_of_any_layout_in_memory_are_searched_and_kept_as_their_values(image: Any) -> None:
    images, _ = real_images([image] * 2, cache_mb=1)
    plain = torch.from_numpy(
        np.ascontiguousarray(np.asarray(image).astype(image.numpy().dtype if isinstance(image, Tensor) else "f8"))
    )
    rows = images.rows(np.arange(2))
    assert torch.equal(rows[1].double(), plain.reshape(-1).double())
    for _ in range(2):
        assert torch.equal(images.decoded(0).values.double(), plain.double())


def test_features_in_any_layout_are_rows() -> None:
    rows = np.arange(6.0).reshape(3, 2)
    for features in (rows[::-1][::-1], rows.astype(">f4"), np.asfortranarray(rows), pd.DataFrame(rows)):
        assert as_row(features).tolist() == rows.tolist()
    assert as_row(rows[::-1]).tolist() == rows[::-1].tolist()


class CropsInside(Dataset):
    """Crops at random, by a generator of its own, so that two images differ in size."""

    def __init__(self) -> None:
        self.targets, self.rng = [0] * 14 + [1] * 8, np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
        if self.rng.random() < 0.5:
            image = image.resize((6, 8))
        return image, self.targets[index]


def test_images_that_differ_because_they_are_augmented_inside_are_refused_for_that_reason() -> None:
    with pytest.raises(ValueError, match="CropsInside gave two different images for index 14: it augments inside"):
        SMOTEDataset(CropsInside())
