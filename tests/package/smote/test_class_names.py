"""Names of classes of plain data sets, through wrappers, and in timm's reader."""

from types import SimpleNamespace
from typing import Any

import torch
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from clesmote_losses.smote.class_names import class_to_index, differing_classes, names_by_index


def named(indices: Any) -> TensorDataset:
    dataset = TensorDataset(torch.zeros(2))
    dataset.class_to_idx = indices  # type: ignore[attr-defined]
    return dataset


def test_names_are_found_through_wrappers_and_in_a_reader() -> None:
    own = named({"cat": 0, "dog": 1})
    reader = SimpleNamespace(reader=SimpleNamespace(class_to_idx={"cat": 0, "dog": 1}))
    for dataset in (own, Subset(own, [1]), ConcatDataset([own, Subset(own, [0])]), reader):
        assert class_to_index(dataset) == {"cat": 0, "dog": 1}
        assert names_by_index(dataset) == {0: "cat", 1: "dog"}


def test_without_names_or_with_two_there_are_none() -> None:
    two = ConcatDataset([named({"cat": 0}), named({"cat": 1})])
    for dataset in (TensorDataset(torch.zeros(2)), named(None), two, SimpleNamespace(reader=None)):
        assert class_to_index(dataset) == {}


def test_classes_differ_by_index_or_are_missing() -> None:
    train, evaluation = named({"cat": 0, "dog": 1}), named({"cat": 0, "dog": 2, "fox": 1})
    assert differing_classes(train, evaluation) == {"dog": (2, 1), "fox": (1, "missing")}
    assert differing_classes(train, named({"dog": 1})) == {}
    assert differing_classes(TensorDataset(torch.zeros(2)), evaluation) == {}
