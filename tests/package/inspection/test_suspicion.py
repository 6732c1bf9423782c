"""The doubt about labels: scikit-learn by hand, groups, and classes that are too small."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from clesmote_losses.inspection.suspicion import label_doubt


def clouds(counts: list[int], distance: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One cloud for each class, in ten dimensions."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    return (rng.normal(size=(len(labels), 10)) + distance * rng.normal(size=(3, 10))[labels]).astype(np.float32), labels


def test_the_doubt_is_of_a_classifier_that_has_not_seen_the_image() -> None:
    rows, labels = clouds([60, 25, 15])
    expected = np.empty(len(labels))
    for known, held in StratifiedKFold(5, shuffle=True, random_state=0).split(rows, labels):
        scaler = StandardScaler().fit(rows[known].astype(np.float64))
        head = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000)
        head.fit(scaler.transform(rows[known].astype(np.float64)), labels[known])
        probabilities = head.predict_proba(scaler.transform(rows[held].astype(np.float64)))
        expected[held] = 1 - probabilities[np.arange(len(held)), labels[held]]
    np.testing.assert_allclose(label_doubt(rows, labels), expected, atol=1e-6)


def test_wrong_labels_of_a_rare_class_come_first() -> None:
    rows, truth = clouds([200, 20])
    labels = truth.copy()
    labels[:3] = 1
    doubt = label_doubt(rows, labels)
    assert sorted(np.flatnonzero(labels == 1)[np.argsort(-doubt[labels == 1])][:3]) == [0, 1, 2]


def test_a_patient_does_not_vouch_for_itself() -> None:
    """Ten wrong images of one patient: in other folds they would teach that the label is right."""
    rows, truth = clouds([200, 30])
    rows[:10, 0] += 20.0  # what this patient's images have in common
    labels, groups = truth.copy(), np.arange(len(truth))
    labels[:10], groups[:10] = 1, 0
    apart, together = (label_doubt(rows, labels, of_image)[:10].mean() for of_image in (None, groups))
    assert together > 0.7 > 0.6 > apart


@pytest.mark.parametrize("groups", [None, np.arange(44)])
def test_an_image_alone_in_its_class_has_no_doubt_and_does_not_disturb_the_others(groups: np.ndarray | None) -> None:
    rows, labels = clouds([40, 3, 1])
    doubt = label_doubt(rows, labels, groups)
    assert np.isnan(doubt).tolist() == [False] * 43 + [True]
    assert doubt[:40].mean() < 0.5
    np.testing.assert_array_equal(
        doubt[:43], label_doubt(rows[:43], labels[:43], None if groups is None else groups[:43])
    )


def test_one_class_alone_has_no_doubt() -> None:
    rows, labels = clouds([7])
    assert np.isnan(label_doubt(rows, labels)).all()
