"""The hypotheses of HYPOTHESES.md, and the tests that decide them by its rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.report.situations import DECLARED_PAIRS, gaps, trials_in
from benchmarks.report.statistics import MANY, mean_interval
from benchmarks.report.tables import Table

_LOSS, _GAIN = -0.01, 0.05  # "loses less than .01"; the gain in balanced accuracy that H4a asks for
_ALL = ("photographs", "X-rays", "pretrained")


@dataclass(frozen=True)
class Hypothesis:
    """A statement on the mean difference between a method and each of its baselines.

    Attributes:
        name: As in HYPOTHESES.md.
        statement: In words.
        situations: Trials of all of them together; with ``each_situation`` each one by itself.
        method, baselines: The method must be above the bound for each of the baselines.
        bound: What the mean difference must be above.
        metric: Column of the trials.
        each_situation: The statement must hold in every situation by itself.
    """

    name: str
    statement: str
    situations: tuple[str, ...]
    method: str
    baselines: tuple[str, ...]
    bound: float = 0.0
    metric: str = "auroc"
    each_situation: bool = False


_SAMPLERS = ("oversampling", "smote", "smote-real-share", "smote-all")
HYPOTHESES: Sequence[Hypothesis] = (
    Hypothesis("H1a", "smote-real-share beats smote", ("photographs",), "smote-real-share", ("smote",)),
    Hypothesis("H1b", "smote-all beats smote", ("photographs",), "smote-all", ("smote",)),
    *(
        Hypothesis(name, f"{method} beats oversampling and weighted", ("X-rays",), method, ("oversampling", "weighted"))
        for name, method in zip(("H2a", "H2b", "H2c"), _SAMPLERS[1:], strict=True)
    ),
    Hypothesis(
        "H3a",
        "cap-oversampled beats oversampling, gce, label-smoothing and small-loss",
        ("wrong labels, 30 %",),
        "cap-oversampled",
        ("oversampling", "gce", "label-smoothing", "small-loss"),
    ),
    Hypothesis(
        "H3b",
        "cap-oversampled loses less than .01 to oversampling",
        ("wrong labels, 0 %", "wrong labels, 10 %"),
        "cap-oversampled",
        ("oversampling",),
        _LOSS,
        each_situation=True,
    ),
    Hypothesis(
        "H4a",
        "crt raises balanced accuracy over none by more than .05",
        _ALL,
        "crt",
        ("none",),
        _GAIN,
        "balanced_accuracy",
    ),
    Hypothesis("H4b", "crt loses less than .01 of the AUROC of none", _ALL, "crt", ("none",), _LOSS),
    Hypothesis("H5", "weighted loses less than .01 to each sampler", ("pretrained",), "weighted", _SAMPLERS, _LOSS),
    Hypothesis(
        "H6",
        "oversampling loses less than .01 to class-cosine-cap",
        ("photographs", "X-rays", "wrong labels, 30 %", "pretrained"),
        "oversampling",
        ("class-cosine-cap",),
        _LOSS,
        each_situation=True,
    ),
)


def decide(trials: pd.DataFrame, hypotheses: Sequence[Hypothesis] = HYPOTHESES) -> pd.DataFrame:
    """Test the hypotheses on trials.

    Args:
        trials: As :func:`benchmarks.report.situations.trials_of` returns them.
        hypotheses: Those that Holm's correction is over.

    Returns:
        One row for each part of a hypothesis. Columns: ``name``, ``situation``, ``method``, ``baseline``, ``bound``; ``mean``,
        ``low`` and ``high`` of the differences; ``pairs`` that were run and that were ``declared``; ``p`` of the hypothesis,
        corrected; ``outcome`` of the hypothesis: confirmed, refuted, open, or not run (a part has no two pairs; its p counts
        as 1), with "so far" if a part has fewer pairs than declared.
    """
    from statsmodels.stats.multitest import multipletests  # two seconds to import: only a report needs it

    rows: list[tuple[Any, ...]] = []
    largest: dict[str, float] = {}
    for hypothesis in hypotheses:
        parts = [(name,) for name in hypothesis.situations] if hypothesis.each_situation else [hypothesis.situations]
        for part in parts:
            here = pd.concat([trials_in(trials, name) for name in part])
            # a frozen network and one that is trained are two experiments
            here = here.assign(experiment=here["experiment"] + " " + here["network"])
            for baseline in hypothesis.baselines:
                found = gaps(here, hypothesis.method, baseline, hypothesis.metric)
                of_experiments = found.groupby(level="experiment").mean()
                units = (of_experiments if len(of_experiments) >= MANY else found).to_numpy()
                p, (low, high) = 1.0, mean_interval(units.tolist(), -1, 1)
                if len(units) >= 2 and np.ptp(units) > 0:  # equal in every pair: no evidence of anything
                    p = float(stats.ttest_1samp(units, hypothesis.bound, alternative="greater").pvalue)
                mean = units.mean() if len(units) else np.nan
                rows.append(
                    (
                        hypothesis.name,
                        ", ".join(part),
                        hypothesis.method,
                        baseline,
                        hypothesis.bound,
                        mean,
                        low,
                        high,
                        len(found),
                        sum(DECLARED_PAIRS[situation] for situation in part),
                    )
                )
                largest[hypothesis.name] = max(largest.get(hypothesis.name, 0.0), p)
    columns = ["name", "situation", "method", "baseline", "bound", "mean", "low", "high", "pairs", "declared"]
    table = pd.DataFrame(rows, columns=columns)
    corrected = dict(zip(largest, multipletests(list(largest.values()), method="holm")[1], strict=True))
    table["p"] = table["name"].map(corrected)
    outcomes = {name: _outcome(of_name, corrected[str(name)]) for name, of_name in table.groupby("name")}
    return table.assign(outcome=table["name"].map(outcomes))


def _outcome(parts: pd.DataFrame, p: float) -> str:
    so_far = " so far" if (parts["pairs"] < parts["declared"]).any() else ""
    if (parts["high"] < parts["bound"]).any():
        return f"refuted{so_far}"
    if (parts["pairs"] < 2).any():
        return "not run"
    return f"confirmed{so_far}" if p < 0.05 else f"open{so_far}"


def hypothesis_table(trials: pd.DataFrame) -> Table:
    """Write what :func:`decide` finds as a table."""
    found, statements = decide(trials), {hypothesis.name: hypothesis.statement for hypothesis in HYPOTHESES}
    cells = pd.DataFrame(
        {
            "": found["name"],
            "Hypothesis": found["name"].map(statements),
            "Situation": found["situation"],
            "Against": found["baseline"],
            "Difference": [
                "" if np.isnan(mean) else f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
                for mean, low, high in found[["mean", "low", "high"]].itertuples(index=False)
            ],
            "Bound": found["bound"].map("{:+.2f}".format),
            "Pairs": found["pairs"].astype(str) + " of " + found["declared"].astype(str),
            "p (Holm)": found["p"].map("{:.2g}".format),
            "Outcome": found["outcome"],
        }
    )
    note = "Paired differences with 95 % intervals; over the experiments where there are five or more. HYPOTHESES.md has the rule."
    return Table("hypotheses", "Hypotheses", cells, note)
