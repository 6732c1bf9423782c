"""The tables that are made of a group of runs."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.data.experiments import KIND_TITLES
from benchmarks.methods.registry import METHODS, UPPER_BOUND
from benchmarks.report.groups import Group, kind_of, method_of, title_of
from benchmarks.report.paper import printed
from benchmarks.report.statistics import Difference, Pair, differences, mean_interval
from benchmarks.report.table import Table
from benchmarks.training.as_published import published_search
from benchmarks.training.run import Record

COMPARED = "cle-smote"


def tables_of(group: Group) -> list[Table]:
    """All tables of a group."""
    found = [table for test in group.tests for table in _of_test(group, test)]
    if group.tuning:
        found.append(_choices(group))
    return found


def _of_test(group: Group, test: str) -> list[Table]:
    tables = [_auroc(group, test), _metrics(group, test)]
    if len(group.kinds) > 1 and len(group.experiments) > len(group.kinds):
        tables.insert(1, _kinds(group, test))
    if any("conditions" in record["chosen"][test] for record in group.trials):
        tables.append(_conditions(group, test))
    if COMPARED in group.methods:
        tables.append(_comparison(group, test, COMPARED, others_of(group)))
        best = best_variant(group) if group.has_validation else None
        if best is not None and best != COMPARED:
            tables.append(_comparison(group, test, best, [*others_of(group), COMPARED]))
        if variants := [name for name in group.methods if is_ours(name) and name != COMPARED]:
            tables.append(_variants(group, test, variants))
    if group.preset == "as_published":
        tables.append(_epochs(group, test))
    return tables


def best_variant(group: Group) -> str | None:
    """CLE-SMOTE or the variant of it that does best on the validation images, over the pairs that all of them have."""
    values = group.values("validation")
    ours = [name for name in group.methods if is_ours(name)]
    pairs = set.intersection(*(set(values[name]) for name in ours)) if ours else set()
    if not pairs:
        return None
    return max(ours, key=lambda name: sum(values[name][pair] for pair in pairs))


def is_ours(name: str) -> bool:
    """Whether a method is CLE-SMOTE or a variant of it."""
    return name == COMPARED or (name in METHODS and METHODS[name].tuned_as == COMPARED)


def others_of(group: Group) -> list[str]:
    """What CLE-SMOTE is compared with: all methods but its variants and the upper bound."""
    return [name for name in group.methods if not is_ours(name) and name != UPPER_BOUND.name]


def _auroc(group: Group, test: str) -> Table:
    """One row for each experiment and method, the paper's number beside ours."""
    rows: list[tuple[str, ...]] = []
    for experiment in group.experiments:
        for method in group.methods:
            runs = group.of(method, experiment)
            if not runs:
                continue
            values = [group.auroc(record, test) for record in runs]
            rows.append(
                (
                    experiment,
                    title_of(method),
                    *_mean_variance_interval(values),
                    printed(group.suite, experiment, method),
                )
            )
    headings: tuple[str, ...] = (
        "Experiment",
        "Method",
        "AUROC",
        "Variance",
        "95 % interval",
        "Trials",
        "Paper: AUROC (variance)",
    )
    if not any(row[-1] for row in rows):
        headings, rows = headings[:-1], [row[:-1] for row in rows]
    which = "of the epoch that is best on the validation images" if group.has_validation else "of the last epoch"
    if group.preset == "as_published":
        which = "of the epoch that is best on these same images, in the mean over the trials"
    return Table(f"auroc-{test}", f"AUROC on the images of {test!r}, {which}", headings, tuple(rows))


def _kinds(group: Group, test: str) -> Table:
    """Mean over the experiments of each kind."""
    rows = []
    for kind, experiments in group.kinds.items():
        for method in group.methods:
            values = [group.auroc(record, test) for name in experiments for record in group.of(method, name)]
            if values:
                rows.append((KIND_TITLES.get(kind, kind), title_of(method), *_mean_variance_interval(values)))
    return Table(
        f"kinds-{test}",
        f"AUROC on the images of {test!r} over the experiments of a kind",
        ("Kind of imbalance", "Method", "AUROC", "Variance", "95 % interval", "Runs"),
        tuple(rows),
    )


