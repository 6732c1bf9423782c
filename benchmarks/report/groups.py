"""Sort the lines of runs into groups that may be compared. Each group is a data frame of its trials."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.data.experiments import KIND_TITLES
from benchmarks.methods.registry import CLE_SMOTE, METHODS, UPPER_BOUND
from benchmarks.training.run import Record

# chosen for each method; as_published has other values for two classes than for three
_METHOD_SETTINGS = ("lr", "beta", "pretraining_lr", "constant_cap")
_HARDLY = 0.01  # share of the synthetic images that are capped


@dataclass(frozen=True, eq=False)
class Group:
    """Trials that may be compared: one suite, the same data, share of wrong labels and settings except the learning rate.

    Attributes:
        trials: One row for each trial, sorted by experiment, method and seed. Columns: ``experiment``, ``kind`` and
            ``method`` (categories in the order of a report), ``seed``, and ``record``, the line itself.
        tuning: The runs that hyperparameters were chosen by, with the same columns.
        superseded: Number of trials left out because a later one has the same method, experiment and seed.
    """

    trials: pd.DataFrame
    tuning: pd.DataFrame
    superseded: int = 0

    @property
    def first(self) -> Record:
        """The first trial, for what all trials have in common."""
        record: Record = self.trials["record"].iloc[0]
        return record

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.first["config"]["settings"])

    @property
    def suite(self) -> str:
        return str(self.first["config"]["suite"])

    @property
    def preset(self) -> str:
        return str(self.settings["preset"])

    @property
    def situation(self) -> list[str]:
        """Words for the options that change what is compared: wrong labels, a pretrained network."""
        experiment, settings = self.first["config"]["experiment"], self.settings
        words = ["frozen" if settings.get("frozen") else "pretrained"] if settings.get("weights") else []
        if experiment.get("label_noise"):
            words.append(f"noise-{100 * experiment['label_noise']:g}")
            words += ["noisy-validation"] if experiment["noisy_validation"] else []
        return words

    @property
    def methods(self) -> list[str]:
        """In the order of the registry; methods that it lacks come last, by name."""
        return list(self.trials["method"].cat.categories)

    @property
    def experiments(self) -> list[str]:
        """By kind, in the paper's order; other kinds in the order of their runs."""
        return list(self.trials["experiment"].cat.categories)

    @property
    def kinds(self) -> dict[str, list[str]]:
        """The experiments of each kind."""
        kind = dict(zip(self.trials["experiment"], self.trials["kind"], strict=True))
        return {name: [e for e in self.experiments if kind[e] == name] for name in self.trials["kind"].cat.categories}

    @property
    def tests(self) -> list[str]:
        """Names of the test sets."""
        return [name for name in self.first["chosen"] if name != "validation"]

    @property
    def has_validation(self) -> bool:
        return "validation" in self.first["chosen"]

    def results(self, test: str) -> pd.DataFrame:
        """Return the trials with their AUROC on one set of images.

        Args:
            test: Name of the test set, or ``"validation"``.

        Returns:
            ``trials`` with three more columns: ``curve``, a list of the AUROC at each epoch; ``epoch``, the one that counts,
            from 1; ``auroc``, the AUROC there. The epoch is the one that validation images chose, or the last one. With the
            preset ``as_published`` it is the best one on the test images in the mean over the trials of a method.
        """
        curves = [
            np.array([point["auroc"][test] for point in record["curve"]], dtype=float).tolist()  # NaN is stored as null
            for record in self.trials["record"]
        ]
        found = self.trials.assign(curve=curves)
        if self.preset == "as_published":
            of_method = found.groupby(["experiment", "method"], observed=True)["curve"]
            epochs = of_method.transform(lambda curves: int(np.mean(list(curves), axis=0).argmax()) + 1)
        else:
            epochs = found["record"].map(lambda record: record["chosen_epoch"])
        aurocs = [curve[int(epoch) - 1] for curve, epoch in zip(curves, epochs, strict=True)]
        return found.assign(epoch=epochs, auroc=aurocs)


