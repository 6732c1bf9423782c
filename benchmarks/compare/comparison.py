"""Which runs a comparison makes, in which order, and when its time is over."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.compare.scores import score_parts
from benchmarks.compare.splits import split
from benchmarks.compare.verdict import LEAST_SPLITS, PLAIN
from benchmarks.data.experiments import AS_IS, of_classes
from benchmarks.data.source import Source
from benchmarks.methods.registry import METHODS
from benchmarks.sweep.estimate import count_passes
from benchmarks.training.controlled import Settings
from benchmarks.training.run import Arrays, Record, Run
from benchmarks.training.training_images import sample

_HEAD_STEP = 2e-3  # seconds of a step of a frozen network's classifier
_TRIPLETS = 1.4  # time of a run with triplets over that of a plain one: a fifth of the steps read three images for one


@dataclass(frozen=True)
class SplitRun(Run):
    """A run of one method on one split. It keeps the scores of its last epoch."""

    def make(self, device: torch.device, **options: Any) -> tuple[Record, Arrays | None]:
        """Train and test, as :meth:`Run.make` does."""
        return super().make(device, **options, look=partial(score_parts, self.draw()))


@dataclass
class Comparison:
    """The runs of a comparison: the learning rate first, then all methods of one split before the next split.

    The learning rate of each method is its best on the validation images of the first split, by the AUROC of the last epoch.
    One rate for all, chosen for plain training, may be so high that other methods learn nothing.

    Three splits are always made. Another one is begun if the time left is enough for all of it.

    Attributes:
        source: All images.
        methods: Names of the methods, plain training among them.
        settings: What all methods have in common.
        lrs: Learning rates to choose from.
        seed: Seed of the splits and the runs.
        budget: Seconds of all runs, those of earlier calls included.
        run_seconds: Estimated time of a run of each method; :meth:`estimate` sets it.
        start_seconds: Estimated time of what all runs share.
        on_split: Called with the number of a split that begins, from 1, and how many are planned.
    """

    source: Source
    methods: Sequence[str]
    settings: Settings
    lrs: Sequence[float]
    seed: int
    budget: float
    run_seconds: Mapping[str, float] = field(default_factory=dict)
    start_seconds: float = 0.0
    on_split: Callable[[int, int], object] = lambda number, planned: None
    _announced: int | None = field(default=None, init=False)
    _data: tuple[int, Source] | None = field(default=None, init=False)

    def ready(self, records: Mapping[str, Record]) -> tuple[list[Run], int]:
        """Return the runs of the split in progress, and 1 if there are such, else 0."""
        rates = self.learning_rates(records)
        if rates is None:
            self._announce(0, self.planned_splits(records))
            return [self._run(method, 0, lr) for method in self.methods for lr in self.lrs], 1
        number = len(self.whole_splits(records))
        left = self._splits_left(records, number)
        if not left:
            return [], 0
        self._announce(number, number + left)
        return [self._run(method, number, rates[method]) for method in self.methods], 1

    def _announce(self, number: int, planned: int) -> None:
        if number != self._announced:
            self._announced = number
            self.on_split(number + 1, planned)

    def first_run(self) -> Run:
        """Return a run to measure the time of."""
        return self._run(PLAIN, 0, self.lrs[0])

    def estimate(self, step: float) -> None:
        """Estimate the time of runs.

        Args:
            step: Seconds of an optimizer step; of a frozen network those of a batch of features. It computes the features of
                a real image once for all runs, and those of synthetic images once for each method and split.
        """
        runs = {name: self._run(name, 0, self.lrs[0]) for name in self.methods}
        batch = self.settings.batch_size
        if self.settings.frozen:
            self.start_seconds = step * len(self.source.images) / batch
            added = {name: sample(run.draw(), run.method, run.experiment, run.seed)[2] for name, run in runs.items()}
            self.run_seconds = {n: _HEAD_STEP * self.settings.steps + step * added[n] / batch for n in self.methods}
        else:
            plain = step * count_passes(runs[PLAIN])
            self.run_seconds = {n: plain * (_TRIPLETS if METHODS[n].is_pretrained else 1) for n in self.methods}

    def learning_rates(self, records: Mapping[str, Record]) -> dict[str, float] | None:
        """Return the learning rate of each method, or ``None`` while they are not chosen."""
        scores: dict[str, dict[float, float]] = {name: {} for name in self.methods}
        for record in records.values():
            number, method = self._place(record)
            if number == 0:
                scores[method][record["config"]["settings"]["lr"]] = record["last"]["validation"]["auroc"]
        if any(lr not in of_method for of_method in scores.values() for lr in self.lrs):
            return None
        return {name: max(self.lrs, key=lambda lr: scores[name][lr]) for name in self.methods}

    def whole_splits(self, records: Mapping[str, Record]) -> list[dict[str, Record]]:
        """Return the records of each split that all methods are done with, by method."""
        rates = self.learning_rates(records) or {}
        done: dict[int, dict[str, Record]] = {}
        for record in records.values():
            number, method = self._place(record)
            if record["config"]["settings"]["lr"] == rates.get(method):
                done.setdefault(number, {})[method] = record
        found: list[dict[str, Record]] = []
        while len(found) in done and all(method in done[len(found)] for method in self.methods):
            found.append({method: done[len(found)][method] for method in self.methods})
        return found

    def split_seconds(self, records: Mapping[str, Record]) -> float:
        """Return the time of a split: that of those that are done, else the estimate."""
        splits = self.whole_splits(records)
        if splits:
            later = splits[1:] or splits  # a frozen network computes the features of all real images on the first one
            return float(np.mean([sum(map(_seconds, runs.values())) for runs in later]))
        return sum(self.run_seconds.values())

    def planned_splits(self, records: Mapping[str, Record]) -> int:
        """Return how many splits the budget is enough for, by what is known now; three at least."""
        return max(
            LEAST_SPLITS,
            int((self.budget - self.start_seconds) // max(self.split_seconds(records), 1e-9)) - self.tuning_splits,
        )

    def least_seconds(self) -> float:
        """Return the estimated time of the fewest splits."""
        return self.start_seconds + (self.tuning_splits + LEAST_SPLITS) * self.split_seconds({})

    @property
    def tuning_splits(self) -> int:
        """Return how many splits' worth of runs choosing the learning rates adds."""
        return len(self.lrs) - 1

    def _splits_left(self, records: Mapping[str, Record], number: int) -> int:
        """Return how many splits are still to be made, the one in progress among them."""
        spent = sum(_seconds(record) for record in records.values() if self._place(record)[0] != number)
        return max(LEAST_SPLITS - number, int((self.budget - spent) // max(self.split_seconds(records), 1e-9)), 0)

    def _place(self, record: Record) -> tuple[int, str]:
        """Return split and method of a record."""
        return record["config"]["seed"] - self.seed, record["config"]["method"]["name"]

    def _run(self, method: str, number: int, lr: float) -> Run:
        if self._data is None or self._data[0] != number:  # one split is in memory at a time
            self._data = number, split(self.source, number, self.seed)
        data = self._data[1]
        experiment = of_classes(AS_IS, data.left)
        settings = replace(self.settings, lr=lr)
        return SplitRun("compare", data, experiment, METHODS[method], settings, self.seed + number)


def _seconds(record: Record) -> float:
    return float(sum(record["seconds"].values()))
