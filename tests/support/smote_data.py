"""Samplers and small images for the tests of the balanced data set."""

from typing import Any

import numpy as np
import pytest
import torch
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE
from torch.utils.data import Dataset, TensorDataset

from clesmote_losses import SMOTEDataset

SAMPLERS = {
    "SMOTE": SMOTE(k_neighbors=3, random_state=0),
    "BorderlineSMOTE 1": BorderlineSMOTE(k_neighbors=3, m_neighbors=7, random_state=1, kind="borderline-1"),
    "BorderlineSMOTE 2": BorderlineSMOTE(k_neighbors=3, m_neighbors=7, random_state=2, kind="borderline-2"),
    "ADASYN": ADASYN(n_neighbors=4, random_state=3),
}
EVERY_SAMPLER = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())


COUNTS = {0: 12, 1: 7, 2: 5}  # of the classes of the fixture `digits`


def with_options(sampler: Any, **options: Any) -> Any:
    return type(sampler)(**{**sampler.get_params(), **options})


def float_images(counts: dict[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images in [0, 1] of shape (3, 5, 4), classes overlapping, in random order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(list(counts), list(counts.values())))
    centers = 0.5 + 0.04 * rng.standard_normal((max(counts) + 1, 60))
    rows = np.clip(centers[labels] + 0.15 * rng.standard_normal((len(labels), 60)), 0, 1)
    return rows.astype(np.float32).reshape(-1, 3, 5, 4), labels


def tensor_dataset(counts: dict[int, int], seed: int = 0) -> TensorDataset:
    images, labels = float_images(counts, seed)
    return TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))


def to_array(image: Any) -> np.ndarray:
    if isinstance(image, torch.Tensor):
        return image.as_subclass(torch.Tensor).double().numpy()
    return np.asarray(image).astype(np.float64)


def synthetic_images(train_set: SMOTEDataset) -> np.ndarray:
    return np.stack([to_array(train_set[i][0]) for i in np.flatnonzero(train_set.is_synthetic)])


class Items(Dataset):
    """Any map-style data set: images of any kind, labels beside them. It counts what is read."""

    def __init__(self, images: list[Any], labels: Any, transform: Any = None) -> None:
        self.images, self.labels, self.transform = images, labels, transform
        self.reads: list[int] = []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        self.reads.append(index)
        image = self.images[index]
        return image if self.transform is None else self.transform(image), self.labels[index]


def counting(counts: dict[int, int]) -> Items:
    images, labels = float_images(counts)
    return Items(list(torch.from_numpy(images)), labels)
