"""Decisions on hypotheses, from made-up trials and scipy as the oracle."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import benchmarks
from benchmarks.report.hypotheses import HYPOTHESES, Hypothesis, decide, hypothesis_table
from benchmarks.report.situations import DECLARED_PAIRS

BEATS = Hypothesis("A", "smote beats none", ("X-rays",), "smote", ("none",))


def trials(gains, experiments=("interclass",), method="smote", baseline="none", **more):
    rows = []
    for experiment in experiments:
        for seed, gain in enumerate(gains):
            for name, value in ((baseline, 0.8 + 0.01 * seed), (method, 0.8 + 0.01 * seed + gain)):
                rows.append(
                    {"suite": "kermany", "experiment": experiment, "noise": 0.0, "network": "convnet", "frozen": False, "method": name,
                     "seed": seed, "auroc": value, "balanced_accuracy": 2 * value - 1, "share_capped": None} | more
                )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("gains", "outcome"),
    [
        ([0.02, 0.03, 0.025], "confirmed so far"),
        ([-0.02, -0.03, -0.025], "refuted so far"),
        ([0.02, -0.03, 0.025], "open so far"),
        ([0.01, 0.01, 0.01], "open so far"),  # equal in every pair: trials that collapsed
        ([0.02, 0.03, 0.025] * 6, "confirmed"),  # as many as were declared
        ([0.02], "not run"),
    ],
)
def test_the_outcome_follows_the_test_and_the_interval(gains, outcome):
    assert decide(trials(gains), [BEATS])["outcome"].tolist() == [outcome]


def test_p_is_one_sided_and_is_scipys():
    gains = [0.02, -0.001, 0.025]
    (row,) = decide(trials(gains), [BEATS]).to_dict("records")
    assert row["p"] == pytest.approx(stats.ttest_1samp(gains, 0, alternative="greater").pvalue)
    assert (row["mean"], row["pairs"]) == (pytest.approx(np.mean(gains)), 3)


def test_a_loss_within_the_bound_confirms_not_inferior_and_does_not_confirm_better():
    of_both = decide(
        trials([-0.002, -0.0022, -0.0018]), [BEATS, Hypothesis("B", "", ("X-rays",), "smote", ("none",), -0.01)]
    )
    assert of_both["outcome"].tolist() == ["refuted so far", "confirmed so far"]


def test_the_largest_p_of_the_parts_counts_and_holm_is_over_the_hypotheses():
    frame = pd.concat(
        [trials([0.02, 0.03, 0.025]), trials([0.002, -0.002, 0.004], method="weighted").query("method == 'weighted'")]
    )
    both = Hypothesis("B", "", ("X-rays",), "smote", ("none", "weighted"))
    other = Hypothesis("C", "", ("X-rays",), "weighted", ("none",))
    found = decide(frame, [both, other]).set_index(["name", "baseline"])["p"]
    alone = [decide(frame, [one])["p"].iloc[0] for one in (both, other)]
    assert found["B", "none"] == found["B", "weighted"] == pytest.approx(2 * alone[0])
    assert found["C", "none"] == pytest.approx(alone[1])
    single = decide(frame, [Hypothesis("D", "", ("X-rays",), "smote", ("none",))])["p"].iloc[0]
    assert alone[0] > single  # weighted is the harder part


def test_five_experiments_are_the_units():
    names = ["interclass", "both-single-virus", "both-single-bacteria", "interclass-100", "both-single-virus-100"]
    frame = pd.concat([trials([0.01 * i, 0.01 * i + 0.2], [name]) for i, name in enumerate(names)])
    (row,) = decide(frame, [BEATS]).to_dict("records")
    assert row["pairs"] == 10
    assert row["p"] == pytest.approx(
        stats.ttest_1samp([0.1 + 0.01 * i for i in range(5)], 0, alternative="greater").pvalue
    )


def test_each_situation_by_itself_has_a_part_for_each():
    frame = pd.concat([trials([0.02, 0.03, 0.025]), trials([0.02, -0.03, 0.025], noise=0.3)])
    each = Hypothesis("E", "", ("X-rays", "wrong labels, 30 %"), "smote", ("none",), each_situation=True)
    found = decide(frame, [each])
    assert found["situation"].tolist() == ["X-rays", "wrong labels, 30 %"]
    assert found["outcome"].unique().tolist() == ["open so far"]


def test_the_page_and_the_code_have_the_same_hypotheses():
    page = (Path(benchmarks.__file__).parent / "HYPOTHESES.md").read_text()
    assert re.findall(r"^\| (H\d\w?) \|", page, flags=re.MULTILINE) == [hypothesis.name for hypothesis in HYPOTHESES]
    for hypothesis in HYPOTHESES:
        (row,) = re.findall(rf"^\| {hypothesis.name} \|.*$", page, flags=re.MULTILINE)
        _, _, situations, statement, _ = row.split("|")
        for name in (hypothesis.method, *hypothesis.baselines):
            assert f"`{name}`" in statement, (hypothesis.name, name)
        bounds = {"less than .01": -0.01, "more than .05": 0.05}
        assert hypothesis.bound == next((bound for words, bound in bounds.items() if words in statement), 0)
        assert (hypothesis.metric == "balanced_accuracy") == ("raises balanced accuracy" in statement)
        named = situations.replace("0 and 10 %", "0 %, wrong labels, 10 %").replace(" (30 %)", ", 30 %")
        assert ", ".join(hypothesis.situations) == named.replace(", each by itself", "").strip()
        assert hypothesis.each_situation == ("each by itself" in situations or "0 and 10 %" in situations)


def test_the_page_declares_as_many_pairs_as_the_code():
    page = (Path(benchmarks.__file__).parent / "HYPOTHESES.md").read_text()
    assert "Five trials on CIFAR-10, three on the X-rays" in " ".join(page.split())
    assert DECLARED_PAIRS == {
        "photographs": 25,
        "X-rays": 18,
        "wrong labels, 0 %": 13,
        "wrong labels, 10 %": 13,
        "wrong labels, 30 %": 13,
        "pretrained": 9,
    }


def test_the_table_has_a_row_for_each_part():
    table = hypothesis_table(trials([0.02, 0.03, 0.025], method="smote", baseline="oversampling"))
    assert len(table.cells) == 24
    row = table.cells[(table.cells[""] == "H2a") & (table.cells["Against"] == "oversampling")].iloc[0]
    assert row["Difference"].startswith("+0.025 (")
    assert row["Outcome"] == "not run"  # class weights are missing
