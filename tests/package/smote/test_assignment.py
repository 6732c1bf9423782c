"""Attributes that are set on a finished data set."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch.utils.data import Subset

from clesmote_losses import SMOTEDataset
from tests.support.smote_data import Items, float_images
from tests.support.user_datasets import ARRAYS, Scans


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


@pytest.mark.parametrize("wrap", [lambda base: base, lambda base: Subset(base, range(30))], ids=["plain", "Subset"])
@pytest.mark.parametrize("options", [{}, {"transform": np.asarray}], ids=["its transform", "transform="])
def test_a_transform_that_the_base_gets_later_is_refused_by_the_next_item_or_epoch(
    wrap: Callable[[Any], Any], options: dict[str, Any]
) -> None:
    base = Scans(np.array)
    train_set = SMOTEDataset(wrap(base), **options)
    train_set.transform = np.negative  # as timm's create_loader does
    assert np.array_equal(train_set[3][0], np.negative(ARRAYS[3]))
    base.transform = np.negative
    message = r"had another transform when .* does not reach the SMOTEDataset\. Assign it .* train_set\.transform ="
    for use in (lambda: train_set[3], lambda: train_set.set_epoch(1), lambda: pickle.dumps(train_set)):
        with pytest.raises(ValueError, match=message):
            use()


def test_a_transform_that_a_property_makes_anew_is_no_other_transform() -> None:
    class MadeAnew(Scans):
        transform = property(lambda self: lambda image: np.asarray(image), lambda self, value: None)  # type: ignore[assignment]

    base = MadeAnew()
    train_set = SMOTEDataset(base, image=base.load, transform=np.asarray)
    train_set.set_epoch(1)
    assert np.array_equal(train_set[3][0], ARRAYS[3])
