"""16-bit images that a data set reads as 8 bits."""

import random
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from timm.data import create_dataset
from torch.utils.data import Dataset, Subset
from torchvision.datasets import ImageFolder

from clesmote_losses import SMOTEDataset
from clesmote_losses.hosts.options import Options
from clesmote_losses.hosts.recipe import training_set
from clesmote_losses.smote.clipped_images import clipped_image
from tests.support.smote_data import Items


def folder_of(root: Path, top: int, dtype: Any = np.uint16, ending: str = "png") -> Path:
    """Images of two classes with a dark background, and values up to ``top`` in a bright square."""
    rng = np.random.default_rng(0)
    for name, count in (("a", 14), ("b", 8)):
        (root / "train" / name).mkdir(parents=True)
        for i in range(count):
            image = np.zeros((32, 32), dtype)
            image[8:24, 8:24] = rng.integers(top // 2, top, (16, 16), endpoint=True)
            Image.fromarray(image).save(root / "train" / name / f"{i:02}.{ending}")
    return root


def timm_data(root: Path, **options: Any) -> Any:
    return create_dataset("", root=str(root), split="train", is_training=True, **options)


class Loaded(ImageFolder):
    """Read each image by a function of its path, and augment."""

    def __init__(self, root: Path, load: Callable[[str], Any]) -> None:
        super().__init__(root)
        self.load = load

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, label = self.samples[index]
        image = self.load(path)
        return (image, label) if label else (image[:, ::-1].copy() if random.random() < 0.5 else image, label)


def as_bytes(path: str) -> Any:
    return np.asarray(Image.open(path).convert("L"))


def scaled(path: str) -> Any:
    return (np.asarray(Image.open(path)) / 4095 * 255).round().astype(np.uint8)


def warnings_of(make: Callable[[], Any]) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make()
    return [warning for warning in caught if "values above 255" in str(warning.message)]


@pytest.mark.parametrize("host", [False, True], ids=["user", "timm"])
def test_16_bits_become_white_and_the_data_set_says_so_once(host: bool, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 4095)
    if host:
        data = timm_data(folder)
        caught = warnings_of(lambda: training_set(data, Options(smote="smote")))
    else:
        data = ImageFolder(str(folder / "train"))
        caught = warnings_of(lambda: SMOTEDataset(data))
    assert set(np.unique(data[0][0])) == {0, 255}  # what the warning is about
    (warning,) = caught
    assert "00.png) has values above 255" in str(warning.message)
    assert "--input-img-mode" in str(warning.message)
    assert warning.category is UserWarning
    assert warning.filename == __file__


def test_a_loaded_plan_does_not_hide_it(tmp_path: Path) -> None:
    data = ImageFolder(str(folder_of(tmp_path, 4095) / "train"))
    with pytest.warns(UserWarning, match="values above 255"):
        plan = SMOTEDataset(data).plan
    assert len(warnings_of(lambda: SMOTEDataset(data, plan=plan))) == 1


@pytest.mark.parametrize(("load", "count"), [(as_bytes, 1), (scaled, 0)])
def test_a_users_own_conversion_is_judged_by_its_pixels_without_a_draw(
    load: Callable[[str], Any], count: int, tmp_path: Path
) -> None:
    data = Loaded(folder_of(tmp_path, 4095) / "train", load)
    state = random.getstate()
    assert len(warnings_of(lambda: SMOTEDataset(data))) == count
    assert random.getstate() == state


@pytest.mark.parametrize(
    ("top", "dtype", "ending", "is_clipped"),
    [
        (65535, np.uint16, "png", True),
        (1000, np.int32, "tif", True),
        (3000, np.float32, "tif", True),
        (255, np.uint16, "png", False),  # 8 bits in a file of 16
        (1, np.float32, "tif", False),
        (255, np.uint8, "png", False),
    ],
)
def test_files_of_more_than_8_bits_are_found_by_their_values(
    top: int, dtype: Any, ending: str, is_clipped: bool, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, top, dtype, ending)
    bases: list[Any] = [ImageFolder(str(folder / "train")), Subset(ImageFolder(str(folder / "train")), [3, 5])]
    if ending == "png":  # timm reads no TIFF unless it is told to
        bases.append(timm_data(folder))
    for base in bases:
        assert (clipped_image(base) is not None) == is_clipped


def test_what_keeps_its_bits_or_knows_no_files_is_not_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 4095)
    assert clipped_image(timm_data(folder, input_img_mode="I;16")) is None
    assert clipped_image(ImageFolder(str(folder / "train"), loader=Image.open)) is None
    assert clipped_image(Items([np.zeros((4, 4), np.uint8)] * 3, [0, 0, 1])) is None


def test_files_in_an_archive_are_found(tmp_path: Path) -> None:
    folder_of(tmp_path / "raw", 4095)
    with tarfile.open(tmp_path / "train.tar", "w") as archive:
        archive.add(tmp_path / "raw" / "train", arcname=".")
    assert clipped_image(timm_data(tmp_path / "train.tar")) is not None


def test_big_endian_files_are_found_by_their_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, top in (("a", 4095), ("b", 200)):
        (tmp_path / name / "class").mkdir(parents=True)
        for i in range(3):
            values = rng.integers(top // 2, top, (8, 8)).astype(">u2")
            Image.frombytes("I;16B", (8, 8), values.tobytes()).save(tmp_path / name / "class" / f"{i}.tif")
    with Image.open(tmp_path / "a" / "class" / "0.tif") as image:
        assert image.mode == "I;16B"
    assert "0.tif" in (clipped_image(ImageFolder(tmp_path / "a")) or "")
    assert clipped_image(ImageFolder(tmp_path / "b")) is None


class NoPaths(Dataset[Any]):
    """A data set of a CSV file: it knows its files under a name of its own."""

    def __init__(self, folder: Path, load: Callable[[str], Any]) -> None:
        self.files, self.load = sorted(folder.rglob("*.png")), load
        self.targets = [0] * 14 + [1] * 8

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.load(str(self.files[index])), self.targets[index]


def test_white_images_of_files_that_the_data_set_does_not_tell_are_noticed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(22):
        image = rng.integers(256, 65536, (32, 32)).astype(np.uint16)
        image[:8] = 0
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    with pytest.warns(UserWarning, match=r"most images of NoPaths are more than half white.*convert\(\"L\"\)"):
        SMOTEDataset(NoPaths(tmp_path, as_bytes))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SMOTEDataset(NoPaths(tmp_path, lambda path: (np.asarray(Image.open(path)) // 257).astype(np.uint8)))
        # white paper with grey print
        SMOTEDataset(
            Items(list(np.where(rng.random((22, 32, 32)) < 0.3, 90, 255).astype(np.uint8)), [0] * 14 + [1] * 8)
        )
