import numpy as np
import pytest
from scipy.special import softmax

from benchmarks.compare.scores import MEASURES, correct, measure


def calibrated(counts, seed, distance=2.0):
    """Labels and the exact posterior of classes that are normal distributions around the corners of a simplex."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    corners = distance * np.eye(len(counts))
    points = corners[labels] + rng.normal(size=(len(labels), len(counts)))
    prior = np.array(counts) / sum(counts)
    return labels, softmax(points @ corners.T + np.log(prior), axis=1), prior


@pytest.mark.parametrize("counts", [(4000, 200), (4000, 400, 200)])
def test_for_calibrated_scores_it_is_division_by_the_class_frequencies(counts):
    labels, scores, prior = calibrated(counts, 0)
    _, new, _ = calibrated(counts, 1)
    corrected = correct(new, labels, scores).argmax(1)
    wanted = (new / prior).argmax(1)
    assert (corrected == wanted).mean() > 0.97
    assert (new.argmax(1) == wanted).mean() < 0.95  # it does something


def test_scores_of_a_balanced_method_are_not_divided_again():
    labels, scores, prior = calibrated((4000, 200), 0)
    balanced = scores / prior / (scores / prior).sum(1, keepdims=True)
    assert (correct(balanced, labels, balanced).argmax(1) == balanced.argmax(1)).mean() > 0.97
    assert ((balanced / prior).argmax(1) == balanced.argmax(1)).mean() < 0.9


@pytest.mark.parametrize("sharp", [0.3, 1.0, 5.0])
def test_overconfident_scores_give_the_same_decisions(sharp):
    labels, scores, _ = calibrated((4000, 200), 0)
    wanted = correct(scores, labels, scores).argmax(1)
    sharpened = softmax(sharp * np.log(scores), axis=1)
    assert (correct(sharpened, labels, sharpened).argmax(1) == wanted).mean() > 0.99


def test_classes_that_are_told_apart_perfectly_stay_so():
    labels = np.array([0] * 50 + [1] * 3)
    scores = np.stack([1 - 1e-9 * (1 + labels), 1e-9 * (1 + labels)], axis=1)  # rare ones have twice nothing
    scores[:50, 1] *= np.linspace(0.1, 1, 50)
    assert scores.argmax(1).sum() == 0
    corrected = correct(scores, labels, scores).argmax(1)
    assert corrected[50:].all()


def test_the_worst_class_is_measured_at_the_fitted_threshold():
    labels, scores, _ = calibrated((4000, 400, 200), 0)
    test_labels, test_scores, prior = calibrated((4000, 400, 200), 1)
    found = measure(
        {
            "validation_labels": labels,
            "validation_scores": scores,
            "test_labels": test_labels,
            "test_scores": test_scores,
        }
    )
    assert set(found) == {*MEASURES, "plain_balanced_accuracy"}
    recalls = [((test_scores / prior).argmax(1) == c)[test_labels == c].mean() for c in range(3)]
    assert found["worst_recall"] == pytest.approx(min(recalls), abs=0.03)
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls), abs=0.02)
    assert found["plain_balanced_accuracy"] < found["balanced_accuracy"] - 0.05
