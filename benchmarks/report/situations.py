"""In which situation a run was made: photographs, X-rays, wrong labels, a pretrained network. Old lines are read too."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from benchmarks.report.groups import groups_of
from benchmarks.report.statistics import mean_interval
from benchmarks.report.tables import Table
from benchmarks.training.run import Record

_PAIRS_OF_PHOTOGRAPHS = {("cifar10-pairs", "airplane-automobile"), ("cifar10-pairs", "dog-cat")}
_PHOTOGRAPHS = _PAIRS_OF_PHOTOGRAPHS | {
    ("cifar10-17", "interclass"),
    ("cifar10-17", "both-single-cat"),
    ("cifar10-17", "both-single-automobile"),
}
_X_RAYS = ("interclass", "both-single-bacteria", "both-single-virus")
_OF_WRONG_LABELS = _PAIRS_OF_PHOTOGRAPHS | {("kermany", "interclass")}


def _is_photograph(run: Mapping[str, Any]) -> bool:
    return (run["suite"], run["experiment"]) in _PHOTOGRAPHS and run["noise"] == 0 and run["network"] == "convnet"


def _is_x_ray(run: Mapping[str, Any]) -> bool:
    is_listed = run["suite"] == "kermany" and run["experiment"].removesuffix("-100") in _X_RAYS
    return is_listed and run["noise"] == 0 and run["network"] == "convnet"


def _is_pretrained(run: Mapping[str, Any]) -> bool:
    return run["suite"] == "kermany" and run["experiment"] in _X_RAYS and run["noise"] == 0 and run["frozen"]


def _with_wrong_labels(share: float) -> Callable[[Mapping[str, Any]], bool]:
    return lambda run: (
        (run["suite"], run["experiment"]) in _OF_WRONG_LABELS and run["noise"] == share and run["network"] == "convnet"
    )


# Those that HYPOTHESES.md describes. A run may be in two: clean pairs of photographs are also "wrong labels, 0 %".
SITUATIONS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "photographs": _is_photograph,
    "X-rays": _is_x_ray,
    "wrong labels, 0 %": _with_wrong_labels(0.0),
    "wrong labels, 10 %": _with_wrong_labels(0.1),
    "wrong labels, 30 %": _with_wrong_labels(0.3),
    "pretrained": _is_pretrained,
}


# Pairs of experiment and trial that HYPOTHESES.md declares: five trials on CIFAR-10, three on the X-rays.
DECLARED_PAIRS: Mapping[str, int] = {
    "photographs": 5 * len(_PHOTOGRAPHS),
    "X-rays": 3 * 2 * len(_X_RAYS),
    **{f"wrong labels, {share} %": 5 * len(_PAIRS_OF_PHOTOGRAPHS) + 3 for share in (0, 10, 30)},
    "pretrained": 3 * len(_X_RAYS),
}


def trials_of(records: Iterable[Record]) -> pd.DataFrame:
    """Return the trials of the preset ``correct`` with the metrics of their first test set.

    Returns:
        One row for each trial. Columns: ``suite``, ``experiment``, ``noise``, ``network``, ``frozen``, ``method``, ``seed``,
        ``auroc`` and ``balanced_accuracy`` of the epoch that the validation images chose, and ``share_capped``.
    """
    rows = []
    for group in groups_of(list(records)):
        if group.preset != "correct" or not group.has_validation:
            continue
        for record in group.trials["record"]:
            config, chosen = record["config"], record["chosen"][group.tests[0]]
            settings, experiment = config["settings"], config["experiment"]
            rows.append(
                {
                    "suite": config["suite"],
                    "experiment": experiment["name"],
                    "noise": experiment.get("label_noise", 0.0),
                    "network": settings["model"],
                    "frozen": bool(settings.get("frozen", False)),
                    "method": config["method"]["name"],
                    "seed": config["seed"],
                    "auroc": chosen["auroc"],
                    "balanced_accuracy": chosen["balanced_accuracy"],
                    "share_capped": record.get("share_capped"),
                }
            )
    return pd.DataFrame(rows)


def trials_in(trials: pd.DataFrame, situation: str) -> pd.DataFrame:
    """Return the trials of a situation; their experiments are named with the suite."""
    found = trials[[SITUATIONS[situation](run) for run in trials.to_dict("records")]]
    return found.assign(experiment=found["suite"] + " " + found["experiment"])


def gaps(trials: pd.DataFrame, method: str, baseline: str, metric: str = "auroc") -> pd.Series:
    """Return the differences of a method to a baseline, by experiment and seed; only where both were run."""
    table = trials.pivot(index=["experiment", "seed"], columns="method", values=metric).reindex(
        columns=[method, baseline]
    )
    return (table[method] - table[baseline]).dropna()


def situation_tables(trials: pd.DataFrame) -> list[Table]:
    """Compare every method with plain training, in a table for each situation; the method with the best AUROC first."""
    tables = []
    for situation in SITUATIONS:
        here = trials_in(trials, situation)
        rows = []
        for method in here["method"].unique():
            auroc, accuracy = (gaps(here, method, "none", metric) for metric in ("auroc", "balanced_accuracy"))
            if method != "none" and len(auroc) >= 2:
                low, high = mean_interval(auroc.to_list(), -1, 1)
                rows.append(
                    {
                        "Method": method,
                        "AUROC": auroc.mean(),
                        "95 %": f"{low:+.3f} to {high:+.3f}",
                        "Balanced accuracy": f"{accuracy.mean():+.3f}",
                        "Pairs": len(auroc),
                        "Better": int((auroc > 0).sum()),
                    }
                )
        if rows:
            cells = pd.DataFrame(rows).sort_values("AUROC", ascending=False, kind="stable")
            cells["AUROC"] = cells["AUROC"].map("{:+.3f}".format)
            plain = here[here["method"] == "none"]
            note = f"Plain training: AUROC {plain['auroc'].mean():.3f}, balanced accuracy {plain['balanced_accuracy'].mean():.3f}."
            name = f"situation-{situation.replace(',', '').replace(' %', '').replace(' ', '-').lower()}"
            tables.append(Table(name, f"{situation}: difference to plain training", cells.astype(str), note))
    return tables
