"""What balancing costs: samples, steps of an epoch, time and memory of the plan, and the cache of images."""

import dataclasses
import math
import time
from collections.abc import Mapping

import numpy as np
import torch

from clesmote_losses.doctor.findings import Finding, counted
from clesmote_losses.doctor.part import Part
from clesmote_losses.smote.dataset import SMOTEDataset

_OVERHEAD = 2048  # bytes of a kept image beside its pixels, as in smote.real_images
_CACHE_MB = 256  # the default of SMOTEDataset
_BYTES_PER_SAMPLE = (
    33  # of a plan: base, neighbour, lambda and label of 8 bytes each, and the flag; its tables hold int32
)


def describe_costs(train: Part, added: Mapping[int, int], k: int | None, batch_size: int) -> Finding:
    """Estimate what SMOTE costs on this data.

    Args:
        train: The training part.
        added: Number of samples that each class gets.
        k: Number of neighbours; ``None`` if none are searched.
        batch_size: Samples of a step.
    """
    real, new = len(train), sum(added.values())
    before, after = math.ceil(real / batch_size), math.ceil((real + new) / batch_size)
    if not new:
        return Finding(
            "note", "costs", f"The classes are balanced: SMOTE adds nothing. {counted(before, 'step')} an epoch."
        )
    oversampled = [label for label, count in added.items() if count]
    blended = np.flatnonzero(np.isin(train.labels, oversampled)).tolist()
    lines = [f"plan: {_size(_plan_bytes(train, new, len(blended), k))} in memory"]
    if facts := [train.facts[i] for i in blended if not train.facts[i].error]:
        decoded = sum(one.nbytes for one in facts) * train.bytes_scale
        if k is not None:
            row, reading = decoded / len(facts), sum(one.seconds for one in facts)
            sizes = [int((train.labels == label).sum()) for label in oversampled]
            searching = sum(2 * size**2 * row for size in sizes) / _operations_per_second()
            lines.append(
                f"search for neighbours: about {max(1, round(reading + searching))} s, and {_size(max(sizes) * row)} of pixels at a time"
            )
        decoded += _OVERHEAD * len(facts)
        lines.append(
            f"cache: the {len(facts):,} images that are {'copied' if k is None else 'blended'} take {_size(decoded)} decoded; cache_mb={_CACHE_MB} keeps "
            f"{min(1.0, _CACHE_MB * 2**20 / decoded):.0%} of them in each worker"
        )
    message = f"{real:,} real + {new:,} synthetic samples: {counted(after, 'step')} an epoch at batch size {batch_size}, {before:,} without SMOTE."
    return Finding("note", "costs", message, tuple(lines))


def _plan_bytes(train: Part, new: int, blended: int, k: int | None) -> int:
    if not isinstance(train.dataset, SMOTEDataset):
        return new * _BYTES_PER_SAMPLE + (0 if k is None else blended * (k + 1) * 4)
    plan = train.dataset.plan
    arrays = [getattr(plan, field.name) for field in dataclasses.fields(plan)]
    return sum(array.nbytes for array in (*arrays, *plan.tables) if isinstance(array, np.ndarray))


def _operations_per_second() -> float:
    """Measure the speed of a product of matrices."""
    rows = torch.ones(512, 2048)
    times = []
    for _ in range(2):  # the first one starts the threads
        start = time.perf_counter()
        rows @ rows.T
        times.append(time.perf_counter() - start)
    return 2 * 512 * 512 * 2048 / min(times)


def _size(number: float) -> str:
    return f"{number / 2**20:,.1f} MB" if number < 2**30 else f"{number / 2**30:,.1f} GB"