def groups_of(records: Sequence[Record]) -> list[Group]:
    """Sort records into groups, in the order in which each began.

    Trials whose learning rate was chosen from other values, or was set, are a group of their own. The last of several
    trials of one method, experiment and seed in a group counts.
    """
    if not records:
        return []
    groups = []
    for _, same in pd.DataFrame(map(_row, records)).groupby("protocol", sort=False):
        is_tuning = same["role"] == "tuning"
        for _, trials in same[~is_tuning].groupby("rates", sort=False):
            rates = _learning_rates(trials["record"].iloc[0])
            if rates is None:
                tuning = same[is_tuning]
            else:  # none, if the rate was set
                used = rates if isinstance(rates, tuple) else ()
                is_used = np.array([record["config"]["settings"]["lr"] in used for record in same["record"]])
                tuning = same[is_tuning & is_used]
            latest = trials.drop_duplicates(["method", "experiment", "seed"], keep="last")
            groups.append(Group(_sorted(latest), _sorted(tuning), len(trials) - len(latest)))
    return groups


def _row(record: Record) -> dict[str, Any]:
    config = record["config"]
    experiment = config["experiment"]
    shared = sorted((name, value) for name, value in config["settings"].items() if name not in _METHOD_SETTINGS)
    noise = experiment.get("label_noise", 0), experiment.get("noisy_validation", False)
    return {
        "protocol": repr((config["suite"], experiment["digest"], noise, shared)),
        "rates": repr(_learning_rates(record)),
        "role": record["role"],
        "experiment": str(experiment["name"]),
        "kind": str(experiment["kind"]),
        "method": str(config["method"]["name"]),
        "seed": int(config["seed"]),
        "record": record,
    }


def _learning_rates(record: Record) -> Any:
    """Return the rates that a trial's was chosen from, the rate that was set, or ``None`` where methods have their own."""
    config = record["config"]
    if config["settings"]["preset"] == "as_published":
        return None
    return tuple(config["learning_rates"]) if config.get("learning_rates") else config["settings"]["lr"]


def _sorted(runs: pd.DataFrame) -> pd.DataFrame:
    paper = list(KIND_TITLES)
    kinds = dict(zip(runs["experiment"], runs["kind"], strict=True))
    experiments = sorted(
        dict.fromkeys(runs["experiment"]),
        key=lambda name: (paper.index(kinds[name]), name) if kinds[name] in paper else (len(paper), ""),
    )
    known = set(runs["method"])
    ordered = runs.assign(
        experiment=_categories(runs["experiment"], experiments),
        kind=_categories(runs["kind"], dict.fromkeys(kinds[name] for name in experiments)),
        method=_categories(
            runs["method"], [name for name in METHODS if name in known] + sorted(known - METHODS.keys())
        ),
    )
    return ordered.sort_values(["experiment", "method", "seed"], kind="stable", ignore_index=True)


def _categories(names: pd.Series, order: Iterable[str]) -> pd.Categorical:
    return pd.Categorical(names, categories=list(order), ordered=True)


def title_of(method: str) -> str:
    """Return the title of a method for tables and figures: its name where the registry lacks it."""
    return METHODS[method].title if method in METHODS else method


def in_effect(records: Sequence[Record]) -> str:
    """Return what a capped method is where its cap acts on under 1 % of its images; else an empty text."""
    shares = [record["share_capped"] for record in records if record["share_capped"] is not None]
    if not shares or np.mean(shares) >= _HARDLY:
        return ""
    method = records[0]["config"]["method"]
    if method.get("capped") == "oversampled":
        return "over-sampling"
    return "SMOTE + triplets" if method.get("pretraining", "none") != "none" else "SMOTE"


def is_cle_smote(name: str) -> bool:
    """Tell whether a method is CLE-SMOTE or a variant of it."""
    return name == CLE_SMOTE.name or (name in METHODS and METHODS[name].tuned_as == CLE_SMOTE.name)


def baselines_of(group: Group) -> list[str]:
    """List what CLE-SMOTE is compared with: all methods except its variants and the upper bound."""
    return [name for name in group.methods if not is_cle_smote(name) and name != UPPER_BOUND.name]
