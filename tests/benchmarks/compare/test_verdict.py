import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from benchmarks.compare.verdict import PLAIN, THRESHOLD, classify_methods, corrected_t, differences, verdict

METHODS = (PLAIN, "weighted", "smote", "head", "cle")
TITLES = {name: f"The {name}" for name in METHODS}
SHARE = 0.2 / 0.6


def table(shifts=None, *, splits=10, noise=0.02, seed=0, threshold=0.0, methods=METHODS):
    """Results in which methods differ from plain training by ``shifts[method][measure]`` and by noise.

    Differences of splits are as alike as overlapping training sets make them: their correlation is that of Nadeau and
    Bengio, test / (test + training).
    """
    rng = np.random.default_rng(seed)
    rho = SHARE / (1 + SHARE)
    rows = []
    means = {"auroc": 0.85, "auprc": 0.4, "balanced_accuracy": 0.75, "worst_recall": 0.6}
    common = {m: {name: rng.normal(0, np.sqrt(rho) * noise) for name in means} for m in methods}
    for split in range(splits):
        for method in methods:
            of = {
                name: mean
                + (shifts or {}).get(method, {}).get(name, 0)
                + common[method][name]
                + rng.normal(0, np.sqrt(1 - rho) * noise)
                for name, mean in means.items()
            }
            plain = of["balanced_accuracy"] - threshold - rng.normal(0, noise)
            rows.append({"split": split, "method": method, **of, "plain_balanced_accuracy": plain})
    return pd.DataFrame(rows)


def test_the_test_is_that_of_nadeau_and_bengio():
    gaps = np.array([0.03, 0.01, 0.04, 0.02, 0.05])
    mean, low, high, p = corrected_t(gaps, 0.25)
    t = 0.03 / np.sqrt((1 / 5 + 0.25) * gaps.var(ddof=1))
    assert p == pytest.approx(2 * stats.t.sf(t, 4))
    assert (low + high) / 2 == pytest.approx(mean)
    assert high - mean == pytest.approx(stats.t.ppf(0.975, 4) * 0.03 / t)


def test_without_overlap_it_is_the_paired_t_test():
    gaps = np.random.default_rng(0).normal(0.1, 1, 8)
    assert corrected_t(gaps, 0.0)[3] == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue)


def test_differences_without_variance_are_no_evidence():
    assert corrected_t(np.full(4, 0.02), 0.25) == (0.02, 0.02, 0.02, 1.0)


def test_p_is_corrected_by_holm_over_the_methods_of_a_measure():
    results = table({"head": {"auroc": 0.1}, "cle": {"auroc": 0.03}})
    found = differences(results, SHARE)
    wide = results.pivot(index="split", columns="method", values="auroc")
    single = [corrected_t((wide[m] - wide[PLAIN]).to_numpy(), SHARE)[3] for m in METHODS[1:]]
    corrected = found[found["measure"] == "auroc"].set_index("method")["p"]
    assert corrected[list(METHODS[1:])].tolist() == pytest.approx(multipletests(single, method="holm")[1])
    assert len(set(corrected)) > 2
    assert THRESHOLD in found[found["measure"] == "balanced_accuracy"]["method"].tolist()


def test_equal_methods_are_said_to_help_in_five_percent_of_the_comparisons_at_most():
    helps = hurts = 0
    for seed in range(200):
        kinds = classify_methods(differences(table(splits=8, seed=seed), SHARE))
        del kinds[THRESHOLD]
        helps += "helps" in kinds.values()
        hurts += "hurts" in kinds.values()
    assert 0.005 <= helps / 200 <= 0.07
    assert 0.005 <= hurts / 200 <= 0.07


def test_a_large_difference_is_found_mostly_and_named_first():
    found = [verdict(table({"head": {"balanced_accuracy": 0.12}}, seed=seed), SHARE, TITLES)[0] for seed in range(20)]
    assert sum(text.startswith("The head helps: AUROC ") for text in found) >= 18
    number = float(found[0].split("balanced accuracy ")[1].split(" ")[0])
    assert number == pytest.approx(0.12, abs=0.03)


def test_equal_methods_are_to_be_left_out():
    first, *others = verdict(table(noise=0.01), SHARE, TITLES)
    assert first == "Nothing differs from plain training beyond chance: keep it plain."
    assert not [text for text in others if " helps" in text or " hurts" in text]


def test_wide_intervals_are_not_taken_for_equality():
    results = table({"head": {"auroc": 0.1}}, splits=3, noise=0.04)
    first = verdict(results, SHARE, TITLES)[0]
    assert first.startswith("Nothing differs from plain training beyond chance so far")
    assert "Ahead: The head, AUROC +0." in first


def test_a_method_that_is_behind_is_not_called_ahead():
    shifts = {name: {"auroc": -0.1, "balanced_accuracy": -0.1} for name in METHODS[1:]}
    first = verdict(table(shifts, splits=3, noise=0.06), SHARE, TITLES)[0]
    assert first.endswith("so far: keep it plain, until more splits show otherwise.")


def test_differences_beyond_all_measure_are_not_written():
    found = differences(table(splits=3, noise=0.5), SHARE)
    assert found["low"].min() == -1
    assert found["high"].max() == 1
    last = verdict(table(splits=3, noise=0.5), SHARE, TITLES)[-1]
    assert last.startswith("3 splits are too few to tell any but the largest differences from chance. More splits")


def test_a_method_that_is_worse_hurts_and_plain_training_is_kept():
    first, second, *_ = verdict(table({"smote": {"auroc": -0.15}}, noise=0.01), SHARE, TITLES)
    assert first == "Nothing is better than plain training beyond chance: keep it plain."
    assert second.startswith("The smote hurts: AUROC -0.1")


def test_a_method_that_gives_one_measure_for_the_other_does_not_help():
    shifts = {"cle": {"auroc": -0.15, "balanced_accuracy": 0.15}}
    found = verdict(table(shifts), SHARE, TITLES)
    assert classify_methods(differences(table(shifts), SHARE))["cle"] == "trades"
    assert found[0].startswith("Nothing is better than plain training")
    assert found[1].startswith("The cle gives one measure for the other")


def test_measures_that_are_not_judged_decide_nothing():
    found = classify_methods(differences(table({"cle": {"auprc": 0.5, "worst_recall": -0.5}}), SHARE))
    assert found["cle"] == "same"


def test_what_the_threshold_gives_alone_is_said():
    found = verdict(table(threshold=0.2), SHARE, TITLES)
    assert [text for text in found if text.startswith("Whatever you train, fit the threshold")]
    assert [text for text in verdict(table(), SHARE, TITLES) if "no more than chance: balanced accuracy" in text]


def test_with_fewer_splits_smaller_differences_are_not_seen():
    def reach(splits):
        last = verdict(table(splits=splits), SHARE, TITLES)[-1]
        assert ("larger --budget" in last) == (splits < 6)
        return float(last.split("under about ")[1].split(" ")[0])

    assert reach(3) > 2 * reach(10) > 0
