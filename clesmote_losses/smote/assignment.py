"""Refuse attributes that a user sets on a finished SMOTEDataset, or on its base, and that nothing would read."""

import inspect
from collections.abc import Iterator
from typing import Any

from torch.utils.data import Dataset

from clesmote_losses.smote.base_dataset import epoch_holders, unwrapped
from clesmote_losses.smote.base_transform import transforms_of


def check_assignable(dataset: Any, name: str, kind: type) -> None:
    """Check that setting an attribute of a finished :class:`SMOTEDataset` has an effect, or that none is expected.

    Args:
        dataset: The finished data set.
        name: Attribute. ``transform``, and names that neither the class nor the base data set knows, may be set.
        kind: ``SMOTEDataset``, whose options and properties these are; a derived class may have its own attributes.

    Raises:
        AttributeError: If ``name`` is an option, a property, or an attribute of the base data set.
    """
    if name == "transform" or name.startswith("_"):
        return
    if name in inspect.signature(kind).parameters:
        raise AttributeError(f"{name} cannot be changed later. Pass {name}= when the {kind.__name__} is made.")
    is_property = isinstance(getattr(kind, name, None), property)
    is_of_base = any(hasattr(part, name) for part in (dataset.base, *unwrapped(dataset.base)))
    if is_property or is_of_base or name in ("transforms", "target_transform"):
        raise AttributeError(
            f"{name} has no effect when it is set on a {kind.__name__}. Set it on the data set (here a "
            f"{type(dataset.base).__name__}) before the {kind.__name__} is made of it; transform alone can be set later."
        )


class GivenBase:
    """The data set that a user gave, of which a :class:`SMOTEDataset` reads a copy if it has a transform.

    Args:
        base: The data set. A copy of this object in another process does not hold it, and checks nothing.
    """

    def __init__(self, base: Any) -> None:
        self._base, self._transforms = base, transforms_of(base)
        self._is_checked = transforms_of(base) == self._transforms  # else a property makes them anew

    def check_transforms(self) -> None:
        """Raise ``ValueError`` if the data set has other transforms than when it was given."""
        if not self._is_checked or transforms_of(self._base) == self._transforms:
            return
        name = type(self._base).__name__
        had, effect = "another", "does not reach the SMOTEDataset"
        if not any(self._transforms):
            had, effect = "no", "would change images before they are blended"
        raise ValueError(
            f"{name} had {had} transform when the SMOTEDataset was made of it. What it has now {effect}. Assign "
            f"it to the SMOTEDataset: train_set.transform = ... To read {name} in another way elsewhere, copy it."
        )

    def check_epoch(self, own: Any) -> None:
        """Raise ``ValueError`` if an attribute of the data set with "epoch" in its name has not reached the copy ``own``.

        Data sets whose ``set_epoch`` is called are left out.
        """
        of_base, of_own = (dict(_epochs_of(part, {*map(id, epoch_holders(part))})) for part in (self._base, own))
        if missed := [name for name, value in of_base.items() if of_own.get(name) != value]:
            raise ValueError(
                f"{missed[0]} of {type(self._base).__name__} was set after the SMOTEDataset was made of it, and does not reach the "
                "SMOTEDataset. Give the data set a method set_epoch(epoch) that sets it: train_set.set_epoch calls it."
            )

    def __getstate__(self) -> dict[str, Any]:
        self.check_transforms()  # before it is sent to a worker
        return {"_base": None, "_transforms": [], "_is_checked": False}


def _epochs_of(part: Any, seen: set[int]) -> Iterator[tuple[str, int]]:
    """Yield name and value of the attributes that number an epoch, of a data set and of those that it holds."""
    if not isinstance(part, Dataset) or id(part) in seen:
        return
    seen.add(id(part))
    for name, value in vars(part).items():
        if "epoch" in name and isinstance(value, int):
            yield name, value
        for held in value if isinstance(value, list) and len(value) < 100 else [value]:
            yield from _epochs_of(held, seen)
