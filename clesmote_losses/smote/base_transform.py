"""Split a data set into raw images and its image transform."""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch.utils.data import ConcatDataset, Dataset, Subset

from clesmote_losses.errors import shortened
from clesmote_losses.restore import preserved_rng
from clesmote_losses.smote.labels import Labels
from clesmote_losses.smote.transform_probe import (
    Transform,
    TransformProbe,
    apply_transform,
    is_steadily_other,
)

_REMEDY = (
    "Let it call the transform once, as its last step. Or pass image=, a function that returns the raw image of an index, and "
    "transform=, a function that does all that follows. The index counts the samples of base (of the Subset, if it is one)."
)


def split_transform(
    dataset: "Dataset[Any]",
    read: Callable[["Dataset[Any]", int], Any] = lambda dataset, index: dataset[index][0],
    *,
    labels: Labels | None = None,
    remedy: str = _REMEDY,
    compare: bool = True,
) -> tuple["Dataset[Any]", Transform | None, TransformProbe | None]:
    """Return a copy of the data set that yields raw images, the image transform it had, and the probe that took its place.

    The data set itself is not changed. The copy is shallow: images in memory are shared. The ``target_transform`` stays in
    place. A few items are read, to see that they are what the transform makes of the raw images.

    Args:
        dataset: Map-style data set. Without a transform, no item is read.
        read: Returns the image of an item of a data set.
        labels: Class index of every sample: one of each class is read.
        remedy: The end of error messages.
        compare: Compare the transformed raw images with the images of the data set. Without it, the transform is replaced
            by another: the parts of a ``ConcatDataset`` may have different ones.

    Raises:
        ValueError: If the transform cannot be split off without a change of the images.
    """
    leaves = _leaves(dataset)
    transforms = transforms_of(dataset)
    transform = transforms[0]
    differ = any(other != transform for other in transforms)
    if differ:
        if compare:
            raise ValueError(
                "the parts of the ConcatDataset have different transforms, so none of them fits a blend of two images. Give "
                "the parts the same transform object, or pass transform= to SMOTEDataset, which then replaces them all."
            )
        if any(other is None for other in transforms):
            raise ValueError(
                "some parts of the ConcatDataset have a transform that transform= replaces, and others have none. Give these "
                "one too; a function that returns its image will do."
            )
    if transform is None and not any(hasattr(leaf, "_max_retries") for leaf in leaves):
        return dataset, None, None
    probe = TransformProbe(type(leaves[0]).__name__, remedy)
    try:
        raw = _copy_with(probe, transforms, dataset, leaves)
        own: Any = _copy_with(twin(transform), transforms, dataset, leaves) if compare else None
    except Exception as error:
        raise probe.refusal(f"cannot be copied ({type(error).__name__}: {error})") from error
    if transform is None:
        return raw, None, None
    watched, compared = None if differ else twin(transform), twin(transform)
    for index in some_indices(dataset, labels):
        with preserved_rng():
            image = _read_transformed(own, raw, index, read) if compare else None
        with preserved_rng():
            raw_image = probe.read_raw(raw, index, watched)
        if not compare:
            continue

        def read_own(index: int = index) -> Any:
            with preserved_rng():
                return read(own, index)

        def transform_raw(raw_image: Any = raw_image) -> Any:
            with preserved_rng():
                return apply_transform(probe.by_name(compared), copy.copy(raw_image))

        if is_steadily_other(image, read_own, transform_raw):
            raise probe.refusal(f"gives another image {index} than its transform of the raw image")
    unread = _copy_with(probe, transforms, dataset, leaves)
    return unread, probe.by_name(transform), probe


def _read_transformed(own: Any, raw: Any, index: int, read: Callable[[Any, int], Any]) -> Any:
    """Read an image through its transform, and tell a transform that fails from an image that cannot be read."""
    try:
        return read(own, index)
    except RuntimeError as error:
        try:
            read(raw, index)
        except Exception:
            raise error from error.__cause__
        cause = error.__cause__ or error
        raise RuntimeError(
            f"the transform of the data set fails for image {index}: {type(cause).__name__}: {shortened(cause).rstrip('.')}. It is called with one "
            "image; what needs a batch or labels (mixup, cutmix) has its place after the loader."
        ) from cause


