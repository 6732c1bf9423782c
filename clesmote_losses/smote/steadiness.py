"""Notice a data set that augments inside ``__getitem__``, by reading some of its images again."""

import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from clesmote_losses.restore import random_states

Digests = dict[int, bytes]

_READINGS = 64  # in all: a flip with p=0.1 passes once in 800 times
_SECONDS = 30  # for images that are read slowly, such as volumes
_PER_EPOCH = 8
_REMEDY = (
    "it augments inside __getitem__. A blend needs raw images: let it return them, and pass the augmentation as transform=. A "
    "transform is also found as the attribute transform of the data set."
)


def check_steady(read: Callable[[int], Tensor], indices: Sequence[int], owner: str) -> Digests:
    """Raise ``ValueError`` if reading one of the images draws random numbers, or gives another image the next time.

    The global generators show every draw. For a generator of the data set's own, images are read again: eight times, or more
    where they are few, so that there are 64 readings. Where reading is slow, it stops after these, or after 30 seconds.

    Args:
        read: Reads the values of an image.
        indices: Of the images.
        owner: Name of the data set's class, for messages.

    Returns:
        A digest of each image, for :func:`check_unchanged`.
    """
    first: Digests = {}
    start = time.monotonic()
    for reading in itertools.count(1):
        for index in tqdm(indices, desc="Reading images again", delay=5, leave=False):
            before = random_states()
            values = read(index)
            if random_states() != before:
                raise ValueError(f"{owner} draws random numbers for index {index}: {_REMEDY}")
            if first.setdefault(index, digest := _digest(values)) != digest:
                raise ValueError(f"{owner} gave two different images for index {index}: {_REMEDY}")
        seconds, is_enough = time.monotonic() - start, reading * len(indices) >= _READINGS
        if reading > 1 and (seconds > _SECONDS or (is_enough and (reading >= 8 or seconds > 1))):
            break
    return first


def check_unchanged(read: Callable[[int], Tensor], known: Digests, owner: str, epoch: int) -> None:
    """Raise ``ValueError`` if an image is another one than it was: some of those known are read, others in each epoch."""
    end = time.monotonic() + 1
    for index in _some(sorted(known), epoch):
        if _digest(read(index)) != known[index]:
            raise ValueError(
                f"{owner} gives another image for index {index} in epoch {epoch} than when the SMOTEDataset was made of it: a "
                f"transform writes to images that it holds, or {_REMEDY} If its images shall change with the epoch, give the "
                "data set that makes them a method set_epoch(epoch), which train_set.set_epoch calls."
            )
        if time.monotonic() > end:
            return


def _some(indices: Sequence[int], epoch: int) -> Iterable[int]:
    step = -(-len(indices) // _PER_EPOCH)
    return indices[epoch % step :: step]


def _digest(values: Tensor) -> bytes:
    return hashlib.blake2b(values.contiguous().view(torch.uint8).numpy().data, digest_size=16).digest()
