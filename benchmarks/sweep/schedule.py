"""Which runs a suite needs, in which order, and how hyperparameters are chosen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.data.experiments import Experiment
from benchmarks.data.source import Source
from benchmarks.methods.registry import METHODS, Method
from benchmarks.training.as_published import PublishedSettings, published_search, published_settings
from benchmarks.training.controlled import Settings
from benchmarks.training.run import Record, Run

TUNING_SEED = 1_000_000  # of no trial


@dataclass
class Schedule:
    """All runs of a suite.

    A hyperparameter is chosen by the AUROC on the validation images, each tuning run at its best epoch: first the learning
    rate, then what else the method has to choose, one after the other. Tuning runs have a seed of their own and are made on
    the first experiment of each kind; the choice holds for all experiments of the kind and all trials. The preset
    ``as_published`` chooses by the test images, as the notebooks did, and only the values that no notebook gives.

    Args:
        suite: Name of the suite.
        source: The data.
        experiments: Those of the suite, in their order.
        chosen: Names of the experiments that trials are made of; by default all.
        methods: What is done against the imbalance.
        settings: What all methods have in common; ``None`` for the preset ``as_published``, which has its own.
        seeds: Seeds of the trials; each gives one of every method and experiment.
        lrs: Learning rates to choose from; the first is the one that other choices start from.
        tune: Choose hyperparameters; else every method has the first learning rate and its own defaults.
    """

    suite: str
    source: Source
    experiments: Sequence[Experiment]
    methods: Sequence[Method]
    settings: Settings | None
    seeds: Sequence[int]
    lrs: Sequence[float] = (1e-3,)
    tune: bool = True
    chosen: Sequence[str] | None = None
    _runs: dict[Any, Run] = field(default_factory=dict, repr=False)

    def ready(self, records: dict[str, Record]) -> tuple[list[Run], int]:
        """Return the runs that can be made now, in order, and how many wait for tuning runs.

        Those that are done are among the first, so that ``len(ready) + waiting`` is always the number of all runs.
        """
        tuning: list[Run] = []
        trials: list[Run] = []
        waiting = 0
        known: set[str] = set()  # variants share tuning runs
        for kind in dict.fromkeys(experiment.kind for experiment in self.experiments):
            first, *_ = all_of_kind = [experiment for experiment in self.experiments if experiment.kind == kind]
            of_kind = [e for e in all_of_kind if self.chosen is None or e.name in self.chosen]
            if not of_kind:
                continue
            unknown: dict[str, int] = {}
            for method in self.methods:
                choice, made, missing = self.choose(first, method, records)
                tuning += [run for run in made if run.id not in known]
                known |= {run.id for run in made}
                unknown |= missing
                if choice is None:
                    waiting += len(of_kind) * len(self.seeds)
                else:
                    trials += [
                        self._run(experiment, method, choice, seed) for seed in self.seeds for experiment in of_kind
                    ]
            waiting += sum(unknown.values())
        # seed by seed: what is broken off can be compared all the same
        trials.sort(key=lambda run: list(self.seeds).index(run.seed))
        return tuning + trials, waiting

    def choose(
        self, experiment: Experiment, method: Method, records: dict[str, Record]
    ) -> tuple[dict[str, Any] | None, list[Run], dict[str, int]]:
        """Return the chosen values (``None`` while runs are missing), the tuning runs known so far, and how many more each
        method will need.
        """
        choice: dict[str, Any] = {}
        made: dict[str, Run] = {}
        stages = self._stages(method)
        if method.tuned_as is not None:
            as_base, runs, missing = self.choose(experiment, METHODS[method.tuned_as], records)
            made |= {run.id: run for run in runs}
            if as_base is None:
                own = sum(len(values) for _, values in stages if len(values) > 1)
                return None, runs, {**missing, method.name: own}
            choice |= as_base
        choice |= {name: values[0] for name, values in stages}
        for i, (name, values) in enumerate(stages):
            if len(values) == 1:
                continue
            runs = [self._run(experiment, method, {**choice, name: value}, TUNING_SEED, "tuning") for value in values]
            made |= {run.id: run for run in runs}
            if any(run.id not in records for run in runs):
                return None, list(made.values()), {method.name: sum(len(later) - 1 for _, later in stages[i + 1 :])}
            part = "test" if self.settings is None else "validation"
            scores = [records[run.id]["chosen"][part]["auroc"] for run in runs]
            choice[name] = values[scores.index(max(scores))]
        return choice, list(made.values()), {}

    def _stages(self, method: Method) -> list[tuple[str, tuple[Any, ...]]]:
        """Return what is chosen for a method, and from which values."""
        stages = list(method.search.items())
        if self.settings is None:
            stages = published_search(method)
        elif method.tuned_as is None:
            stages = [("lr", tuple(self.lrs)), *stages]
        return stages if self.tune else [(name, values[:1]) for name, values in stages]

    def _run(
        self, experiment: Experiment, method: Method, choice: dict[str, Any], seed: int, role: str = "trial"
    ) -> Run:
        rates = tuple(self.lrs) if role == "trial" and self.tune and self.settings is not None else None
        key = (experiment.name, method.name, tuple(choice.items()), seed)
        if key not in self._runs:
            settings: Settings | PublishedSettings = self.settings or published_settings(len(experiment.classes))
            self._runs[key] = Run(self.suite, self.source, experiment, method, settings, seed, role, rates).with_choice(
                choice
            )
        return self._runs[key]
