"""What the balanced data set tells about its samples, as torchvision's data sets do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm.data
from imblearn.over_sampling import SMOTE
from torch.utils.data import ConcatDataset, Subset, WeightedRandomSampler
from torchvision.datasets import ImageFolder

from clesmote_losses import SMOTEDataset, decode_target
from tests.support.smote_data import COUNTS, tensor_dataset

SAMPLER = SMOTE(k_neighbors=3, random_state=0)


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, range(len(d))), lambda d: ConcatDataset([d, d])])
def test_classes_targets_and_samples_of_an_image_folder(wrap: Any, digits: Path) -> None:
    folder = ImageFolder(str(digits))
    base = wrap(folder)
    train_set = SMOTEDataset(base, sampler=SAMPLER)
    assert train_set.classes == folder.classes == ["0", "1", "2"]
    assert train_set.class_to_idx == folder.class_to_idx
    assert train_set.targets == [decode_target(train_set[i][1])[0] for i in range(len(train_set))]
    assert {type(target) for target in train_set.targets} == {int}
    real = [sample for _ in range(len(base) // len(folder)) for sample in folder.samples]
    assert train_set.samples[: len(base)] == real
    made = train_set.samples[len(base) :]
    assert made == [(None, label) for label in train_set.labels[len(base) :]]
    assert len(made) > 0  # a path of a parent would be taken for the image


def test_weights_of_the_targets_draw_synthetic_samples_too(digits: Path) -> None:
    train_set = SMOTEDataset(ImageFolder(str(digits)), sampler=SAMPLER)
    counts = np.bincount(train_set.targets)
    assert counts.tolist() == [max(COUNTS.values())] * 3
    weights = 1 / counts[train_set.targets]
    drawn = list(WeightedRandomSampler(weights.tolist(), len(weights)))
    assert max(drawn) >= sum(COUNTS.values())


def test_timms_folder_has_the_indices_of_its_classes(digits: Path) -> None:
    train_set = SMOTEDataset(timm.data.create_dataset("", root=str(digits)), sampler=SAMPLER)
    assert train_set.class_to_idx == {"0": 0, "1": 1, "2": 2}
    assert [label for _, label in train_set.samples] == train_set.targets
    assert not hasattr(train_set, "classes")


def test_names_of_other_classes_than_those_of_the_passed_labels_are_not_told(digits: Path) -> None:
    folder = ImageFolder(str(digits))
    same = SMOTEDataset(folder, labels=folder.targets, sampler=SAMPLER)
    assert same.classes == folder.classes
    merged = SMOTEDataset(folder, labels=np.minimum(folder.targets, 1), sampler=SAMPLER)
    for name in ("classes", "class_to_idx"):
        with pytest.raises(
            AttributeError, match=f"{name} of ImageFolder does not belong to the labels= that were passed"
        ):
            getattr(merged, name)
    assert [label for _, label in merged.samples] == merged.targets


def test_what_the_base_does_not_know_is_no_attribute(digits: Path) -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 9}), sampler=SAMPLER)
    assert not any(hasattr(train_set, name) for name in ("classes", "class_to_idx", "samples"))
    assert train_set.targets == train_set.labels.tolist()
    one, other = ImageFolder(str(digits)), ImageFolder(str(digits))
    other.classes = ["zero", "one", "two"]
    assert not hasattr(SMOTEDataset(ConcatDataset([one, other]), sampler=SAMPLER), "classes")


@pytest.mark.parametrize("wrap", [lambda d: Subset(d, range(30)), lambda d: ConcatDataset([d.base, d])])
def test_a_wrapped_smote_dataset_is_no_base(wrap: Any) -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 9}), sampler=SAMPLER)
    with pytest.raises(
        TypeError, match=r"holds a SMOTEDataset already, and SMOTE takes real images. Pass the real data set"
    ):
        SMOTEDataset(wrap(train_set))
