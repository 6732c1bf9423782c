"""Paths of the images of a data set."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm.data
import torch
from PIL import Image
from torch import nn
from torch.utils.data import ConcatDataset, Subset, TensorDataset
from torchvision.datasets import DatasetFolder, ImageFolder

from clesmote_losses.smote.base_dataset import forward_epoch, has_epoch, image_path
from clesmote_losses.smote.base_transform import split_transform
from tests.support.base_datasets import LABELS, Pictures, Unreadable


@pytest.mark.parametrize("make", [ImageFolder, lambda root: timm.data.create_dataset("", root=str(root))])
def test_the_path_of_an_image_is_found_through_subsets_and_concatenations(
    make: Callable[[Path], Any], folder: Path
) -> None:
    dataset = make(folder)
    picture = random.Random(0).randrange(len(dataset))
    path = image_path(dataset, picture)
    assert path is not None
    np.testing.assert_array_equal(np.asarray(Image.open(path).convert("RGB")), np.asarray(dataset[picture][0]))
    assert image_path(Subset(Subset(dataset, [3, picture]), [1]), 0) == path
    assert image_path(ConcatDataset([Subset(dataset, [0, 1]), dataset]), 2 + picture) == path
    assert image_path(ConcatDataset([Pictures(), dataset]), len(LABELS) + picture) == path
    assert image_path(ConcatDataset([Pictures(), dataset]), 2) is None
    twice = ConcatDataset([dataset, dataset])
    assert [image_path(twice, i) for i in range(24)] == 2 * [image_path(dataset, i) for i in range(12)]


@pytest.mark.parametrize(
    ("samples", "path"),
    [
        ([("a.png", 0), ("b.png", 1)], "b.png"),
        (["a.png", "b.png"], "b.png"),
        ([Path("a.png"), Path("b.png")], "b.png"),
        (np.array(["a.png", "b.png"]), "b.png"),
        ([(np.zeros(2), 0), (np.zeros(2), 1)], None),
        (np.zeros((2, 4)), None),
        ({"a": 1}, None),
    ],
    ids=["pairs", "paths", "Paths", "array of paths", "pairs with arrays", "array", "no sequence"],
)
def test_samples_of_any_form_give_a_path_or_none_and_never_an_error(samples: Any, path: str | None) -> None:
    assert image_path(Unreadable(2, samples=samples), 1) == path


def test_a_data_set_folder_of_tensors_has_paths_too(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    torch.save(torch.zeros(1), tmp_path / "a" / "0.pt")
    dataset = DatasetFolder(str(tmp_path), loader=torch.load, extensions=(".pt",), transform=nn.Identity())
    assert image_path(dataset, 0) == str(tmp_path / "a" / "0.pt")
    raw, transform, _ = split_transform(dataset)
    assert transform is dataset.transform
    assert torch.equal(raw[0][0], torch.zeros(1))


class _Epoch(TensorDataset):
    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch += epoch  # a second call would be seen


def test_an_epoch_is_forwarded_once_to_each_data_set_that_wants_it() -> None:
    silent, told = TensorDataset(torch.zeros(3)), _Epoch(torch.zeros(4))
    joined = ConcatDataset([silent, Subset(told, [1, 3]), told])
    assert forward_epoch(Subset(joined, range(9)), 5)
    assert told.epoch == 5
    assert [has_epoch(joined, i) for i in range(9)] == [False] * 3 + [True] * 6
    assert not forward_epoch(Subset(silent, [0]), 5)
