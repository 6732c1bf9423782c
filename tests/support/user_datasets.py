"""Ways to write a data set of medical images, and the two outcomes that each may have."""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import v2

from clesmote_losses import SMOTEDataset, decode_target
from clesmote_losses.smote.transform_probe import same

LABELS = np.random.default_rng(0).permutation([0] * 20 + [1] * 10)
ARRAYS = np.random.default_rng(1).integers(0, 256, (30, 12, 10, 3), dtype=np.uint8)
TO_FLOAT = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.25])]
AUGMENT = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomCrop((10, 8)), *TO_FLOAT])
CHECKED = [*np.flatnonzero(LABELS == 1)[:3].tolist(), *np.flatnonzero(LABELS == 0)[:3].tolist()]


class GivenItems(Dataset[Any]):
    """A data set of the given items; one that is a function is called for each reading."""

    def __init__(self, items: list[Any], **attributes: Any) -> None:
        self.items = items
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        item = self.items[index]
        return item() if callable(item) else item


class Scans(Dataset[Any]):
    """The usual data set: a list of labels, a transform, images that are loaded when they are asked for."""

    def __init__(self, transform: Any = AUGMENT) -> None:
        self.targets = LABELS.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(LABELS)

    def load(self, index: int) -> Any:
        return Image.fromarray(ARRAYS[index])

    def label(self, index: int) -> Any:
        return self.targets[index]

    def image(self, index: int) -> Any:
        image = self.load(index)
        return image if self.transform is None else self.transform(image)

    def __getitem__(self, index: int) -> Any:
        return self.image(index), self.label(index)


class Way(NamedTuple):
    """A way to write a data set.

    Attributes:
        make: Makes the data set.
        refused: A part of the message with which it is refused when made; by default its items must be the user's.
        options: Of ``SMOTEDataset``.
    """

    make: Callable[..., Any]
    refused: str | None = None
    options: dict[str, Any] = {}  # noqa: RUF012


def seed_all(seed: int, transform: Any) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if hasattr(transform, "set_random_seed"):  # albumentations has generators of its own
        transform.set_random_seed(seed)


def check_outcome(way: Way, base: Any) -> None:
    """Real items are those of the data set under the same random state and synthetic ones are like them, or it is refused."""
    if way.refused is not None:
        with pytest.raises((TypeError, ValueError), match=way.refused):
            SMOTEDataset(base, **way.options)
        return
    transform = getattr(base, "transform", None)
    train_set = SMOTEDataset(base, **way.options)
    assert getattr(base, "transform", None) == transform
    for index in CHECKED * 2:
        seed_all(index, transform)
        image, label = base[index]
        seed_all(index, transform)
        real, target = train_set[index]
        assert same(real, image), index
        assert decode_target(target) == (int(np.ravel(label)[0]), False)
    synthetic, target = train_set[len(train_set) - 1]
    assert decode_target(target) == (1, True)
    assert np.shape(synthetic) == np.shape(real)
    assert getattr(synthetic, "dtype", None) == getattr(real, "dtype", None)