def reading_copy(dataset: Any) -> Any:
    """Copy a data set to read it here: a file that its first reading opens (HDF5) must not be handed to worker processes."""
    try:
        return _copy_with(None, [], dataset, [], copies_lists=False)
    except Exception:  # some cannot be copied
        return dataset


def transforms_of(dataset: Any) -> list[Transform | None]:
    """Return the transform of each part of a data set that calls one, or could."""
    return [_transform_of(leaf) for leaf in _leaves(dataset)]


def _leaves(dataset: Any) -> list[Any]:
    """Return the data sets whose transforms are called: what a ``Subset`` or ``ConcatDataset`` without an own one holds."""
    for kind, name in ((Subset, "dataset"), (ConcatDataset, "datasets")):
        if isinstance(dataset, kind) and (
            type(dataset).__getitem__ is kind.__getitem__ or _transform_of(dataset) is None
        ):
            held = getattr(dataset, name)
            return [leaf for part in (held if isinstance(held, list) else [held]) for leaf in _leaves(part)]
    return [dataset]


def _transform_of(dataset: Any) -> Transform | None:
    transform, transforms = (getattr(dataset, name, None) for name in ("transform", "transforms"))
    if not callable(transform) and callable(transforms):
        from torchvision.datasets.vision import StandardTransform  # holds the transforms of image and label

        transform = transforms.transform if isinstance(transforms, StandardTransform) else transforms
    return transform if callable(transform) else None


def _copy_with(
    stand_in: Any, transforms: Sequence[Any], dataset: Any, leaves: Sequence[Any], *, copies_lists: bool = True
) -> Any:
    """Copy a data set and those that it holds, with ``stand_in`` wherever they hold one of the transforms.

    Lists and dicts are copied too, because a data set may keep images in them; what is in them is shared.
    """
    copies: dict[int, Any] = {}
    transforms = [transform for transform in transforms if transform is not None]

    def is_transform(value: Any) -> bool:
        return any(value is transform for transform in transforms)

    def is_part(value: Any) -> bool:
        return isinstance(value, Dataset) or any(value is leaf for leaf in leaves)

    def copied(value: Any) -> Any:
        if is_transform(value):
            return stand_in
        if id(value) in copies:
            return copies[id(value)]
        if value is dataset or is_part(value) or (transforms and is_transform(getattr(value, "transform", None))):
            new = copies[id(value)] = copy.copy(value)
            vars(new).update({name: copied(inner) for name, inner in vars(new).items()})
            if hasattr(new, "_max_retries"):  # timm's ImageDataset: other images in the place of one it cannot read
                new._max_retries = 1
            return new
        if isinstance(value, list) and value and is_part(value[0]):
            return [copied(part) for part in value]
        return copy.copy(value) if copies_lists and isinstance(value, list | dict | set) else value

    new = copied(dataset)
    for leaf in leaves:
        if transforms and _transform_of(of_leaf := copied(leaf)) is not stand_in:
            # It is a method or belongs to the class. No property is called, which could change another data set.
            vars(of_leaf)["transform" if callable(getattr(leaf, "transform", None)) else "transforms"] = stand_in
    return new


def twin(transform: Any) -> Any:
    """Copy a transform, so that the user's own spends no random numbers; not a method, which holds all images."""
    try:
        return transform if inspect.ismethod(transform) else copy.deepcopy(transform)
    except Exception:
        return transform


def some_indices(dataset: Any, labels: Labels | None) -> list[int]:
    """Choose items to be checked: of each class (16 at most), of each part of a ``ConcatDataset``, in the middle, the last."""
    chosen = {0, len(dataset) // 2, len(dataset) - 1}
    if labels is not None:
        chosen.update(np.unique(labels, return_index=True)[1][:16].tolist())
    if isinstance(dataset, ConcatDataset):
        chosen.update(dataset.cumulative_sizes)
    return sorted(index for index in chosen if 0 <= index < len(dataset))
