"""Situations, from made-up lines."""

import pytest

from benchmarks.report.situations import SITUATIONS, gaps, situation_tables, trials_in, trials_of
from tests.support.run_lines import line


def made(method, seed=0, suite="kermany", experiment="interclass", noise=None, **settings):
    record = line(method, seed, suite=suite, experiment=experiment)
    record["config"]["settings"] |= settings
    if noise is not None:
        record["config"]["experiment"] |= {"label_noise": noise, "noisy_validation": False}
    return record


@pytest.mark.parametrize(
    ("record", "situations"),
    [
        (made("none"), ["X-rays", "wrong labels, 0 %"]),
        (made("none", experiment="both-single-virus-100"), ["X-rays"]),
        (made("none", experiment="intraclass-single-virus"), []),
        (made("none", noise=0.3), ["wrong labels, 30 %"]),
        (made("none", noise=0.1, experiment="both-single-virus"), []),
        (made("none", model="tf_efficientnet_lite0", weights="d", frozen=True), ["pretrained"]),
        (made("none", model="tf_efficientnet_lite0", weights="d", frozen=False), []),
        (made("none", suite="cifar10-pairs", experiment="dog-cat"), ["photographs", "wrong labels, 0 %"]),
        (made("none", suite="cifar10-17", experiment="interclass"), ["photographs"]),
        (made("none", suite="cifar10-17", experiment="interclass", model="test_resnet"), []),
    ],
)
def test_a_run_is_in_the_situations_that_the_hypotheses_describe(record, situations):
    trials = trials_of([record])
    assert [name for name in SITUATIONS if len(trials_in(trials, name))] == situations


def test_gaps_are_of_equal_experiment_and_seed_where_both_methods_were_run():
    records = [made("smote", seed) for seed in (0, 1, 3)] + [made("none", seed) for seed in (0, 1, 2)]
    records += [made("none", 0, experiment="both-single-virus")]
    found = gaps(trials_in(trials_of(records), "X-rays"), "smote", "none")
    assert found.to_dict() == pytest.approx({("kermany interclass", 0): 0.03, ("kermany interclass", 1): 0.03})


def test_a_table_compares_with_plain_training_and_puts_the_best_first():
    records = [made(method, seed) for method in ("none", "oversampling", "smote") for seed in range(3)]
    table = next(table for table in situation_tables(trials_of(records)) if table.name == "situation-x-rays")
    assert table.cells["Method"].tolist() == ["smote", "oversampling"]
    assert table.cells["AUROC"].tolist() == ["+0.030", "+0.010"]
    assert table.cells["Better"].tolist() == ["3", "3"]
    assert table.note == "Plain training: AUROC 0.601, balanced accuracy 0.601."
