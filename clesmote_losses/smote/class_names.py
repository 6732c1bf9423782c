"""The names of the classes, where a data set knows them."""

from contextlib import suppress
from typing import Any

from clesmote_losses.smote.base_dataset import attribute_of


def class_to_index(dataset: Any) -> dict[str, int]:
    """Return the index of each class by its name; nothing if the data set, or timm's reader in it, does not know them.

    Nothing is returned either if the parts of a ``ConcatDataset`` differ in them.
    """
    with suppress(AttributeError):
        if isinstance(found := attribute_of(dataset, "class_to_idx"), dict):
            return {str(name): int(index) for name, index in found.items()}
    return {}


def names_by_index(dataset: Any) -> dict[int, str]:
    """Return the name of each class by its index, as :func:`class_to_index` finds it."""
    return {index: name for name, index in class_to_index(dataset).items()}


def differing_classes(train_set: Any, evaluation_set: Any) -> dict[str, tuple[int, int | str]]:
    """Return the classes of an evaluation set that have another index in training, where both sets know the names.

    Returns:
        For each name its index in evaluation, and that in training or ``"missing"``.
    """
    trained = class_to_index(train_set)
    return {
        name: (index, trained.get(name, "missing"))
        for name, index in class_to_index(evaluation_set).items()
        if trained and trained.get(name) != index
    }
