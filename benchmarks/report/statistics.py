"""Is one method better than another? Paired differences over trials and experiments, with intervals and corrected tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

Pair = tuple[str, int]  # experiment and seed
_TIE = 0.001  # AUROC: the third digit
_MANY = 5  # experiments, to test over them


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of a mean, by Student's t; NaN for fewer than two values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """One method less another, over the runs that both have.

    Attributes:
        baseline: The other method.
        mean, low, high: Of the differences, with a 95 % confidence interval.
        p: Of a paired t-test that the mean is 0, corrected by Holm for the number of comparisons.
        wins, ties, losses: Pairs of the same experiment and seed; below 0.001 it is a tie.
    """

    baseline: str
    mean: float
    low: float
    high: float
    p: float
    wins: int
    ties: int
    losses: int


def differences(values: Mapping[str, Mapping[Pair, float]], method: str, baselines: Sequence[str]) -> list[Difference]:
    """Compare a method with each baseline, pair by pair of the same experiment and seed.

    Interval and test are over the pairs of one experiment. With five experiments or more they are over the experiments, each
    the mean of its trials, since trials of one experiment are more alike than experiments are.

    Args:
        values: By method, the result of each experiment and seed.
        method: The one that is compared.
        baselines: Those it is compared with; those without two pairs are left out.
    """
    found = []
    for baseline in baselines:
        pairs = sorted(values.get(method, {}).keys() & values.get(baseline, {}).keys())
        if len(pairs) < 2:
            continue
        gaps = np.array([values[method][pair] - values[baseline][pair] for pair in pairs])
        units = gaps
        if len(experiments := sorted({name for name, _ in pairs})) >= _MANY:
            of = np.array([experiments.index(name) for name, _ in pairs])
            units = np.array([gaps[of == i].mean() for i in range(len(experiments))])
        # equal in every pair: no evidence of anything
        p = 1.0 if np.ptp(units) == 0 else float(stats.ttest_1samp(units, 0).pvalue)
        low, high = mean_interval(units.tolist())
        ties, wins = int((abs(gaps) < _TIE).sum()), int((gaps >= _TIE).sum())
        found.append(Difference(baseline, float(units.mean()), low, high, p, wins, ties, len(gaps) - wins - ties))
    corrected = holm([difference.p for difference in found])
    return [replace(difference, p=p) for difference, p in zip(found, corrected, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction for several comparisons.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    raised = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1)
    corrected = np.empty(len(p_values))
    corrected[order] = raised
    return [float(p) for p in corrected]
