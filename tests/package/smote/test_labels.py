"""Labels without decoding images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm.data
import torch
from torch.utils.data import ConcatDataset, Subset, TensorDataset
from torchvision.datasets import FakeData, ImageFolder

from clesmote_losses.smote.base_dataset import image_path
from clesmote_losses.smote.labels import check_labels, find_labels
from tests.support.base_datasets import LABELS, Pictures, Unreadable, delete_images, merged


@pytest.mark.parametrize("name", ["targets", "labels", "_labels"])
@pytest.mark.parametrize(
    "store",
    [list, tuple, np.asarray, torch.from_numpy, lambda y: y.astype(np.uint8), lambda y: [torch.tensor(v) for v in y]],
    ids=["list", "tuple", "array", "tensor", "uint8", "list of tensors"],
)
def test_labels_are_found_under_every_usual_name_and_in_every_container(name: str, store: Callable[[Any], Any]) -> None:
    found = find_labels(Unreadable(**{name: store(LABELS)}))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, LABELS)


@pytest.mark.parametrize("name", ["samples", "_samples"])  # the second in GTSRB, StanfordCars, Imagenette
def test_labels_and_paths_are_found_in_pairs_of_both(name: str) -> None:
    dataset = Unreadable(**{name: [(f"{i}.png", int(label)) for i, label in enumerate(LABELS)]})
    np.testing.assert_array_equal(find_labels(dataset), LABELS)
    assert image_path(dataset, 3) == "3.png"


def test_labels_in_a_column_as_medmnist_keeps_them_are_flattened() -> None:
    np.testing.assert_array_equal(find_labels(Unreadable(labels=LABELS[:, None])), LABELS)


@pytest.mark.parametrize("make", [ImageFolder, lambda root: timm.data.create_dataset("", root=str(root))])
def test_labels_of_an_image_folder_are_found_when_no_file_can_be_decoded(
    make: Callable[[Path], Any], folder: Path
) -> None:
    dataset = make(folder)
    from_items = [dataset[i][1] for i in range(len(dataset))]
    assert sorted(set(from_items)) == [0, 1, 2]
    contents = {path: path.read_bytes() for path in folder.rglob("*.png")}
    try:
        delete_images(folder)
        np.testing.assert_array_equal(find_labels(dataset), from_items)
    finally:
        for path, content in contents.items():
            path.write_bytes(content)


def test_labels_follow_subsets_of_subsets_and_concatenations() -> None:
    base = Unreadable(targets=LABELS.tolist())
    order = np.random.default_rng(0).permutation(len(LABELS))
    nested = Subset(Subset(base, order.tolist()), [5, 0, 0, 3])
    np.testing.assert_array_equal(find_labels(nested), LABELS[order][[5, 0, 0, 3]])
    both = ConcatDataset([nested, base, Subset(base, torch.tensor([1, 2])), Subset(base, range(2, 4))])
    expected = [*LABELS[order][[5, 0, 0, 3]], *LABELS, *LABELS[1:3], *LABELS[2:4]]
    np.testing.assert_array_equal(find_labels(both), expected)
    np.testing.assert_array_equal(find_labels(Subset(both, [12, 1])), [expected[12], expected[1]])


def test_labels_of_a_tensor_dataset_are_its_second_tensor() -> None:
    np.testing.assert_array_equal(find_labels(TensorDataset(torch.rand(7, 2), torch.from_numpy(LABELS))), LABELS)


@pytest.mark.parametrize("store", [list, np.asarray, torch.from_numpy], ids=["list", "array", "tensor"])
def test_a_target_transform_is_applied_to_the_labels_as_the_data_set_applies_it(store: Callable[[Any], Any]) -> None:
    dataset = Pictures(store(LABELS), target_transform=merged)
    np.testing.assert_array_equal(find_labels(dataset), [dataset[i][1] for i in range(len(dataset))])
    assert find_labels(dataset).max() == 1  # it changes something


@pytest.mark.parametrize(
    "dataset",
    [FakeData(size=7), Unreadable(), TensorDataset(torch.rand(7, 2)), Unreadable(labels=lambda: LABELS)],
    ids=["FakeData", "no attribute", "one tensor", "a method"],
)
def test_where_no_labels_are_found_they_are_asked_for_and_nothing_is_read(dataset: Any) -> None:
    with pytest.raises(ValueError, match=rf"labels of {type(dataset).__name__} are not found.*labels="):
        find_labels(dataset)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0.0, 1.0], TypeError, "integers.*float64"),
        (torch.tensor([0.5, 1.0]), TypeError, "integers.*float32"),
        (["cat", "dog"], TypeError, "names to indices"),
        ([None, 1], TypeError, "integers"),
        ([[0, 1], [1, 0]], ValueError, r"shape \(2,\).*\(2, 2\)"),
        ([0, 1, 1], ValueError, r"shape \(2,\).*\(3,\)"),
        ([0], ValueError, r"shape \(2,\).*\(1,\)"),
        ([0, -1], ValueError, "sample 1 has -1"),
        (torch.tensor([-100, 0]), ValueError, "sample 0 has -100"),
    ],
)
def test_what_is_no_class_index_is_refused_with_what_came(labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_labels(labels, 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint64])
def test_checked_labels_are_int64_whatever_integers_came(dtype: Any) -> None:
    checked = check_labels(LABELS.astype(dtype), len(LABELS))
    assert checked.dtype == np.int64
    np.testing.assert_array_equal(checked, LABELS)
