"""Paired comparisons, against scipy and by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.report import statistics
from benchmarks.report.statistics import mean_interval


def differences(values, method, baselines):
    """Compare methods whose results are given by experiment and seed; a row for each baseline."""
    rows = [(name, *pair, value) for name, results in values.items() for pair, value in results.items()]
    results = pd.DataFrame(rows, columns=["method", "experiment", "seed", "auroc"])
    return list(statistics.differences(results, method, baselines).itertuples())


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    pairs = [(name, seed) for name in ("x", "y") for seed in range(5)]
    base = rng.normal(0.8, 0.1, 10)  # experiments and seeds differ more than methods do
    return {
        name: dict(zip(pairs, base + shift + rng.normal(0, 0.01, 10), strict=True))
        for name, shift in (("ours", 0.02), ("worse", 0.0), ("alike", 0.016), ("better", 0.05))
    }


def test_pairs_are_compared_and_not_means(values):
    found = {d.baseline: d for d in differences(values, "ours", ["worse", "alike", "better"])}
    for name, difference in found.items():
        ours, theirs = ([values[m][pair] for pair in sorted(values[m])] for m in ("ours", name))
        test = stats.ttest_rel(ours, theirs)
        assert difference.mean == pytest.approx(np.mean(ours) - np.mean(theirs))
        interval = test.confidence_interval()
        assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high))
        assert difference.p >= test.pvalue
    assert found["worse"].low > 0
    assert found["worse"].p < 0.05
    assert found["alike"].p > 0.05
    assert found["better"].high < 0
    # unpaired, the same values tell nothing
    assert stats.ttest_ind(list(values["ours"].values()), list(values["worse"].values())).pvalue > 0.3


def test_wins_ties_and_losses_are_counted():
    ours = {("x", i): value for i, value in enumerate((0.9, 0.8, 0.7, 0.6))}
    theirs = {("x", i): value for i, value in enumerate((0.8, 0.8004, 0.71, 0.5))} | {
        ("y", 0): 0.1
    }  # one more: no pair
    (found,) = differences({"ours": ours, "theirs": theirs}, "ours", ["theirs", "absent"])
    assert (found.wins, found.ties, found.losses) == (2, 1, 1)


def test_many_experiments_are_the_units_and_not_their_trials():
    rng = np.random.default_rng(0)
    gaps = {
        (f"experiment {i}", seed): gap + rng.normal(0, 0.001)
        for i, gap in enumerate(rng.normal(0.01, 0.02, 6))
        for seed in range(4)
    }
    base = dict.fromkeys(gaps, 0.8)
    (found,) = differences({"ours": {pair: 0.8 + gap for pair, gap in gaps.items()}, "base": base}, "ours", ["base"])
    means = [np.mean([gap for (name, _), gap in gaps.items() if name == f"experiment {i}"]) for i in range(6)]
    assert found.p == pytest.approx(stats.ttest_1samp(means, 0).pvalue)
    assert found.p > 3 * stats.ttest_1samp(list(gaps.values()), 0).pvalue
    assert found.wins + found.ties + found.losses == 24


def test_equal_results_are_no_evidence():
    ours = {("x", i): 0.5 for i in range(3)}
    (found,) = differences({"ours": ours, "same": dict(ours)}, "ours", ["same"])
    assert (found.mean, found.p, found.ties) == (0, 1, 3)


def test_holm_multiplies_the_smallest_p_by_the_number_of_comparisons(values):
    alone = [differences(values, "ours", [name])[0].p for name in ("worse", "alike", "better")]
    together = [found.p for found in differences(values, "ours", ["worse", "alike", "better"])]
    small, middle, large = np.argsort(alone)
    assert together[small] == pytest.approx(3 * alone[small])
    assert together[middle] == pytest.approx(max(2 * alone[middle], together[small]))
    assert together[large] == pytest.approx(max(alone[large], together[middle]))
    assert differences(values, "ours", ["absent"]) == []


def test_the_interval_is_students():
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert all(np.isnan(mean_interval([1.0])))
    assert mean_interval([0.5, 0.5]) == (0.5, 0.5)


def test_an_interval_ends_where_the_mean_can_be():
    wide, high = [0.9, 0.3, 0.6], [0.9, 0.4, 0.6]
    assert mean_interval(wide) == pytest.approx((-0.145, 1.345), abs=1e-3)
    assert mean_interval(wide, 0, 1) == (0, 1)
    assert mean_interval(high, 0, 1) == (mean_interval(high)[0], 1)
    assert mean_interval(high)[0] > 0
    assert mean_interval([0.79, 0.8, 0.82], 0, 1) == mean_interval([0.79, 0.8, 0.82])
    assert mean_interval([0.99, 0.999], 0, 1)[1] == 1
    assert all(np.isnan(mean_interval([0.5], 0, 1)))


def test_the_interval_of_a_difference_ends_at_one():
    ours, theirs = {("x", 0): 1.0, ("x", 1): 0.9}, {("x", 0): 0.0, ("x", 1): 0.3}
    (found,) = differences({"ours": ours, "theirs": theirs}, "ours", ["theirs"])
    assert (found.mean, found.low, found.high) == (0.8, -1, 1)
