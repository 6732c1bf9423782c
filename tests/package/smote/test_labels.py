"""Labels without decoding images."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm.data
import torch
from torch.utils.data import ConcatDataset, Subset, TensorDataset
from torchvision.datasets import FakeData, ImageFolder

from clesmote_losses import encode_target
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


# Five samples of no class after the seven of LABELS: uncertain findings of CheXpert, unlabelled images of STL-10.
WITH_GAPS = [*LABELS.tolist(), *[-1] * 5]


@pytest.mark.parametrize(
    "dataset",
    [
        Subset(Unreadable(12, targets=WITH_GAPS), range(7)),
        Subset(Unreadable(12, targets=WITH_GAPS), np.arange(7)),
        Subset(Unreadable(12, targets=WITH_GAPS), torch.arange(7)),
        Subset(Unreadable(12, targets=WITH_GAPS), range(-12, -5)),
        Subset(Unreadable(12, labels=np.array(WITH_GAPS)), range(7)),
        Subset(Unreadable(12, labels=torch.tensor(WITH_GAPS)), range(7)),
        Subset(Unreadable(12, labels=pd.Series(WITH_GAPS, index=range(50, 38, -1))), range(7)),
        Subset(Unreadable(12, labels=[*LABELS.tolist(), *[None] * 5]), range(7)),
        Subset(Unreadable(12, labels=[*LABELS.tolist(), *["unknown"] * 5]), range(7)),
        Subset(Unreadable(12, samples=[("", label) for label in WITH_GAPS]), range(7)),
        Subset(Unreadable(12, reader=SimpleNamespace(samples=[("", label) for label in WITH_GAPS])), range(7)),
        Subset(TensorDataset(torch.rand(12, 2), torch.tensor(WITH_GAPS)), range(7)),
        Subset(Subset(Unreadable(12, targets=WITH_GAPS), range(11)), range(7)),
        Subset(ConcatDataset([Unreadable(targets=LABELS), Unreadable(5, targets=[-1] * 5)]), range(7)),
        ConcatDataset([Subset(Unreadable(12, targets=WITH_GAPS), range(i, i + 1)) for i in range(7)]),
        Subset(Unreadable(12, targets=["abc"[i] for i in LABELS] + ["?"] * 5, target_transform="abc".index), range(7)),
    ],
)
def test_samples_that_a_subset_leaves_out_need_no_label(dataset: Any) -> None:
    np.testing.assert_array_equal(find_labels(dataset), LABELS)


def test_a_label_without_a_class_that_is_not_left_out_is_named() -> None:
    with pytest.raises(ValueError, match=r"sample 1 has -1.*Subset"):
        find_labels(Subset(Unreadable(12, targets=WITH_GAPS), [3, 8]))
    named = Unreadable(2, targets=["a", "?"], target_transform={"a": 0}.__getitem__)
    with pytest.raises(ValueError, match=r"target_transform of Unreadable fails for label '\?': KeyError.*Subset"):
        find_labels(named)
    with pytest.raises(TypeError, match=r"Sample 1 has no label \(None\)"):
        find_labels(Unreadable(2, targets=["a", "?"], target_transform={"a": 0}.get))


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (LABELS == 0, r"True and False.*np.flatnonzero\(mask\)"),
        ((LABELS == 0).tolist(), "True and False"),
        (torch.from_numpy(LABELS == 0), "True and False"),
        (torch.tensor([[0], [2]]), r"shape \(2, 1\).*ravel"),
        ([0.0, 1.0], "integers of shape .*float64"),
        ([0, 7], "holds index 7, and its data set has 7 samples"),
    ],
)
def test_a_subset_of_no_positions_is_refused(indices: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_labels(Subset(Unreadable(targets=LABELS), indices))


TRIPLES = [(f"{i}.png", 40 + i, int(label)) for i, label in enumerate(LABELS)]  # path, patient, label


@pytest.mark.parametrize(
    "attributes",
    [
        {"samples": TRIPLES},
        {"samples": [{"image": path, "label": label} for path, _, label in TRIPLES]},
        {"samples": [f"{i}1.png" for i in range(7)]},
        {"samples": pd.DataFrame({"path": ["a"] * 7, "label": LABELS})},
        {"labels": {path: label for path, _, label in TRIPLES}},
        {"labels": "a,b.csv"},
        {"labels": ["cat", "dog", "bird"]},  # the names of the classes
        {"targets": LABELS[:5]},
    ],
    ids=["triples", "dicts", "paths", "table", "by name", "a string of seven characters", "names of classes", "short"],
)
def test_what_is_no_label_for_each_sample_is_not_taken_for_it(attributes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"labels of Unreadable are not found.*labels="):
        find_labels(Unreadable(**attributes))
    pairs = [(f"{i}.png", int(label)) for i, label in enumerate(LABELS)]
    np.testing.assert_array_equal(find_labels(Unreadable(**{"_samples": pairs, **attributes})), LABELS)


def test_integers_are_taken_before_names() -> None:
    names = np.array(["cat", "dog", "bird"])[LABELS]
    pairs = [(f"{i}.png", int(label)) for i, label in enumerate(LABELS)]
    np.testing.assert_array_equal(find_labels(Unreadable(labels=names.tolist(), samples=pairs)), LABELS)


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
        ([0.0, 1.0], TypeError, r"integers.*float64.*whole numbers.*astype\(int\)"),
        (torch.tensor([0.5, 1.0]), TypeError, "integers.*float32.*Soft"),
        (["cat", "dog"], TypeError, r"'cat'.*names to indices.*np.unique\(names, return_inverse=True\)\[1\]"),
        (np.array(["cat", "dog"]), TypeError, "names to indices"),
        (pd.Series(["cat", "dog"], dtype="category"), TypeError, "names to indices"),
        ([b"cat", b"dog"], TypeError, "names to indices"),
        (["10", "2"], TypeError, r"digits.*int\(label\)"),  # np.unique would put 10 before 2
        ([None, 1], TypeError, r"integers.*Sample 0 has no label \(None\).*Subset"),
        ([0.0, np.nan], TypeError, r"Sample 1 has no label .*nan.*Subset"),
        (["cat", np.nan], TypeError, r"Sample 1 has no label \(nan\).*Subset"),
        (pd.Series([1, None], dtype="Int64"), TypeError, "Sample 1 has no label.*Subset"),
        (pd.Series([0, 1], index=[1, 0]), ValueError, "labels is a Series .*another order"),
        (pd.DataFrame({"file": ["a", "b"], "label": [0, 1]}), ValueError, r"one of the columns \['file', 'label'\]"),
        ([[0, 1], [1, 0]], ValueError, r"shape \(2,\).*\(2, 2\).*one-hot.*argmax"),
        ([[1, 1], [0, 0]], ValueError, r"shape \(2,\).*\(2, 2\).*Multi-label"),
        ([[0], [1, 2]], ValueError, "one value for each sample"),
        (encode_target(torch.tensor([0, 1]), torch.tensor([False, True])), ValueError, "sample 1 .*synthetic.*real"),
        ([0, 1, 1], ValueError, r"shape \(2,\).*\(3,\)"),
        ([0], ValueError, r"shape \(2,\).*\(1,\)"),
        ([0, -1], ValueError, "sample 1 has -1"),
        (torch.tensor([-100, 0]), ValueError, "sample 0 has -100"),
    ],
)
def test_what_is_no_class_index_is_refused_with_what_came(labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_labels(labels, 2)


def test_integers_of_a_table_are_class_indices_whatever_holds_them() -> None:
    for labels in (
        pd.Series(LABELS, index=range(10, 17)),
        pd.Series(LABELS, dtype="Int64"),
        pd.DataFrame({"label": LABELS}),
        LABELS.astype(object),
        LABELS[:, None].tolist(),
    ):
        checked = check_labels(labels, len(LABELS))
        assert checked.dtype == np.int64
        np.testing.assert_array_equal(checked, LABELS)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint64])
def test_checked_labels_are_int64_whatever_integers_came(dtype: Any) -> None:
    checked = check_labels(LABELS.astype(dtype), len(LABELS))
    assert checked.dtype == np.int64
    np.testing.assert_array_equal(checked, LABELS)
