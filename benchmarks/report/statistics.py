"""Is one method better than another? Paired differences over trials and experiments, with intervals and corrected tests."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

_TIE = 0.001  # AUROC: the third digit
MANY = 5  # experiments, to test over them


def mean_interval(values: Sequence[float], least: float = -np.inf, largest: float = np.inf) -> tuple[float, float]:
    """Compute the 95 % confidence interval of a mean by Student's t; NaN for fewer than two values.

    It is cut at the least and the largest value that the mean can have. This leaves the coverage as it is.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    return float(max(low, least)), float(min(high, largest))


def pairs(results: pd.DataFrame) -> pd.DataFrame:
    """Return the AUROC with a row for each experiment and seed and a column for each method; NaN where there is no run."""
    return results.astype({"experiment": str, "method": str}).pivot(
        index=["experiment", "seed"], columns="method", values="auroc"
    )


def differences(results: pd.DataFrame, method: str, baselines: Sequence[str]) -> pd.DataFrame:
    """Compare a method with each baseline, in pairs of the same experiment and seed.

    Interval and test are over the pairs. With five experiments or more they are over the experiments, each the mean of its
    trials, since trials of one experiment are more alike than experiments are.

    Args:
        results: One row for each trial, with the columns ``experiment``, ``method``, ``seed`` and ``auroc``.
        method: The method that is compared.
        baselines: The methods it is compared with. Those without two pairs are left out.

    Returns:
        One row for each baseline. Columns: ``baseline``; ``mean``, ``low`` and ``high`` of the differences, with their 95 %
        confidence interval; ``p`` of a paired t-test, corrected by Holm for the number of baselines; ``wins``, ``ties`` and
        ``losses``, the number of pairs, where a difference below 0.001 is a tie.
    """
    from statsmodels.stats.multitest import multipletests  # two seconds to import: only a report needs it

    aurocs = pairs(results).reindex(columns=[method, *baselines])
    rows = []
    for baseline in baselines:
        gaps = (aurocs[method] - aurocs[baseline]).dropna()
        if len(gaps) < 2:
            continue
        of_experiments = gaps.groupby(level="experiment").mean()
        units = (of_experiments if len(of_experiments) >= MANY else gaps).to_numpy()
        # equal in every pair: no evidence of anything
        p = 1.0 if np.ptp(units) == 0 else float(stats.ttest_1samp(units, 0).pvalue)
        ties, wins = int((gaps.abs() < _TIE).sum()), int((gaps >= _TIE).sum())
        rows.append((baseline, units.mean(), *mean_interval(units, -1, 1), p, wins, ties, len(gaps) - wins - ties))
    found = pd.DataFrame(rows, columns=["baseline", "mean", "low", "high", "p", "wins", "ties", "losses"])
    return found.assign(p=multipletests(found["p"], method="holm")[1]) if rows else found
