"""What SMOTE must know of the user's data set beside labels and transform: whether it fits, and the names of its files."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset


def check_base(base: Any) -> None:
    """Raise ``TypeError`` or ``ValueError`` if the samples of a data set cannot be looked up by index, or it has none."""
    if isinstance(base, IterableDataset) or not hasattr(base, "__getitem__") or not hasattr(base, "__len__"):
        raise TypeError(
            f"base must be a map-style data set of (image, label) with a length; got {type(base).__name__}. The images of an "
            "iterable data set cannot be looked up, which a blend of two needs."
        )
    if len(base) == 0:
        raise ValueError(f"base is empty: {type(base).__name__} of length 0.")


def unwrapped(dataset: Any) -> Iterator[Any]:
    """Yield the data sets inside ``Subset`` and ``ConcatDataset``."""
    if isinstance(dataset, Subset):
        yield from unwrapped(dataset.dataset)
    elif isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from unwrapped(part)
    else:
        yield dataset


def subset_indices(subset: "Subset[Any]") -> NDArray[np.int64]:
    """Return the indices of a ``Subset`` in its data set, counted from 0, int64, shape ``(N,)``.

    Raises:
        ValueError: If they are a mask, no list of integers, or out of range.
    """
    indices, length = np.asarray(subset.indices), len(subset.dataset)  # type: ignore[arg-type]
    if indices.size and indices.dtype == bool:
        raise ValueError(
            "the indices of the Subset are True and False, which torch reads as 1 and 0. Pass positions: np.flatnonzero(mask)."
        )
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        raise ValueError(
            f"the indices of the Subset must be integers of shape (N,); got {indices.dtype} of shape {indices.shape}. Pass "
            "indices.ravel().tolist()."
        )
    indices = indices.astype(np.int64)
    if len(wrong := indices[(indices < -length) | (indices >= length)]):
        raise ValueError(f"the Subset holds index {wrong[0]}, and its data set has {length} samples.")
    return np.where(indices < 0, indices + length, indices)


def attribute_of(dataset: "Dataset[Any]", name: str) -> Any:
    """Return an attribute of a data set, found through ``Subset`` and ``ConcatDataset``, or that of timm's reader.

    Raises:
        AttributeError: If there is none, or the parts of a ``ConcatDataset`` differ in it.
    """
    parts = list(unwrapped(dataset))
    first, *others = (getattr(part if hasattr(part, name) else getattr(part, "reader", part), name) for part in parts)
    if any(other != first for other in others):
        raise AttributeError(f"the parts of the ConcatDataset differ in {name}.")
    return first


def forward_epoch(dataset: Any, epoch: int) -> bool:
    """Call ``set_epoch`` of each data set of :func:`epoch_holders`, and return whether there is one."""
    holders = {id(holder): holder for holder in epoch_holders(dataset)}
    for holder in holders.values():
        holder.set_epoch(epoch)
    return bool(holders)


def epoch_holders(dataset: Any) -> Iterator[Any]:
    """Yield a data set, or those inside ``Subset`` and ``ConcatDataset``, where it has a method ``set_epoch``."""
    if hasattr(dataset, "set_epoch"):
        yield dataset
    elif isinstance(dataset, Subset):
        yield from epoch_holders(dataset.dataset)
    elif isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from epoch_holders(part)


def has_epoch(dataset: Any, index: int) -> bool:
    """Return whether sample ``index`` is of one of the :func:`epoch_holders`."""
    if hasattr(dataset, "set_epoch"):
        return True
    held = _held(dataset, index)
    return held is not None and has_epoch(*held)


def _held(dataset: Any, index: int) -> tuple[Any, int] | None:
    """Return the data set that a ``Subset`` or ``ConcatDataset`` has sample ``index`` from, and the index there."""
    if isinstance(dataset, Subset):
        return dataset.dataset, int(dataset.indices[index])
    if isinstance(dataset, ConcatDataset):
        index %= len(dataset)
        part = int(np.searchsorted(dataset.cumulative_sizes, index, side="right"))
        return dataset.datasets[part], index - (dataset.cumulative_sizes[part - 1] if part else 0)
    return None


def image_path(dataset: "Dataset[Any]", index: int) -> str | None:
    """Return the path of sample ``index``, if the data set knows it."""
    if held := _held(dataset, index):
        return image_path(*held)
    for holder in (dataset, getattr(dataset, "reader", None)):
        samples = getattr(holder, "samples", getattr(holder, "_samples", None))
        if isinstance(samples, list | tuple | np.ndarray) and len(samples) == len(dataset):  # type: ignore[arg-type]
            sample = samples[index]
            first = sample[0] if isinstance(sample, list | tuple) else sample
            return str(first) if isinstance(first, str | os.PathLike) else None
    return None


def image_names(dataset: "Dataset[Any]") -> list[str] | None:
    """Return folder and name of every image's file, ``"virus/person1.jpeg"``; ``None`` if the data set knows no files."""
    if len(dataset) == 0 or image_path(dataset, 0) is None:  # type: ignore[arg-type]
        return None
    return [folder_and_name(image_path(dataset, i) or "") for i in range(len(dataset))]  # type: ignore[arg-type]


def folder_and_name(path: str) -> str:
    """Return the last folder and the name of a file, ``"virus/person1.jpeg"``."""
    return "/".join(path.replace(os.sep, "/").split("/")[-2:])