def _metrics(group: Group, test: str) -> Table:
    """The other metrics, means over experiments and trials."""
    rows = []
    for method in group.methods:
        runs = group.of(method)
        found = [record["chosen"][test] for record in runs]
        shares = [record["share_capped"] for record in runs if record["share_capped"] is not None]
        rows.append(
            (
                title_of(method),
                *(_mean_deviation([values[name] for values in found]) for name in _METRICS),
                _mean_deviation([record["last"][test]["auroc"] for record in runs]),
                f"{np.mean(shares):.1%}" if shares else "",
                f"{np.mean([record['steps'] for record in runs]):.0f}",
                f"{np.mean([sum(record['seconds'].values()) for record in runs]):.1f}",
            )
        )
    which = "of the epoch that is best on the validation images" if group.has_validation else "of the last epoch"
    headings = ("Method", *_METRICS.values(), "AUROC, last epoch", "Capped", "Steps", "Seconds a run")
    return Table(
        f"metrics-{test}",
        f"Metrics on the images of {test!r}, {which}: mean (standard deviation) over experiments and trials",
        headings,
        tuple(rows),
        "Capped: share of the synthetic images seen in training that were over their cap.",
    )


_METRICS = {"auroc": "AUROC", "auprc": "AUPRC", "balanced_accuracy": "Balanced accuracy", "ece": "ECE"}


def _conditions(group: Group, test: str) -> Table:
    """AUROC of normal against each sub-condition, for those of the majority and of the minority."""
    rows = []
    for kind, experiments in group.kinds.items():
        for method in group.methods:
            runs = [record for name in experiments for record in group.of(method, name)]
            if not runs:
                continue
            major, minor, worst = zip(*(_by_frequency(record, test) for record in runs), strict=True)
            cells = (f"{np.mean(part):.4f}" if None not in part else "" for part in (major, minor, worst))
            rows.append((KIND_TITLES.get(kind, kind), title_of(method), *cells))
    return Table(
        f"conditions-{test}",
        f"AUROC of normal against one sub-condition alone, images of {test!r}",
        ("Kind of imbalance", "Method", "Majority sub-conditions", "Minority sub-conditions", "Worst sub-condition"),
        tuple(rows),
        "Means over the sub-conditions, experiments and trials. Where all are as frequent they count as minority.",
    )


def _by_frequency(record: Record, test: str) -> tuple[float | None, float | None, float | None]:
    """Mean over the majority sub-conditions, over the minority ones, and the least."""
    found = record["chosen"][test].get("conditions", {})
    counts = record["config"]["experiment"]["counts"]
    least = min((counts[name] for name in found), default=0)
    major = [value for name, value in found.items() if counts[name] > 2 * least]
    minor = [value for name, value in found.items() if counts[name] <= 2 * least]
    return (
        float(np.mean(major)) if major else None,
        float(np.mean(minor)) if minor else None,
        min(found.values(), default=None),
    )


def _comparison(group: Group, test: str, method: str, others: Sequence[str]) -> Table:
    """Paired differences of a method to others."""
    which = " (the variant that is best on the validation images)" if method != COMPARED else ""
    return _paired(
        f"comparison-{method}-{test}",
        f"{title_of(method)}{which} less each other method, AUROC on the images of {test!r}",
        "Other method",
        differences(group.values(test), method, others),
    )


def _variants(group: Group, test: str, variants: Sequence[str]) -> Table:
    """Paired differences of each variant to CLE-SMOTE."""
    # turned round: CLE-SMOTE less each variant is corrected for their number, and the sign changed
    values = {name: _minus(group.values(test)[name]) for name in (COMPARED, *variants)}
    return _paired(
        f"variants-{test}",
        f"Each variant less CLE-SMOTE, AUROC on the images of {test!r}",
        "Variant",
        differences(values, COMPARED, variants),
    )


def _paired(name: str, title: str, heading: str, found: Sequence[Difference]) -> Table:
    return Table(
        name,
        title,
        (heading, "Difference", "95 % interval", "p (paired t, Holm)", "Wins / ties / losses"),
        tuple(
            (
                title_of(row.baseline),
                f"{row.mean:+.4f}",
                f"{row.low:+.4f} ... {row.high:+.4f}",
                f"{row.p:.2g}",
                f"{row.wins} / {row.ties} / {row.losses}",
            )
            for row in found
        ),
        "Pairs are of the same experiment and seed; below 0.001 it is a tie. Trials of an experiment share test images and tuned "
        "hyperparameters: interval and p speak for new trials of these experiments, not for other data. With five experiments or more "
        "they are over the experiments.",
    )


