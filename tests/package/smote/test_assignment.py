"""Attributes that are set on a finished data set."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from torch.utils.data import Subset

from clesmote_losses import SMOTEDataset
from tests.support.smote_data import Items, float_images


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target_transform", lambda label: 1 - label),
        ("transforms", lambda image, label: (image, label)),
        ("loader", lambda path: None),
        ("reader", []),
        ("return_index", True),
        ("targets", [0]),
        ("samples", []),
        ("labels", [0]),
        ("plan", None),
        ("indices", [0]),
        ("base", [0]),
        ("redraw", "epoch"),
        ("flag", "item"),
        ("image_size", 4),
        ("cache_mb", 0),
    ],
)
def test_an_attribute_set_later_raises_where_it_would_change_nothing(name: str, value: Any) -> None:
    images, labels = float_images({0: 30, 1: 8})
    base = Items(list(images), labels)
    base.loader, base.reader, base.return_index = (lambda path: path), [1], False  # type: ignore[attr-defined]
    train_set = SMOTEDataset(Subset(base, range(38)))
    with pytest.raises(AttributeError, match=rf"^{name} (has no effect|cannot be changed)"):
        setattr(train_set, name, value)


class Named(SMOTEDataset):
    def __init__(self, base: Any, name: str) -> None:
        super().__init__(base)
        self.name = name


def test_notes_transforms_copies_and_attributes_of_a_subclass_can_be_set() -> None:
    train_set = Named(Items(*float_images({0: 30, 1: 8})), "chest")
    train_set.comment = "first fold"
    train_set.transform = np.negative
    for same in (pickle.loads(pickle.dumps(train_set)), copy.deepcopy(train_set)):
        assert (same.name, same.comment, same.transform) == ("chest", "first fold", np.negative)
        assert np.array_equal(same[0][0], -train_set.raw_image(0))
