"""The tables of a group of runs, as text in data frames of pandas."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.data.experiments import KIND_TITLES
from benchmarks.methods.registry import CLE_SMOTE, METHODS
from benchmarks.metrics import METRICS
from benchmarks.report.groups import Group, baselines_of, in_effect, is_cle_smote, title_of
from benchmarks.report.paper import printed
from benchmarks.report.statistics import differences, mean_interval, pairs
from benchmarks.training.as_published import published_search
from benchmarks.training.run import Record

_PAPER = "Paper: AUROC (variance)"
_IN_EFFECT = "In effect (caps under 1 %)"
_MAY_BE_BLANK = (_PAPER, _IN_EFFECT, METRICS["balanced_accuracy_corrected"].title)
_PAIRS = (
    "Pairs are of the same experiment and seed; below 0.001 it is a tie. Trials of an experiment share test images and tuned "
    "hyperparameters: interval and p speak for new trials of these experiments, not for other data. With five experiments or more "
    "they are over the experiments."
)


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        name: End of the name of its CSV file.
        title: Above it.
        cells: Its text.
        note: Below it.
    """

    name: str
    title: str
    cells: pd.DataFrame
    note: str = ""

    def markdown(self) -> str:
        """Write it as Markdown, the first column to the left and the others to the right."""
        columns = ["left", *["right"] * (self.cells.shape[1] - 1)]
        table = self.cells.to_markdown(index=False, disable_numparse=True, colalign=columns)
        return "\n".join([f"**{self.title}**", "", table, "", *([self.note, ""] if self.note else [])])

    def csv(self) -> str:
        """Write it as comma-separated values."""
        return str(self.cells.to_csv(index=False, lineterminator="\n"))


def tables_of(group: Group) -> list[Table]:
    """Make all tables of a group. A column of what few lines have is left out where it is blank."""
    found = [table for test in group.tests for table in _tables_of_test(group, test)]
    for i, table in enumerate(found):
        blank = [name for name in _MAY_BE_BLANK if name in table.cells and (table.cells[name] == "").all()]
        found[i] = replace(table, cells=table.cells.drop(columns=blank))
    return found if group.tuning.empty else [*found, _choices(group)]


def _tables_of_test(group: Group, test: str) -> list[Table]:
    tables = [_auroc(group, test)]
    if len(group.kinds) > 1 and len(group.experiments) > len(group.kinds):
        tables.append(_kinds(group, test))
    tables.append(_metrics(group, test))
    if any("conditions" in record["chosen"][test] for record in group.trials["record"]):
        tables.append(_conditions(group, test))
    if CLE_SMOTE.name in group.methods:
        tables.append(_comparison(group, test, CLE_SMOTE.name, baselines_of(group)))
        best = best_variant(group) if group.has_validation else None
        if best not in (None, CLE_SMOTE.name):
            tables.append(_comparison(group, test, best, [*baselines_of(group), CLE_SMOTE.name]))
        if variants := [name for name in group.methods if is_cle_smote(name) and name != CLE_SMOTE.name]:
            tables.append(_variants(group, test, variants))
    if group.preset == "as_published":
        tables.append(_epochs(group, test))
    return tables


def best_variant(group: Group) -> str | None:
    """Find the variant of CLE-SMOTE, itself among them, that is best on validation images, over the pairs that all have."""
    aurocs = pairs(group.results("validation"))[[name for name in group.methods if is_cle_smote(name)]].dropna()
    return None if aurocs.empty else str(aurocs.sum().idxmax())


def _auroc(group: Group, test: str) -> Table:
    """Make one row for each experiment and method, with the paper's number beside ours."""
    cells = pd.DataFrame(
        {"Experiment": experiment, "Method": title_of(method)}
        | _mean_variance_interval(runs["auroc"], "Trials")
        | _mark(runs["record"])
        | {_PAPER: printed(group.suite, experiment, method)}
        for (experiment, method), runs in group.results(test).groupby(["experiment", "method"], observed=True)
    )
    which = _which_epoch(group)
    if group.preset == "as_published":
        which = "of the epoch that is best on these same images, in the mean over the trials"
    return Table(f"auroc-{test}", f"AUROC on the images of {test!r}, {which}", cells)


def _which_epoch(group: Group) -> str:
    return "of the epoch that is best on the validation images" if group.has_validation else "of the last epoch"