def _minus(values: Mapping[Pair, float]) -> dict[Pair, float]:
    return {pair: -value for pair, value in values.items()}


def _epochs(group: Group, test: str) -> Table:
    """What choosing the epoch on test images, as the notebooks did, adds."""
    rows = []
    for experiment in group.experiments:
        for method in group.methods:
            runs = group.of(method, experiment)
            if not runs:
                continue
            curves = np.array([[point["auroc"][test] for point in record["curve"]] for record in runs])
            epoch = group.epoch(runs[0], test)
            rows.append(
                (
                    experiment,
                    title_of(method),
                    f"{curves[:, -1].mean():.4f}",
                    f"{curves[:, epoch - 1].mean():.4f} ({epoch})",
                    f"{curves.max(1).mean():.4f}",
                    ", ".join(f"{value:.3f}" for value in curves[:, -1]),
                    f"{curves[:, -10:].std(1, ddof=1).mean():.4f}",
                    printed(group.suite, experiment, method),
                )
            )
    return Table(
        f"epochs-{test}",
        f"AUROC on the images of {test!r} by what is taken for the result",
        (
            "Experiment",
            "Method",
            "Last epoch",
            "Best epoch of the mean (which)",
            "Best epoch of each trial",
            "Trials, last epoch",
            "Deviation, last 10 epochs",
            "Paper: AUROC (variance)",
        ),
        tuple(rows),
        "Best epochs are chosen on what they are measured on. Deviation: standard deviation over the last ten epochs of a run, mean over "
        "the trials.",
    )


def _choices(group: Group) -> Table:
    """What the tuning runs chose."""
    rows: dict[tuple[str, str], tuple[str, ...]] = {}
    tuned: dict[tuple[str, str], list[Record]] = {}
    for record in group.tuning:
        tuned.setdefault((kind_of(record), method_of(record)), []).append(record)
    order = {name: i for i, name in enumerate(METHODS)}
    for record in sorted(group.trials, key=lambda record: order.get(method_of(record), len(order))):
        key = kind_of(record), method_of(record)
        if key in tuned and key not in rows:
            chosen = _choice_of(record)
            part = "validation" if group.has_validation else group.tests[0]
            same = [run for run in tuned[key] if _choice_of(run) == chosen]
            best = max((run["chosen"][part]["auroc"] for run in same), default=float("nan"))
            text = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
            rows[key] = (KIND_TITLES.get(key[0], key[0]), title_of(key[1]), text, str(len(tuned[key])), f"{best:.4f}")
    which = "validation images" if group.has_validation else "test images, as the notebooks did"
    return Table(
        "choices",
        f"Hyperparameters, chosen on the {which}",
        ("Kind", "Method", "Chosen", "Tuning runs", "Its AUROC"),
        tuple(rows[key] for key in sorted(rows, key=lambda key: list(group.kinds).index(key[0]))),
    )


def _choice_of(record: Record) -> dict[str, float]:
    """The values of a run that were searched for."""
    config, method = record["config"], METHODS[method_of(record)]
    if config["settings"]["preset"] == "as_published":
        names = [name for name, _ in published_search(method)]
    else:
        base = METHODS[method.tuned_as] if method.tuned_as else method
        names = list(dict.fromkeys(["lr", *base.search, *method.search]))
    values = {**vars(method), **config["settings"], **config["method"]}
    return {name: values[name] for name in names}


def _mean_deviation(values: Sequence[float]) -> str:
    return f"{np.mean(values):.4f}" + (f" ({np.std(values, ddof=1):.4f})" if len(values) > 1 else "")


def _mean_variance_interval(values: Sequence[float]) -> tuple[str, str, str, str]:
    low, high = mean_interval(values)
    several = len(values) > 1
    return (
        f"{np.mean(values):.4f}",
        f"{np.var(values, ddof=1):.2e}" if several else "",
        f"{low:.4f} ... {high:.4f}" if several else "",
        str(len(values)),
    )
