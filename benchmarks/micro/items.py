"""What a synthetic item costs beside a real one of the same classes, alone and in the epoch of a loader."""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from imblearn.over_sampling import SMOTE
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.micro.images import ArrayImages, jpeg_folder
from benchmarks.micro.measure import Benchmark, Measurement, Target, memory, take_turns
from clesmote_losses import SMOTEDataset

_BATCH = 64
_PEER = "over-sampled real item"


def items(sizes: Sequence[int] = (32, 224), repeats: int = 21) -> Iterator[Measurement]:
    """Compare a synthetic item with an over-sampled real one, the usual alternative: JPEG files and arrays in memory.

    Both are of the rare class, through the same transform, with the defaults of the data set. In a fresh process on one
    thread, as a loader's worker is: what was measured before changes the memory of this process, and blends of 224 px in it
    took up to three times as long.
    """
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as fresh:
        yield from fresh.submit(_all_items, sizes, repeats).result()


def _all_items(sizes: Sequence[int], repeats: int) -> list[Measurement]:
    found: list[Measurement] = []
    with tempfile.TemporaryDirectory() as folder:
        files = str(jpeg_folder(Path(folder), 256, 64))
        for transform, name in ((None, "no transform"), (_augmentation(), "flip, ToTensor")):
            base = ImageFolder(files, transform)
            found += _items(base, f"JPEG file of 224x224, {name}", repeats, Target(1.3, _PEER))
    for size in sizes:
        base_in_memory = ArrayImages(256, 64, size, transforms.ToTensor())
        found += _items(base_in_memory, f"uint8 {size}x{size}x3 in memory, ToTensor", repeats, None)
    return found


def _augmentation() -> transforms.Compose:
    return transforms.Compose([transforms.RandomHorizontalFlip(), transforms.ToTensor()])


def _items(base: Any, case: str, repeats: int, target: Target | None) -> Iterator[Measurement]:
    train_set = SMOTEDataset(base, sampler=SMOTE(random_state=0), device="cpu")
    synthetic = np.flatnonzero(train_set.is_synthetic)[:_BATCH].tolist()
    rare = np.flatnonzero((train_set.labels == 1) & ~train_set.is_synthetic)[:_BATCH].tolist()
    values = take_turns(
        {
            "synthetic": lambda: [train_set[i] for i in synthetic],
            "synthetic, a batch at once": lambda: train_set.__getitems__(synthetic),
            "over-sampled, through SMOTEDataset": lambda: [train_set[i] for i in rare],
            _PEER: lambda: [base[i] for i in rare],
        },
        repeats=repeats,
    )
    each = {name: [seconds / _BATCH for seconds in row] for name, row in values.items()}
    yield Measurement(case, "time", "s", each, target)


def epoch(count: int = 512, epochs: int = 11) -> Iterator[Measurement]:
    """Compare an epoch that is half synthetic with one of as many over-sampled real items, two workers each.

    Also what its workers hold after the last epoch.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = ImageFolder(str(jpeg_folder(Path(folder), count, count // 8)), transform=_augmentation())
        train_set = SMOTEDataset(files, device="cpu")
        majority = range(count // 2)
        synthetic = np.flatnonzero(train_set.is_synthetic)[: count // 2].tolist()
        rare = np.resize(np.flatnonzero(np.asarray(files.targets) == 1), count // 2).tolist()
        parts: dict[str, Dataset[Any]] = {
            "half synthetic": Subset(train_set, [*majority, *synthetic]),
            "half over-sampled": Subset(files, [*majority, *rare]),
        }
        loaders = {
            name: DataLoader(part, 32, shuffle=True, num_workers=2, persistent_workers=True)
            for name, part in parts.items()
        }
        held: dict[str, list[float]] = {name: [] for name in parts}

        def one_epoch(name: str) -> None:
            for _ in loaders[name]:
                pass
            held[name].append(_held_by_workers(loaders[name]))

        values = take_turns({name: partial(one_epoch, name) for name in loaders}, repeats=epochs, at_least=0, warm_up=1)
    case = f"{count} items, JPEG files of 224x224, 2 workers"
    yield Measurement(case, "time", "s", values, Target(1.05, "half over-sampled"))
    grown = {name: [values[-1] / values[0]] for name, values in held.items()}
    quantity = f"memory of the workers after {epochs} more epochs, over that after the first"
    yield Measurement(case, quantity, "", grown, Target(1.02, "half over-sampled"))


def _held_by_workers(loader: DataLoader[Any]) -> float:
    """Measure the memory of all workers that live on, in MB."""
    workers = loader._iterator._workers  # type: ignore[union-attr]
    return sum(memory("VmRSS", worker.pid) for worker in workers)


BENCHMARKS = (Benchmark("items", items), Benchmark.of_memory("epoch", epoch))
