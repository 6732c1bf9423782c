"""Metrics against scikit-learn and against counting by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from benchmarks.metrics import (
    METRICS,
    Metric,
    all_metrics,
    auprc,
    auroc,
    balanced_accuracy,
    condition_aurocs,
    expected_calibration_error,
)


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    scores = rng.dirichlet([1, 1, 1], 200) + 0.5 * np.eye(3)[labels]
    return labels, scores / scores.sum(1, keepdims=True)


def pairs(positive, negative):
    return (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2


def test_auroc_is_the_share_of_pairs_in_the_right_order(scored):
    labels, scores = scored
    two = labels < 2
    assert auroc(labels[two], scores[two][:, :2]) == pytest.approx(
        pairs(scores[labels == 1, 1], scores[labels == 0, 1])
    )
    each = [pairs(scores[labels == c, c], scores[labels != c, c]) for c in range(3)]
    assert len({round(value, 6) for value in each}) == 3
    assert auroc(labels, scores) == pytest.approx(np.mean(each))
    assert auroc(labels, scores) == roc_auc_score(labels, scores, multi_class="ovr")


def test_the_others_are_those_of_scikit_learn_and_a_count(scored):
    labels, scores = scored
    each = [average_precision_score(labels == c, scores[:, c]) for c in range(3)]
    assert auprc(labels, scores) == pytest.approx(np.mean(each))
    two = labels < 2
    assert auprc(labels[two], scores[two][:, :2]) == average_precision_score(labels[two] == 1, scores[two][:, 1])
    assert balanced_accuracy(labels, scores) == balanced_accuracy_score(labels, scores.argmax(1))
    confidence, right = scores.max(1), scores.argmax(1) == labels
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    assert expected_calibration_error(labels, scores) == pytest.approx(sum(gaps), abs=1e-6)
    assert sum(gaps) > 0.02


def test_sure_networks_are_ranked_by_their_margins():
    """Of 40 nats and more the probability is 1.0, in float64 too."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    logits = rng.normal(0, 3, (200, 3)) + 2 * np.eye(3)[labels] + [0, 0, 50]
    for count in (2, 3):
        true, z = labels[labels < count], logits[labels < count][:, 3 - count :]
        scores = np.exp(z - z.max(1, keepdims=True))
        scores /= scores.sum(1, keepdims=True)
        assert len(np.unique(scores[:, -1])) < 20
        odds = [z[:, c] - np.logaddexp.reduce(np.delete(z, c, 1), 1) for c in range(count)][3 - count :]
        of_class = [true == c for c in range(count)][3 - count :]
        wanted = np.mean([pairs(o[is_c], o[~is_c]) for o, is_c in zip(odds, of_class, strict=True)])
        assert auroc(true, scores) == pytest.approx(wanted)
        precision = [average_precision_score(is_c, o) for o, is_c in zip(odds, of_class, strict=True)]
        assert auprc(true, scores) == pytest.approx(np.mean(precision))
    members = np.stack([true == 0, true == 1], 1)
    two = scores[:, [0, 2]] / scores[:, [0, 2]].sum(1, keepdims=True)
    margin = z[:, 2] - z[:, 0]
    conditions = condition_aurocs(np.minimum(true, 1), two, members, ["normal", "a"])
    assert conditions["a"] == pytest.approx(pairs(margin[true == 1], margin[true == 0]))


@pytest.mark.parametrize("count", [2, 3])
def test_a_class_without_images_leaves_the_means_over_classes_undefined(count, scored, recwarn):
    labels, scores = scored
    present = labels < count - 1
    found = all_metrics(labels[present], scores[present][:, :count], np.ones((present.sum(), 1), bool), ["x"])
    assert np.isnan([found["auroc"], found["auprc"]]).all()
    # scikit-learn defines it as the mean over the classes that have images
    assert found["balanced_accuracy"] == np.mean(
        [(scores[labels == c][:, :count].argmax(1) == c).mean() for c in range(count - 1)]
    )
    assert 0 < found["balanced_accuracy"] < 1
    assert np.isfinite(found["ece"])
    assert not recwarn.list


def test_each_sub_condition_is_told_from_normal_alone(scored):
    strata, scores = scored
    labels = np.minimum(strata, 1)
    two = np.stack([scores[:, 0], 1 - scores[:, 0]], 1)
    members = strata[:, None] == np.arange(3)
    found = condition_aurocs(labels, two, members, ["normal", "b", "c"])
    assert list(found) == ["b", "c"]
    assert found["c"] == pytest.approx(pairs(two[strata == 2, 1], two[strata == 0, 1]))
    assert found["b"] != found["c"]
    assert all_metrics(labels, two, members, ["normal", "b", "c"])["conditions"] == found
    assert "conditions" not in all_metrics(labels, two, members[:, :2], ["normal", "b"])


def test_scores_that_are_not_finite_are_refused(scored):
    labels, scores = scored
    scores[3, 1] = np.nan
    with pytest.raises(RuntimeError, match="has diverged"):
        auroc(labels, scores)


def test_balanced_accuracy_at_the_corrected_threshold_weighs_evidence_alone(scored):
    """By Bayes' rule: scores are the evidence times the prior, and the evidence alone is what equal classes would give."""
    labels, evidence = scored
    prior = np.array([0.97, 0.02, 0.01])
    learnt = evidence * prior / (evidence * prior).sum(1, keepdims=True)
    members = np.ones((len(labels), 1), bool)
    found = all_metrics(labels, learnt, members, ["x"], prior)
    fair = all_metrics(labels, evidence / evidence.sum(1, keepdims=True), members, ["x"])
    assert found["balanced_accuracy_corrected"] == fair["balanced_accuracy"]
    assert found["balanced_accuracy"] < fair["balanced_accuracy"]
    assert np.isnan(fair["balanced_accuracy_corrected"])  # nothing is known of the prior


def test_a_metric_that_is_added_to_the_table_is_computed_with_the_others(scored, monkeypatch):
    def worst_stratum(labels, scores, members, strata):
        return min(condition_aurocs(labels, scores, members, strata).values())

    monkeypatch.setitem(
        METRICS, "brier", Metric("Brier score", lambda labels, scores: ((1 - scores[:, 1]) ** 2).mean())
    )
    monkeypatch.setitem(METRICS, "worst", Metric("Worst sub-condition", worst_stratum, uses_strata=True))
    strata, scores = scored
    two = np.stack([scores[:, 0], 1 - scores[:, 0]], 1)
    found = all_metrics(np.minimum(strata, 1), two, strata[:, None] == np.arange(3), ["normal", "b", "c"])
    assert list(found) == [*METRICS, "conditions"]
    assert found["brier"] == pytest.approx((scores[:, 0] ** 2).mean())
    assert found["worst"] == min(found["conditions"].values())
