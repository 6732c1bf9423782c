"""Data sets and options that the balanced data set refuses, and what it says."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE, SVMSMOTE
from torch.utils.data import IterableDataset, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import FakeData, ImageFolder

from clesmote_losses import SMOTEDataset
from tests.support.smote_data import (
    Items,
    float_images,
    tensor_dataset,
)


class Flipping(Items):
    """Augments inside __getitem__, as many tutorials do."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, label = super().__getitem__(index)
        return transforms.functional.hflip(image) if torch.rand(()) < 0.5 else image, label


@pytest.mark.parametrize("given", ["plan", "features", "nothing"])
def test_a_base_that_augments_by_itself_is_refused_every_time(given: str) -> None:
    images, labels = float_images({0: 60, 1: 40})
    steady, flipping = (kind_(list(torch.from_numpy(images)), labels) for kind_ in (Items, Flipping))
    options: dict[str, Any] = {
        "plan": {"plan": SMOTEDataset(steady).plan},
        "features": {"features": np.random.default_rng(0).standard_normal((100, 2))},
        "nothing": {},
    }[given]
    for seed in range(30):
        torch.manual_seed(seed)
        with pytest.raises(ValueError, match=r"Flipping draws random numbers for index \d+.*transform="):
            SMOTEDataset(flipping, **options)


def truncate(path: Path) -> bytes:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 60])
    return content


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, list(range(2, 24)))], ids=["ImageFolder", "Subset"])
def test_a_truncated_jpeg_is_named_by_index_and_path(wrap: Callable[[Any], Any], digits: Path) -> None:
    base = wrap(ImageFolder(str(digits)))
    path = digits / "1" / "02.jpg"
    index = ImageFolder(str(digits)).samples.index((str(path), 1)) - (24 - len(base))
    content = truncate(path)
    try:
        with pytest.raises(RuntimeError, match=rf"real image {index} \({path}\) cannot be read: OSError: .*truncated"):
            SMOTEDataset(base, sampler=SMOTE(k_neighbors=2))
    finally:
        path.write_bytes(content)


def test_a_truncated_jpeg_of_a_class_that_needs_none_is_named_when_it_is_asked_for(digits: Path) -> None:
    path = digits / "0" / "04.jpg"
    content = truncate(path)
    try:
        train_set = SMOTEDataset(ImageFolder(str(digits)), sampler=SMOTE(k_neighbors=2))
        with pytest.raises(RuntimeError, match=rf"real image 4 \({path}\) cannot be read"):
            train_set[4]
    finally:
        path.write_bytes(content)


class Mislabelled(Items):
    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.images[index], 1 - self.labels[index]


def test_items_with_other_labels_than_the_list_are_refused_unless_labels_are_passed() -> None:
    images, labels = float_images({0: 20, 1: 10})
    base = Mislabelled(list(images), labels)
    with pytest.raises(ValueError, match=r"real sample \d+ has label 0, but the data set's list of labels says 1"):
        SMOTEDataset(base)
    regrouped = SMOTEDataset(base, labels=labels)
    assert [regrouped[i][1] for i in range(30)] == labels.tolist()


class Endless(IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        yield from ()


@pytest.mark.parametrize(
    ("base", "options", "error", "message"),
    [
        (FakeData(20), {}, ValueError, "labels of FakeData are not found.*labels="),
        (Endless(), {}, TypeError, "map-style.*Endless"),
        (object(), {}, TypeError, "map-style.*object"),
        (TensorDataset(torch.empty(0, 1), torch.empty(0).long()), {}, ValueError, "empty: TensorDataset"),
        (tensor_dataset({0: 20, 1: 3}), {}, ValueError, r"stratum .*1.* has 3 sample\(s\); 6 are needed.*shrink_k"),
        (tensor_dataset({0: 20, 1: 9}), {"labels": [0.5] * 29}, TypeError, "class indices"),
        (tensor_dataset({0: 20, 1: 9}), {"labels": [-1] * 29}, ValueError, "0 or more"),
        (tensor_dataset({0: 20, 1: 9}), {"labels": np.zeros((29, 2), int)}, ValueError, r"\(29,\).*\(29, 2\)"),
        (tensor_dataset({0: 20, 1: 9}), {"labels": [0] * 28}, ValueError, r"\(29,\).*\(28,\)"),
        (tensor_dataset({0: 20, 1: 9}), {"strata": [0] * 28}, ValueError, r"strata must have shape \(29,\)"),
        (tensor_dataset({0: 20, 1: 9}), {"strata": [0] * 29}, ValueError, "stratum .*0.* classes"),
        (tensor_dataset({0: 20, 1: 9}), {"redraw": "batch"}, ValueError, "redraw.*'never', 'epoch'.*'batch'"),
        (tensor_dataset({0: 20, 1: 9}), {"flag": "bit"}, ValueError, "flag.*'target', 'item'.*'bit'"),
        (tensor_dataset({0: 20, 1: 9}), {"small_class": "x"}, ValueError, "small_class.*shrink_k"),
        (tensor_dataset({0: 20, 1: 9}), {"image_size": (0, 4)}, ValueError, "image_size.*height, width"),
        (tensor_dataset({0: 20, 1: 9}), {"image_size": (4, 4, 3)}, ValueError, "image_size.*height, width"),
        (tensor_dataset({0: 20, 1: 9}), {"sampler": SVMSMOTE()}, TypeError, "RandomOverSampler; got SVMSMOTE"),
        (tensor_dataset({0: 20, 1: 9}), {"sampler": SMOTE}, TypeError, r"got SMOTE \(the class\)"),
        (tensor_dataset({0: 20, 1: 9}), {"sampler": SMOTE(), "redraw": "epoch"}, ValueError, "int random_state"),
        (tensor_dataset({0: 20, 1: 9}), {"features": torch.rand(28, 2)}, ValueError, r"\(29, D\).*\(28, 2\)"),
        (SMOTEDataset(tensor_dataset({0: 20, 1: 9})), {}, TypeError, "SMOTEDataset already"),
        (Items([1] * 20, [0] * 12 + [1] * 8), {}, TypeError, "PIL images, arrays or tensors; got int"),
        (Items([torch.full((2,), torch.nan)] * 20, [0] * 12 + [1] * 8), {}, ValueError, "NaN"),
    ],
)
def test_bad_input_is_refused_with_what_was_wanted_and_what_came(
    base: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SMOTEDataset(base, **options)


class Triples(Items):
    def __getitem__(self, index: int) -> Any:
        return self.images[index], self.labels[index], index


def test_items_that_are_no_pairs_are_refused() -> None:
    images, labels = float_images({0: 20, 1: 10})
    with pytest.raises(TypeError, match=r"must give \(image, label\); item \d+ is a tuple of 3"):
        SMOTEDataset(Triples(list(images), labels))
