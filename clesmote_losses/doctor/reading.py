"""Read every image of a data set once, in several processes where they are files, and keep facts of each."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from torch import Generator
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from clesmote_losses.doctor.image_facts import ImageFacts, facts_of, facts_of_file
from clesmote_losses.errors import shortened
from clesmote_losses.restore import preserved_rng
from clesmote_losses.smote.relabelling import label_key

T = TypeVar("T")
_FEW = 500  # files that are read before other processes have started
_BATCH = 32

Label = Any  # of an item, as a value that can be compared; None if it has none


class _Files(Dataset[ImageFacts]):
    """Facts of files; it holds nothing but paths, so every worker can have it."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> ImageFacts:
        return facts_of_file(self.paths[index])


def look_at_files(paths: Sequence[str], *, num_workers: int | None = None, title: str = "images") -> list[ImageFacts]:
    """Read image files, with a progress bar.

    Args:
        paths: Of the files.
        num_workers: Processes that read; by default one for each core, none for a few files.
        title: Names the images in the progress bar.
    """
    if num_workers is None:
        num_workers = (os.cpu_count() or 1) if len(paths) > _FEW else 0
    loader = DataLoader(
        _Files(paths),
        batch_size=_BATCH,
        num_workers=num_workers,
        collate_fn=list,
        generator=Generator(),  # or it would draw from the user's
    )
    facts = (one for batch in loader for one in batch)
    return list(_with_bar(facts, len(paths), title))


def look_at_items(
    read: Callable[[int], tuple[Any, Any]], length: int, *, title: str = "images"
) -> tuple[list[ImageFacts], list[Label]]:
    """Read images and labels by index, with a progress bar, in this process: a data set may hold what no other can be sent.

    Args:
        read: Returns image and label of an index.
        length: Number of items.
        title: Names the images in the progress bar.
    """
    facts, labels = [], []
    for index in _with_bar(range(length), length, title):
        start = time.perf_counter()
        label = None
        try:
            with preserved_rng():
                image, label = read(index)
                seconds = time.perf_counter() - start
                facts.append(replace(facts_of(image), seconds=seconds))
        except ImportError:
            raise
        except Exception as error:
            facts.append(ImageFacts(error=f"{type(error).__name__}: {shortened(error)}"))
        labels.append(label_key(label))
    return facts, labels


def _with_bar(values: Iterable[T], total: int, title: str) -> Iterator[T]:
    # disable=None: no bar in a log file
    yield from tqdm(values, desc=f"Reading {title}", total=total, unit=" images", delay=2, leave=False, disable=None)
