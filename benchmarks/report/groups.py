"""Run lines, sorted: which belong together, and the values that tables and figures show of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmarks.data.experiments import KIND_TITLES
from benchmarks.methods.registry import METHODS
from benchmarks.report.statistics import Pair
from benchmarks.training.run import Record


@dataclass(frozen=True, eq=False)
class Group:
    """Trials that may be compared: of one suite, on the same data, under the same settings but for the learning rate.

    Attributes:
        trials: Their records.
        tuning: Those of the runs that hyperparameters were chosen by.
        superseded: Number of trials for which another one of the same method, experiment and seed counts.
    """

    trials: tuple[Record, ...]
    tuning: tuple[Record, ...]
    superseded: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """Of the first trial."""
        return dict(self.trials[0]["config"]["settings"])

    @property
    def suite(self) -> str:
        return str(self.trials[0]["config"]["suite"])

    @property
    def preset(self) -> str:
        return str(self.settings["preset"])

    @property
    def methods(self) -> list[str]:
        """In the order of their declaration."""
        present = {method_of(record) for record in self.trials}
        return [name for name in METHODS if name in present] + sorted(present - METHODS.keys())

    @property
    def experiments(self) -> list[str]:
        """By kind, in the paper's order; else in the order in which they were made."""
        kinds = {experiment_of(record): kind_of(record) for record in self.trials}
        paper = list(KIND_TITLES)
        return sorted(
            kinds,
            key=lambda name: (paper.index(kinds[name]), name) if kinds[name] in paper else (len(paper), ""),
        )

    @property
    def kinds(self) -> dict[str, list[str]]:
        """The experiments of each kind."""
        kind = {experiment_of(record): kind_of(record) for record in self.trials}
        found: dict[str, list[str]] = {}
        for name in self.experiments:
            found.setdefault(kind[name], []).append(name)
        return found

    @property
    def tests(self) -> list[str]:
        """Names of the test sets."""
        return [name for name in self.trials[0]["chosen"] if name != "validation"]

    @property
    def seeds(self) -> list[int]:
        return sorted({int(record["config"]["seed"]) for record in self.trials})

    @property
    def has_validation(self) -> bool:
        return "validation" in self.trials[0]["chosen"]

    def of(self, method: str, experiment: str | None = None) -> list[Record]:
        """Trials of a method (on an experiment), by seed."""
        chosen = [
            record
            for record in self.trials
            if method_of(record) == method
            and (experiment is None or record["config"]["experiment"]["name"] == experiment)
        ]
        return sorted(chosen, key=lambda record: (self.experiments.index(experiment_of(record)), seed_of(record)))

    def epoch(self, record: Record, test: str) -> int:
        """The epoch that counts, from 1: chosen on validation images; the last one if there are none.

        Of the preset ``as_published`` it is the one that is best on the test images, in the mean over the trials of a method.
        """
        if self.preset != "as_published":
            return int(record["chosen_epoch"])
        return self._published_epochs(test)[method_of(record), experiment_of(record)]

    @cache  # noqa: B019 -- a group lives as long as a report
    def _published_epochs(self, test: str) -> dict[tuple[str, str], int]:
        found = {}
        for experiment in self.experiments:
            for method in self.methods:
                curves = [[point["auroc"][test] for point in run["curve"]] for run in self.of(method, experiment)]
                if curves:
                    found[method, experiment] = int(np.mean(curves, axis=0).argmax()) + 1
        return found

    def auroc(self, record: Record, test: str) -> float:
        """AUROC of the epoch that counts."""
        return float(record["curve"][self.epoch(record, test) - 1]["auroc"][test])

    def values(self, test: str) -> dict[str, dict[Pair, float]]:
        """By method, the AUROC of each experiment and seed."""
        found: dict[str, dict[Pair, float]] = {}
        for record in self.trials:
            found.setdefault(method_of(record), {})[experiment_of(record), seed_of(record)] = self.auroc(record, test)
        return found


def groups_of(records: Sequence[Record]) -> list[Group]:
    """Sort records into groups, in the order in which each began.

    Trials whose learning rate was chosen from others, or set, are a group of their own. Of several trials of a method,
    experiment and seed in a group the last one counts.
    """
    sorted_in: dict[str, tuple[dict[Any, list[Record]], list[Record]]] = {}
    for record in records:
        config = record["config"]
        settings = {name: value for name, value in config["settings"].items() if name not in _OF_ONE_METHOD}
        key = repr((config["suite"], config["experiment"]["digest"], sorted(settings.items())))
        trials, tuning = sorted_in.setdefault(key, ({}, []))
        if record["role"] == "tuning":
            tuning.append(record)
        else:
            trials.setdefault(_rates(record), []).append(record)
    return [
        _group(of_rates, tuning, rates) for trials, tuning in sorted_in.values() for rates, of_rates in trials.items()
    ]


def _rates(record: Record) -> Any:
    """The learning rates that a trial's was chosen from; the one that was set; ``None`` where methods have their own."""
    config = record["config"]
    if config["settings"]["preset"] == "as_published":
        return None
    return tuple(config["learning_rates"]) if config.get("learning_rates") else config["settings"]["lr"]


def _group(trials: Sequence[Record], tuning: Sequence[Record], rates: Any) -> Group:
    counting = {(method_of(record), experiment_of(record), seed_of(record)): record for record in trials}
    if rates is None:
        used = tuning
    else:  # none, if the rate was set
        used = [record for record in tuning if isinstance(rates, tuple) and record["config"]["settings"]["lr"] in rates]
    return Group(tuple(counting.values()), tuple(used), len(trials) - len(counting))


# they are chosen, or as_published has others for two and for three classes
_OF_ONE_METHOD = ("lr", "beta", "pretraining_lr", "constant_cap")


def method_of(record: Record) -> str:
    """Name of the method."""
    return str(record["config"]["method"]["name"])


def experiment_of(record: Record) -> str:
    """Name of the experiment."""
    return str(record["config"]["experiment"]["name"])


def kind_of(record: Record) -> str:
    """Kind of the experiment."""
    return str(record["config"]["experiment"]["kind"])


def seed_of(record: Record) -> int:
    """The seed."""
    return int(record["config"]["seed"])


def title_of(method: str) -> str:
    """For tables and figures."""
    return METHODS[method].title if method in METHODS else method
