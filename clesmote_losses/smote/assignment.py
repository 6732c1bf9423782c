"""Refuse attributes that a user sets on a finished SMOTEDataset and that nothing would read."""

import inspect
from typing import Any

from clesmote_losses.smote.base_dataset import unwrapped


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
