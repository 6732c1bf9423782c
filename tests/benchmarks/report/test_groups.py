"""Which lines belong together."""

import numpy as np
import pytest

from benchmarks.report.groups import groups_of, in_effect
from benchmarks.report.write import write_report
from tests.support.run_lines import line


def test_trials_chosen_from_another_grid_are_a_group_of_their_own():
    records = [line("none", rates=[0.1]), line("none", rates=[0.2], lr=0.2), line("none")]
    assert len(groups_of(records)) == 3
    assert len(groups_of([line("none", rates=[0.1]), line("smote", rates=[0.1], lr=0.3)])) == 1


def test_trials_of_a_set_learning_rate_are_a_group_of_their_own_and_show_it(tmp_path):
    records = [line("smote", seed, lr=lr) for lr in (0.001, 0.01) for seed in range(2)]
    records += [line("smote", 0, lr=0.01, value=0.9)]
    records += [line("smote", 9, role="tuning", lr=lr) for lr in (0.001, 0.01)]
    first, second = groups_of(records)
    assert [len(group.trials) for group in (first, second)] == [2, 2]
    assert [group.superseded for group in (first, second)] == [0, 1]
    assert first.tuning.empty
    assert second.tuning.empty
    text = write_report(records, tmp_path)[0].read_text()
    assert "nothing tuned: learning rate 0.001" in text
    assert "learning rate 0.01 and the defaults of each method, 1 trials left out for later ones" in text


@pytest.mark.parametrize(
    ("method", "shares", "effect"),
    [
        ("cle-smote", (0.004, 0.015), "SMOTE + triplets"),
        ("cle-smote", (0.005, 0.015), ""),
        ("cle-smote", (0.0, 0.0), "SMOTE + triplets"),
        ("constant-cap", (0.0, 0.001), "SMOTE"),
        ("smote", (None, None), ""),
        ("smote-triplets", (None, None), ""),
    ],
)
def test_a_cap_that_hardly_acts_is_marked_as_what_the_method_then_is(method, shares, effect):
    records = [{**line(method, seed), "share_capped": share} for seed, share in enumerate(shares)]
    assert in_effect(records) == effect


def test_an_auroc_that_is_not_defined_is_nan_in_the_results():
    records = [line("none"), line("none", 1)]
    for point in (*records[0]["curve"], *records[1]["curve"]):
        point["auroc"]["test"] = None  # as a line stores NaN
    (group,) = groups_of(records)
    assert np.isnan(group.results("test")["auroc"].to_numpy()).all()
