from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from clesmote_losses.doctor.part import class_names, look_at_part
from tests.support.class_folders import picture, write_pictures
from tests.support.user_datasets import GivenItems


def test_files_are_read_as_they_are_and_named_from_the_common_folder(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "train", {"a": 3, "b": 2})
    picture(9, mode="L").save(root / "a" / "0.png")
    part = look_at_part("training", ImageFolder(str(root), v2.RandomErasing(p=1)))
    assert part.names == ["train/a/0.png", "train/a/1.png", "train/a/2.png", "train/b/0.png", "train/b/1.png"]
    assert [facts.kind for facts in part.facts] == ["L", "RGB", "RGB", "RGB", "RGB"]
    assert part.bytes_scale == 3  # torchvision reads it as RGB
    assert part.labels.tolist() == [0, 0, 0, 1, 1]


def test_names_differ_where_the_files_of_a_set_lie_in_several_folders(tmp_path: Path) -> None:
    parts = [
        ImageFolder(str(write_pictures(tmp_path / name, {"a": 1, "b": 1}, seed))) for seed, name in ((0, "x"), (9, "y"))
    ]
    names = look_at_part("training", ConcatDataset(parts)).names
    assert [name.split("/", 1)[1] for name in names] == ["x/a/0.png", "x/b/0.png", "y/a/0.png", "y/b/0.png"]


def test_labels_that_no_list_holds_are_read_from_the_items() -> None:
    part = look_at_part("training", GivenItems([(picture(seed), seed % 2) for seed in range(6)]))
    assert part.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert [(finding.severity, finding.topic) for finding in part.findings] == [("error", "labels")]


def test_items_that_contradict_the_list_are_all_named() -> None:
    items = [(picture(seed), seed % 2) for seed in range(6)]
    (finding,) = look_at_part("validation", GivenItems(items, targets=[1, 1, 0, 0, 0, 1])).findings
    assert finding.evidence == (
        "validation image 0: 0 read, 1 in the list",
        "validation image 3: 1 read, 0 in the list",
    )


def test_an_item_that_cannot_be_read_is_named_and_the_others_are_read() -> None:
    items: list[Any] = [(picture(seed), seed % 2) for seed in range(6)]
    items[3] = ("no image", 1)
    part = look_at_part("validation", GivenItems(items, targets=[0, 1] * 3))
    assert [bool(facts.error) for facts in part.facts] == [False, False, False, True, False, False]


def test_files_of_16_bits_that_are_read_as_white_are_an_error(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "train", {"a": 3, "b": 2})
    for number in range(2):
        values = np.random.default_rng(number).integers(256, 4000, (48, 48)).astype(np.uint16)
        Image.fromarray(values).save(root / "b" / f"{number}.png")
    (finding,) = look_at_part("training", ImageFolder(str(root))).findings
    assert (finding.severity, finding.topic, finding.evidence) == (
        "error",
        "bit depth",
        ("train/b/0.png", "train/b/1.png"),
    )
    assert look_at_part("training", ImageFolder(str(root), loader=lambda path: Image.open(path))).findings == []


def test_a_set_that_is_augmented_by_its_transform_is_seen_without_it() -> None:
    images = [np.asarray(picture(seed)) for seed in range(4)]

    class Arrays(GivenItems):
        transform = staticmethod(v2.RandomErasing(p=1))

        def __getitem__(self, index: int) -> Any:
            return self.transform(torch.from_numpy(self.items[index].copy()).permute(2, 0, 1)), index % 2

    one, other = (look_at_part("training", Arrays(images, targets=[0, 1, 0, 1])) for _ in range(2))
    assert [facts.digest for facts in one.facts] == [facts.digest for facts in other.facts]
    assert one.findings == []


def test_names_of_classes_are_those_of_the_data_set() -> None:
    base = TensorDataset(torch.rand(2, 3, 8, 8), torch.tensor([0, 2]))
    assert class_names(base, np.array([0, 2, -1])) == {0: "class 0", 2: "class 2"}


@pytest.mark.parametrize("data", [[], iter([])])
def test_what_has_no_samples_is_refused(data: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="base"):
        look_at_part("training", data)
