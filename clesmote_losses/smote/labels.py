"""Class labels of the user's data set, found without decoding an image."""

from collections.abc import Sized
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from clesmote_losses.errors import shortened
from clesmote_losses.smote.base_dataset import subset_indices, unwrapped
from clesmote_losses.smote.columns import advice_for_subset, gaps_in, to_array
from clesmote_losses.targets import decode_target

Labels = NDArray[np.int64]


def find_labels(dataset: "Dataset[Any]") -> Labels:
    """Find the class index of every sample, int64, shape ``(N,)``, from what the data set already holds: no image is read.

    Knows torchvision's data sets (``targets``, ``labels``, ``samples``), timm's ``ImageDataset``, ``TensorDataset``,
    ``Subset`` and ``ConcatDataset``, and applies a ``target_transform``. Samples that a ``Subset`` leaves out need no label.

    Raises:
        TypeError: If labels are found but are no class indices.
        ValueError: If no labels are found, or the ``target_transform`` fails.
    """
    if (found := own_labels(dataset)) is None:
        raise ValueError(
            f"the labels of {type(dataset).__name__} are not found without reading its images (no targets, labels, or samples "
            f"of (path, label), one for each sample{_of_other_length(dataset)}). Pass labels=[...], one class index for each sample."
        )
    return check_labels(found, len(dataset))  # type: ignore[arg-type]


def own_labels(dataset: "Dataset[Any]") -> Any:
    """Return the labels that the data set holds, of any kind, one for each sample; ``None`` if it holds none."""
    return _labels_at(dataset, np.arange(len(dataset)))  # type: ignore[arg-type]


def _labels_at(dataset: "Dataset[Any]", indices: NDArray[np.int64]) -> Any:
    if isinstance(dataset, Subset):
        return _labels_at(dataset.dataset, subset_indices(dataset)[indices])
    if isinstance(dataset, ConcatDataset):
        labels: list[Any] = [None] * len(indices)
        part_of = np.searchsorted(dataset.cumulative_sizes, indices, side="right")
        for part in np.unique(part_of).tolist():
            places = np.flatnonzero(part_of == part)
            start = dataset.cumulative_sizes[part - 1] if part else 0
            of_part = _labels_at(dataset.datasets[part], indices[places] - start)
            if of_part is None:
                return None
            for place, label in zip(places.tolist(), of_part, strict=True):
                labels[place] = label
        return labels
    if (column := _label_column(dataset)) is None:
        return None
    found: Any = [column[i] for i in indices.tolist()] if isinstance(column, list) else column[indices]
    if (target_transform := getattr(dataset, "target_transform", None)) is None:
        return found
    transformed = []
    # it may look labels up in a dict, where a tensor is no key
    for label in found.tolist() if getattr(found, "ndim", 0) == 1 else found:
        try:
            transformed.append(target_transform(label))
        except Exception as error:
            raise ValueError(
                f"target_transform of {type(dataset).__name__} fails for label {label!r}: {type(error).__name__}: {shortened(error)}. Leave "
                "samples without a class out (Subset)."
            ) from error
    return transformed


def _label_column(dataset: "Dataset[Any]") -> Any:
    """Return the labels that a data set of no known wrapper holds, as a list or an array; integers before others."""
    if isinstance(dataset, TensorDataset):
        return dataset.tensors[1].detach().cpu().numpy() if len(dataset.tensors) == 2 else None
    columns = []
    # timm's ImageDataset keeps its list in a reader
    for holder in (dataset, getattr(dataset, "reader", None)):
        for name in ("targets", "labels", "_labels", "samples", "_samples"):
            value = getattr(holder, name, None)
            if callable(value) or isinstance(value, str | bytes | dict) or not isinstance(value, Sized):
                continue
            if len(value) != len(dataset):  # type: ignore[arg-type]  # such as the names of the classes
                continue
            if name.endswith("samples"):
                if not isinstance(value, list | tuple | np.ndarray) or not all(map(_is_pair, value)):
                    continue  # of (path, patient, label), the second is no label
                value = [label for _, label in value]
            if isinstance(value, torch.Tensor):
                value = value.detach().cpu().numpy()
            columns.append(list(value) if isinstance(value, list | tuple) else np.asarray(value))
    is_integer = (column for column in columns if np.asarray(column[0]).dtype.kind in "iub")
    return next(is_integer, columns[0] if columns else None)


def _of_other_length(dataset: "Dataset[Any]") -> str:
    """Say which attribute would hold the labels if it had another length."""
    for part in unwrapped(dataset):
        for name in ("targets", "labels"):
            value, length = getattr(part, name, None), len(part)
            if isinstance(value, Sized) and not isinstance(value, str | bytes | dict) and len(value) != length:
                return f"; {type(part).__name__}.{name} holds {len(value)} values for {length} samples"
    return ""


def _is_pair(sample: Any) -> bool:
    return isinstance(sample, list | tuple | np.ndarray) and len(sample) == 2


def check_labels(labels: Any, length: int) -> Labels:
    """Convert labels to int64 of shape ``(length,)``.

    Raises:
        TypeError: If they are no integers.
        ValueError: If their shape is wrong or one is negative.
    """
    array = to_array("labels", labels)
    if array.shape != (length,):
        raise ValueError(
            f"labels must have shape {(length,)}, one for each sample of the data set; got {array.shape}.{_advice_for_table(array, labels)}{advice_for_subset('labels', len(array), length) if array.ndim == 1 else ''}"
        )
    if array.dtype == object and all(isinstance(label, int | np.integer) for label in array):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise TypeError(f"labels must be class indices (integers); got {array.dtype}. {_advice(array)}")
    if (array < 0).any():
        first = int(np.flatnonzero(array < 0)[0])
        raise ValueError(
            f"labels must be 0 or more; sample {first} has {array[first]}. Leave samples without a label out (Subset)."
        )
    if (is_synthetic := decode_target(array.astype(np.int64))[1]).any():
        first = int(np.flatnonzero(is_synthetic)[0])
        raise ValueError(
            f"sample {first} has the target of a synthetic sample, {array[first]}, and SMOTE takes real images. Pass the data "
            "set that the SMOTEDataset was made of."
        )
    return array.astype(np.int64)


def _advice(array: NDArray[Any]) -> str:
    """Say how labels of another kind become class indices."""
    if gaps := gaps_in(array):
        return f"Sample {gaps[0]} has no label ({array[gaps[0]]!r}). Leave samples without a label out (Subset)."
    if array.dtype.kind == "f" and (array == array.round()).all():
        return "They are whole numbers: pass labels=np.asarray(labels).astype(int)."
    if all(isinstance(label, str | bytes) for label in array):
        if all(label.isdigit() for label in array):
            return "They are digits: pass labels=[int(label) for label in labels]."
        return (
            f"They are names such as {array[0]!r}: map names to indices 0 ... C-1, as labels=np.unique(names, "
            "return_inverse=True)[1] does in the order of the alphabet, and in the same way for validation."
        )
    return "Soft labels cannot be over-sampled by SMOTE."


def _advice_for_table(array: NDArray[Any], labels: Any) -> str:
    if array.ndim != 2:
        return ""
    if hasattr(labels, "columns"):
        return f" Pass one of the columns {list(labels.columns)}."
    if array.dtype.kind in "iubf" and np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all():
        return " They are one-hot: pass labels=labels.argmax(1)."
    return " Multi-label data cannot be over-sampled by SMOTE; pass the one label that it shall balance."
