"""Class labels of the user's data set, found without decoding an image."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

Labels = NDArray[np.int64]


def find_labels(dataset: "Dataset[Any]") -> Labels:
    """Find the class index of every sample, int64, shape ``(N,)``, from what the data set already holds: no image is read.

    Knows torchvision's data sets (``targets``, ``labels``, ``samples``), timm's ``ImageDataset``, ``TensorDataset``,
    ``Subset`` and ``ConcatDataset``, and applies a ``target_transform``.

    Raises:
        TypeError: If labels are found but are no class indices.
        ValueError: If no labels are found.
    """
    if isinstance(dataset, Subset):
        return find_labels(dataset.dataset)[np.asarray(dataset.indices, dtype=np.int64)]
    if isinstance(dataset, ConcatDataset):
        return np.concatenate([find_labels(part) for part in dataset.datasets])
    found: Any = None
    if isinstance(dataset, TensorDataset):
        found = dataset.tensors[1] if len(dataset.tensors) == 2 else None
    else:
        # timm's ImageDataset keeps its list in a reader
        for holder in (dataset, getattr(dataset, "reader", None)):
            for name in ("targets", "labels", "_labels", "samples", "_samples"):
                if found is None and (value := getattr(holder, name, None)) is not None and not callable(value):
                    found = [sample[1] for sample in value] if name.endswith("samples") else value
    if found is None:
        raise ValueError(
            f"the labels of {type(dataset).__name__} are not found without reading its images (no targets, labels or samples). "
            "Pass labels=[...], one class index for each sample."
        )
    if (target_transform := getattr(dataset, "target_transform", None)) is not None:
        if getattr(found, "ndim", 0) == 1:  # it may look labels up in a dict, where a tensor is no key
            found = found.tolist()
        found = [target_transform(label) for label in found]
    return check_labels(found, len(dataset))  # type: ignore[arg-type]


def check_labels(labels: Any, length: int) -> Labels:
    """Convert labels to int64 of shape ``(length,)``.

    Raises:
        TypeError: If they are no integers.
        ValueError: If their shape is wrong or one is negative.
    """
    array = np.asarray(labels.cpu() if isinstance(labels, torch.Tensor) else labels)
    if array.ndim == 2 and array.shape[1] == 1:  # medmnist
        array = array[:, 0]
    if array.dtype.kind not in "iub":
        raise TypeError(
            f"labels must be class indices (integers); got {array.dtype}. Soft, multi-label or named labels cannot be "
            "over-sampled by SMOTE; map names to indices 0 ... C-1."
        )
    if array.shape != (length,):
        raise ValueError(f"labels must have shape {(length,)}, one for each sample of the data set; got {array.shape}.")
    if (array < 0).any():
        first = int(np.flatnonzero(array < 0)[0])
        raise ValueError(
            f"labels must be 0 or more; sample {first} has {array[first]}. Leave samples without a label out (Subset)."
        )
    return array.astype(np.int64)