def _kinds(group: Group, test: str) -> Table:
    """Average over the experiments of each kind."""
    cells = pd.DataFrame(
        {"Kind of imbalance": KIND_TITLES.get(kind, kind), "Method": title_of(method)}
        | _mean_variance_interval(runs["auroc"], "Runs")
        | _mark(runs["record"])
        for (kind, method), runs in group.results(test).groupby(["kind", "method"], observed=True)
    )
    return Table(f"kinds-{test}", f"AUROC on the images of {test!r} over the experiments of a kind", cells)


def _metrics(group: Group, test: str) -> Table:
    """Average every metric over experiments and trials. One that a line of the method lacks is blank."""
    rows = []
    for method, records in group.trials.groupby("method", observed=True)["record"]:
        shares = [record["share_capped"] for record in records if record["share_capped"] is not None]
        rows.append(
            {"Method": title_of(method)}
            | {
                metric.title: _mean_deviation(r["chosen"][test].get(name) for r in records)
                for name, metric in METRICS.items()
            }
            | {
                "AUROC, last epoch": _mean_deviation(record["last"][test]["auroc"] for record in records),
                "Capped": f"{np.mean(shares):.1%}" if shares else "",
                **_mark(records),
                "Steps": f"{np.mean([record['steps'] for record in records]):.0f}",
                "Seconds a run": f"{np.mean([sum(record['seconds'].values()) for record in records]):.1f}",
            }
        )
    which = _which_epoch(group)
    title = f"Metrics on the images of {test!r}, {which}: mean (standard deviation) over experiments and trials"
    note = "Capped: share of the synthetic images seen in training that were over their cap."
    return Table(f"metrics-{test}", title, pd.DataFrame(rows), note)


def _conditions(group: Group, test: str) -> Table:
    """Average the AUROC of normal against each sub-condition, for those of the majority and of the minority."""
    rows = []
    for (kind, method), records in group.trials.groupby(["kind", "method"], observed=True)["record"]:
        means = pd.DataFrame([_by_frequency(record, test) for record in records]).mean(skipna=False)
        cells = means.map(lambda value: "" if np.isnan(value) else f"{value:.4f}")
        rows.append(
            {"Kind of imbalance": KIND_TITLES.get(kind, kind), "Method": title_of(method), **cells, **_mark(records)}
        )
    return Table(
        f"conditions-{test}",
        f"AUROC of normal against one sub-condition alone, images of {test!r}",
        pd.DataFrame(rows),
        "Means over the sub-conditions, experiments and trials. Where all are as frequent they count as minority.",
    )


def _by_frequency(record: Record, test: str) -> dict[str, float]:
    """Average over the frequent and over the rare sub-conditions of a run, and take the lowest; NaN where there is none."""
    found = pd.Series(record["chosen"][test].get("conditions", {}), dtype=float)
    counts = pd.Series(record["config"]["experiment"]["counts"]).reindex(found.index)
    is_frequent = counts > 2 * counts.min()
    return {
        "Majority sub-conditions": found[is_frequent].mean(),
        "Minority sub-conditions": found[~is_frequent].mean(),
        "Worst sub-condition": found.min(),
    }


def _comparison(group: Group, test: str, method: str, others: Sequence[str]) -> Table:
    """Compare a method with others in pairs."""
    which = " (the variant that is best on the validation images)" if method != CLE_SMOTE.name else ""
    effect = in_effect(_records(group, method).to_list())
    which += effect and f" (in effect {effect})"
    title = f"Difference of {title_of(method)}{which} to each other method, AUROC on the images of {test!r}"
    found = differences(group.results(test), method, others)
    return Table(f"comparison-{method}-{test}", title, _difference_cells(group, found, "Other method"), _PAIRS)


def _variants(group: Group, test: str, variants: Sequence[str]) -> Table:
    """Compare each variant with CLE-SMOTE in pairs."""
    results = group.results(test)
    # CLE-SMOTE is compared with its variants, so that p is corrected for their number; the sign is turned round
    found = differences(results.assign(auroc=-results["auroc"]), CLE_SMOTE.name, variants)
    title = f"Difference of each variant to CLE-SMOTE, AUROC on the images of {test!r}"
    return Table(f"variants-{test}", title, _difference_cells(group, found, "Variant"), _PAIRS)


def _mark(records: pd.Series) -> dict[str, str]:
    return {_IN_EFFECT: in_effect(records.to_list())}


def _records(group: Group, method: str) -> pd.Series:
    return group.trials["record"][group.trials["method"] == method]


