"""What SMOTE must know of the user's data set: labels without decoding images, and raw images without the transform."""

import copy
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

Transform = Callable[[Any], Any]
Labels = NDArray[np.int64]


def check_base(base: Any) -> None:
    """Raise ``TypeError`` or ``ValueError`` if the samples of a data set cannot be looked up by index, or it has none."""
    if isinstance(base, IterableDataset) or not hasattr(base, "__getitem__") or not hasattr(base, "__len__"):
        raise TypeError(
            f"base must be a map-style data set of (image, label) with a length; got {type(base).__name__}. The images of an "
            "iterable data set cannot be looked up, which a blend of two needs."
        )
    if len(base) == 0:
        raise ValueError(f"base is empty: {type(base).__name__} of length 0.")


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


def split_transform(dataset: "Dataset[Any]") -> tuple["Dataset[Any]", Transform | None]:
    """Return a copy of the data set that yields raw images, and the image transform it had. The data set itself is not changed.

    The copy is shallow: images in memory are shared. The ``target_transform`` stays where it is.

    Raises:
        ValueError: If the parts of a ``ConcatDataset`` have different transforms, or image and label are transformed
            together.
    """
    transform = getattr(dataset, "transform", None)
    if isinstance(dataset, Subset) and (transform is None or type(dataset).__getitem__ is Subset.__getitem__):
        part = copy.copy(dataset)  # a subclass may read in its own way
        part.dataset, transform = split_transform(dataset.dataset)
        return part, transform
    if isinstance(dataset, ConcatDataset):
        parts, transforms = zip(*map(split_transform, dataset.datasets), strict=True)
        if any(transform is not transforms[0] for transform in transforms):
            raise ValueError(
                "the parts of the ConcatDataset have different transforms, so none of them fits a blend of two images. Give "
                "the parts the same transform object, or none and pass transform= to SMOTEDataset."
            )
        return ConcatDataset(parts), transforms[0]
    joint = getattr(dataset, "transforms", None)  # torchvision's VisionDataset holds the transform a second time
    takes_others = hasattr(dataset, "_max_retries")  # timm's ImageDataset, in the place of an image it cannot read
    if transform is None and joint is None and not takes_others:
        return dataset, None
    raw = copy.copy(dataset)
    if takes_others:
        raw._max_retries = 1  # type: ignore[attr-defined]
    if joint is not None:
        from torchvision.datasets.vision import StandardTransform

        if not isinstance(joint, StandardTransform):
            raise ValueError(
                f"{type(dataset).__name__} transforms image and label together (transforms=), which a blend of two images "
                "cannot pass through. Use transform= and target_transform=."
            )
        raw.transforms = StandardTransform(None, joint.target_transform)  # type: ignore[attr-defined]
    raw.transform = _unchanged  # type: ignore[attr-defined]  # not None: many data sets call it without asking
    return raw, transform


def image_path(dataset: "Dataset[Any]", index: int) -> str | None:
    """Return the path of sample ``index``, if the data set knows it."""
    if isinstance(dataset, Subset):
        return image_path(dataset.dataset, int(dataset.indices[index]))
    if isinstance(dataset, ConcatDataset):
        part = int(np.searchsorted(dataset.cumulative_sizes, index, side="right"))
        return image_path(dataset.datasets[part], index - (dataset.cumulative_sizes[part - 1] if part else 0))
    for holder in (dataset, getattr(dataset, "reader", None)):
        samples = getattr(holder, "samples", getattr(holder, "_samples", None))
        if isinstance(samples, list | tuple | np.ndarray):
            sample = samples[index]
            first = sample[0] if isinstance(sample, list | tuple) else sample
            return str(first) if isinstance(first, str | os.PathLike) else None
    return None


def image_names(dataset: "Dataset[Any]") -> list[str] | None:
    """Return folder and name of every image's file, ``"virus/person1.jpeg"``; ``None`` if the data set knows no files."""
    if len(dataset) == 0 or image_path(dataset, 0) is None:  # type: ignore[arg-type]
        return None
    paths = (image_path(dataset, i) or "" for i in range(len(dataset)))  # type: ignore[arg-type]
    return ["/".join(path.replace(os.sep, "/").split("/")[-2:]) for path in paths]


def _unchanged(*image: Any, **named: Any) -> Any:
    return image[0] if image else named  # albumentations is called transform(image=image)["image"]
