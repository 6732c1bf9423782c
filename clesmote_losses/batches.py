"""Batches of a data set or loader, and the images, labels and synthetic flags in them."""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from clesmote_losses.distributed import get_rank, get_world_size, is_distributed
from clesmote_losses.restore import random_states
from clesmote_losses.smote.base_transform import split_transform
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.transform_probe import Transform, apply_transform
from clesmote_losses.targets import decode_target

_WANTED = "(image, target), or (image, label, is_synthetic) as SMOTEDataset(flag='item') yields"


def batches_of(
    data: Any, transform: Transform | None = None, *, batch_size: int = 64, num_workers: int = 0
) -> Iterable[Any]:
    """Return batches of a data set, of this rank's share under ``torch.distributed``; or a loader as it is.

    Args:
        data: Map-style data set, of which a :class:`SMOTEDataset` gives the real images of its
            ``capped_classes``; or a loader, which has its own options.
        transform: Replaces the transform of a data set.
        batch_size, num_workers: As of ``torch.utils.data.DataLoader``.

    Raises:
        TypeError: If ``data`` is neither.
        ValueError: If ``transform`` is given for a loader.
    """
    is_stream = isinstance(data, IterableDataset)  # it inherits a __getitem__ that does nothing
    if is_stream or not (hasattr(data, "__getitem__") or isinstance(data, Iterable)):
        raise TypeError(f"the method needs a map-style data set or a loader of batches; got {type(data).__name__}.")
    if isinstance(data, SMOTEDataset):
        data = data.real_subset(data.capped_classes, transform=transform)
    elif transform is not None:
        if not hasattr(data, "__getitem__"):
            raise ValueError("transform= replaces the transform of a data set; a loader's is fixed. Pass the data set.")
        data = _Transformed(data, transform)
    if not hasattr(data, "__getitem__"):
        return cast(Iterable[Any], data)
    if is_distributed():  # the shares may be unequal
        data = Subset(data, range(get_rank(), len(data), get_world_size()))
    return DataLoader(data, batch_size=batch_size, num_workers=num_workers)


def first_image(data: Any, transform: Transform | None = None) -> Any:
    """Return a batch of the first image of a map-style data set; ``None`` for a loader or an empty set."""
    if isinstance(data, SMOTEDataset):
        data, transform = data.real_subset(transform=transform), None
    if isinstance(data, IterableDataset) or not hasattr(data, "__getitem__") or not len(data):
        return None
    first = Subset(data if transform is None else _Transformed(data, transform), [0])
    return read_batch(next(iter(DataLoader(first))))[0]


def read_batch(batch: Any) -> tuple[Any, Tensor, Tensor]:
    """Return images, labels and synthetic flags of a batch.

    Args:
        batch: ``(images, target)``, or ``(images, label, is_synthetic)`` with bool flags. Labels are integer, shape ``(N,)``.

    Returns:
        The images as they are, class indices (int64) and flags (bool), both of shape ``(N,)``.

    Raises:
        TypeError: If the batch is something else.
        ValueError: If labels and flags do not have one shape ``(N,)``.
    """
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise TypeError(
            f"the method needs batches of {_WANTED}; got {_describe_batch(batch)}. Pass a data set or loader of such items, or an iterable: "
            "((batch['image'], batch['label']) for batch in loader)."
        )
    labels, is_synthetic = decode_target(torch.as_tensor(batch[1]))
    if len(batch) == 3:
        flags = batch[2]
        if not isinstance(flags, Tensor) or flags.dtype != torch.bool:
            kind = flags.dtype if isinstance(flags, Tensor) else type(flags).__name__
            raise TypeError(
                f"the method needs batches of {_WANTED}; the third item must be bool, and is {kind}. Leave it out if it is no flag: "
                "((images, label) for images, label, _ in loader)."
            )
        is_synthetic = is_synthetic | flags.to(labels.device) if flags.shape == labels.shape else flags
    if labels.ndim != 1 or is_synthetic.shape != labels.shape:
        raise ValueError(
            f"labels and flags must have the same shape (N,); got {tuple(labels.shape)} and {tuple(is_synthetic.shape)}."
        )
    return batch[0], labels, is_synthetic


def _describe_batch(batch: Any) -> str:
    if isinstance(batch, dict):
        return f"a dict of {list(batch)}"
    return f"{len(batch)} items" if isinstance(batch, tuple | list) else type(batch).__name__


class _Transformed(Dataset[Any]):
    """A data set with another transform.

    Raises:
        TypeError: If an item is no tuple that starts with the image.
        ValueError: If the transform cannot be split off, or the data set augments beside it.
    """

    def __init__(self, data: Dataset[Any], transform: Transform) -> None:
        self.raw, _, self.probe = split_transform(
            data,
            remedy="Pass a data set that has the evaluation transform, and no transform=.",
            compare=False,
        )
        self.transform = transform
        before = random_states()
        _ = self.raw[0] if len(self) else None
        if random_states() != before:
            raise ValueError(
                f"{type(data).__name__} draws random numbers beside the transform that transform= replaces: it augments inside "
                "__getitem__. Pass a data set without augmentation."
            )

    def __len__(self) -> int:
        return len(self.raw)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        item = self.raw[index]
        if not isinstance(item, tuple | list):
            raise TypeError(f"transform= needs items {_WANTED}; got {_describe_batch(item)}.")
        if self.probe is not None:
            self.probe.check_raw(item[0], index)
        return apply_transform(self.transform, item[0]), *item[1:]