def _difference_cells(group: Group, found: pd.DataFrame, heading: str) -> pd.DataFrame:
    columns = [heading, "Difference", "95 % interval", "p (paired t, Holm)", "Wins / ties / losses", _IN_EFFECT]
    rows = [
        (
            title_of(row["baseline"]),
            f"{row['mean']:+.4f}",
            f"{row['low']:+.4f} ... {row['high']:+.4f}",
            f"{row['p']:.2g}",
            f"{row['wins']} / {row['ties']} / {row['losses']}",
            in_effect(_records(group, row["baseline"]).to_list()),
        )
        for row in found.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=columns)


def _epochs(group: Group, test: str) -> Table:
    """Show what choosing the epoch on test images adds, as the notebooks did."""
    rows = []
    for (experiment, method), runs in group.results(test).groupby(["experiment", "method"], observed=True):
        curves, epoch = np.array(runs["curve"].tolist()), runs["epoch"].iloc[0]
        rows.append(
            {
                "Experiment": experiment,
                "Method": title_of(method),
                "Last epoch": f"{curves[:, -1].mean():.4f}",
                "Best epoch of the mean (which)": f"{curves[:, epoch - 1].mean():.4f} ({epoch})",
                "Best epoch of each trial": f"{curves.max(1).mean():.4f}",
                "Trials, last epoch": ", ".join(f"{value:.3f}" for value in curves[:, -1]),
                "Deviation, last 10 epochs": f"{curves[:, -10:].std(1, ddof=1).mean():.4f}",
                _PAPER: printed(group.suite, experiment, method),
            }
        )
    return Table(
        f"epochs-{test}",
        f"AUROC on the images of {test!r} by what is taken for the result",
        pd.DataFrame(rows),
        "Best epochs are chosen on what they are measured on. Deviation: standard deviation over the last ten epochs of a run, mean over "
        "the trials.",
    )


def _choices(group: Group) -> Table:
    """Show what the tuning runs chose."""
    part = "validation" if group.has_validation else group.tests[0]
    tuned = dict(list(group.tuning.groupby(["kind", "method"], observed=True)["record"]))
    rows = []
    for (kind, method), records in group.trials.groupby(["kind", "method"], observed=True)["record"]:
        if (kind, method) not in tuned:
            continue
        runs, chosen = tuned[kind, method], _choice_of(records.iloc[0])
        same = [run["chosen"][part]["auroc"] for run in runs if _choice_of(run) == chosen]
        rows.append(
            {
                "Kind": KIND_TITLES.get(kind, kind),
                "Method": title_of(method),
                "Chosen": ", ".join(f"{name} {value:g}" for name, value in chosen.items()),
                "Tuning runs": str(len(runs)),
                "Its AUROC": f"{max(same, default=float('nan')):.4f}",
            }
        )
    which = "validation images" if group.has_validation else "test images, as the notebooks did"
    headings = ["Kind", "Method", "Chosen", "Tuning runs", "Its AUROC"]
    return Table("choices", f"Hyperparameters, chosen on the {which}", pd.DataFrame(rows, columns=headings))


def _choice_of(record: Record) -> dict[str, Any]:
    """Return the values of a run that were searched for; the learning rate alone where the registry lacks the method."""
    config = record["config"]
    method = METHODS.get(config["method"]["name"])
    if method is None:
        return {"lr": config["settings"]["lr"]}
    if config["settings"]["preset"] == "as_published":
        names = [name for name, _ in published_search(method)]
    else:
        base = METHODS[method.tuned_as] if method.tuned_as else method
        names = list(dict.fromkeys(["lr", *base.search, *method.search]))
    values = {**vars(method), **config["settings"], **config["method"]}
    return {name: values[name] for name in names}


def _mean_deviation(values: Any) -> str:
    """Write mean and standard deviation; blank where a value is missing."""
    found = pd.Series(list(values), dtype=float)
    if found.isna().any():
        return ""
    return f"{found.mean():.4f}" + (f" ({found.std():.4f})" if len(found) > 1 else "")


def _mean_variance_interval(values: pd.Series, count: str) -> dict[str, str]:
    low, high = mean_interval(values.to_list(), 0, 1)
    several = len(values) > 1 and not values.isna().any()
    return {
        "AUROC": "" if values.isna().any() else f"{values.mean():.4f}",
        "Variance": f"{values.var():.2e}" if several else "",
        "95 % interval": f"{low:.4f} ... {high:.4f}" if several else "",
        count: str(len(values)),
    }
