"""Images that a function of the index gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, Subset

from clesmote_losses import SMOTEDataset
from clesmote_losses.smote.base_dataset import image_path
from clesmote_losses.smote.images_by_index import ImagesByIndex
from tests.support import user_datasets
from tests.support.base_datasets import LABELS, Unreadable
from tests.support.user_datasets import ARRAYS, Scans


def test_images_by_index_have_the_paths_and_the_number_of_the_data_set() -> None:
    base = Unreadable(samples=[(f"a/{i}.png", label) for i, label in enumerate(LABELS)])
    images = ImagesByIndex(base, lambda index: index * 10, LABELS)
    assert [images[2], *images.__getitems__([0])] == [(20, LABELS[2]), (0, LABELS[0])]
    assert image_path(images, 3) == "a/3.png"
    assert len(images) == len(LABELS)
    with pytest.raises(TypeError, match=r"image must be a function .* got list"):
        ImagesByIndex(base, [1, 2], LABELS)


def to_float(image: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image).copy()).float() / 255


def to_bfloat(image: Any) -> torch.Tensor:
    return to_float(image).bfloat16()  # numpy has none


class Steady(Scans):
    """Makes its images by a function that it does not call its transform."""

    def __init__(self, convert: Any = to_float) -> None:
        super().__init__(None)
        self.convert = convert

    def image(self, index: int) -> Any:
        return self.convert(self.load(index))


KEEP = np.flatnonzero(np.arange(30) % 5).tolist()


@pytest.mark.parametrize("to_float", [to_float, to_bfloat])
def test_a_function_of_the_whole_data_set_is_refused_for_its_subset(to_float: Callable[[Any], Any]) -> None:
    base = Steady(to_float)
    subset = Subset(base, KEEP)
    with pytest.raises(
        ValueError, match=r"is another image than item 28 of Subset.*counts the samples.*subset\.indices\[i\]"
    ):
        SMOTEDataset(Subset(base, [*range(23), 24, 25, 26, 27, 28, 29]), image=base.load, transform=to_float)
    with pytest.raises(ValueError, match="another image than item"):
        SMOTEDataset(ConcatDataset([subset, subset]), image=lambda i: base.load(i % 30), transform=to_float)
    train_set = SMOTEDataset(subset, image=lambda i: base.load(KEEP[i]), transform=to_float)
    assert all(torch.equal(train_set[i][0], subset[i][0]) for i in range(len(subset)))


def brighter(image: Any) -> torch.Tensor:
    return to_float(image) + torch.rand(())


class Raw(Scans):
    """Gives raw images, and a third value."""

    def __getitem__(self, index: int) -> Any:
        return self.load(index), self.targets[index], f"{index}.png"


class Augmented(Scans):
    def image(self, index: int) -> Any:
        return brighter(self.load(index))


class NotThere(Scans):
    def image(self, index: int) -> Any:
        raise FileNotFoundError("on another machine")


def nearly(image: Any) -> torch.Tensor:
    return (to_float(image) * 255 + 0.3) / 255


@pytest.mark.parametrize(
    ("base", "transform"),
    [
        (Raw(), to_float),
        (Augmented(), to_float),
        (Augmented(), brighter),
        (Steady(), brighter),
        (Steady(), nearly),
        (NotThere(), to_float),
        (Steady(), None),  # assigned later
    ],
    ids=["raw items", "random items", "both random", "random transform", "rounding", "unreadable", "no transform"],
)
def test_a_function_is_not_refused_where_items_cannot_tell_that_it_is_wrong(
    base: Scans, transform: Callable[[Any], Any] | None
) -> None:
    state = torch.get_rng_state()
    train_set = SMOTEDataset(base, image=base.load, transform=transform)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.asarray(train_set.raw_image(7)), ARRAYS[7])
    assert len(train_set) == 2 * (user_datasets.LABELS == 0).sum()


def test_a_transform_that_steadily_gives_another_shape_or_other_values_is_refused_with_a_way_out() -> None:
    base = Steady()
    for other in (lambda image: to_float(image).permute(2, 0, 1), lambda image: 1 - to_float(image)):
        with pytest.raises(ValueError, match="let Steady return raw images, and drop image="):
            SMOTEDataset(base, image=base.load, transform=other)
