"""The doubt about labels: scikit-learn by hand, groups, and classes that are too small."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from clesmote_losses.inspection import suspicion
from clesmote_losses.inspection.suspicion import doubt_accuracy, fitted_images, label_doubt


def clouds(counts: list[int], distance: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One cloud for each class, in ten dimensions."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    return (rng.normal(size=(len(labels), 10)) + distance * rng.normal(size=(max(3, len(counts)), 10))[labels]).astype(
        np.float32
    ), labels


def test_the_doubt_is_of_a_classifier_that_has_not_seen_the_image() -> None:
    rows, labels = clouds([60, 25, 15])
    expected = np.empty(len(labels))
    for known, held in StratifiedKFold(5, shuffle=True, random_state=0).split(rows, labels):
        scaler = StandardScaler().fit(rows[known].astype(np.float64))
        head = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000)
        head.fit(scaler.transform(rows[known].astype(np.float64)), labels[known])
        probabilities = head.predict_proba(scaler.transform(rows[held].astype(np.float64)))
        expected[held] = 1 - probabilities[np.arange(len(held)), labels[held]]
    np.testing.assert_allclose(label_doubt(rows, labels).score, expected, atol=1e-6)


def test_wrong_labels_of_a_rare_class_come_first() -> None:
    rows, truth = clouds([200, 20])
    labels = truth.copy()
    labels[:3] = 1
    doubt = label_doubt(rows, labels).score
    assert sorted(np.flatnonzero(labels == 1)[np.argsort(-doubt[labels == 1])][:3]) == [0, 1, 2]


def test_a_patient_does_not_vouch_for_itself() -> None:
    """Ten wrong images of one patient: in other folds they would teach that the label is right."""
    rows, truth = clouds([200, 30])
    rows[:10, 0] += 20.0  # what this patient's images have in common
    labels, groups = truth.copy(), np.arange(len(truth))
    labels[:10], groups[:10] = 1, 0
    apart, together = (label_doubt(rows, labels, of_image).score[:10].mean() for of_image in (None, groups))
    assert together > 0.7 > 0.6 > apart


@pytest.mark.parametrize("groups", [None, np.arange(44)])
def test_an_image_alone_in_its_class_has_no_doubt_and_does_not_disturb_the_others(groups: np.ndarray | None) -> None:
    rows, labels = clouds([40, 3, 1])
    doubt, likely = label_doubt(rows, labels, groups)
    assert np.isnan(doubt).tolist() == (likely == -1).tolist() == [False] * 43 + [True]
    assert doubt[:40].mean() < 0.5
    np.testing.assert_array_equal(
        doubt[:43], label_doubt(rows[:43], labels[:43], None if groups is None else groups[:43]).score
    )


def test_one_class_alone_has_no_doubt() -> None:
    rows, labels = clouds([7])
    assert np.isnan(label_doubt(rows, labels).score).all()


def test_of_ten_clean_classes_every_label_is_the_most_probable_though_most_scores_are_above_a_half() -> None:
    rows, labels = clouds([40] * 9 + [20], distance=4.0)
    doubt, likely = label_doubt(rows, labels)
    assert likely.tolist() == labels.tolist()
    assert (doubt > 0.5).mean() > 0.5


def test_of_ten_classes_wrong_labels_are_those_where_the_true_class_is_more_probable() -> None:
    rows, truth = clouds([40] * 9 + [20], distance=6.0)
    labels = truth * 2 + 1  # class indices with gaps
    labels[[3, 50, 90]] = 19
    likely = label_doubt(rows, labels).likely_class
    assert np.flatnonzero(likely != labels).tolist() == [3, 50, 90]
    assert likely[[3, 50, 90]].tolist() == [1, 3, 5]


def test_with_many_classes_some_images_are_fitted_and_with_more_none(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels = clouds([200, 100, 30], distance=4.0)
    whole = label_doubt(rows, labels)
    monkeypatch.setattr(suspicion, "_WORK", 20 * 3**2 * 10)
    some = label_doubt(rows, labels)
    assert not np.array_equal(some.score, whole.score)
    assert (some.likely_class == labels).mean() > 0.98
    monkeypatch.setattr(suspicion, "_WORK", 9 * 3**2 * 10)
    assert np.isnan(label_doubt(rows, labels).score).all()


@pytest.mark.parametrize(
    ("classes", "width", "images"), [(2, 1280, 2000), (10, 2048, 2000), (100, 2048, 97), (1000, 2048, 0)]
)
def test_few_classes_are_fitted_whole_and_a_thousand_not_at_all(classes: int, width: int, images: int) -> None:
    """2,000 images of a class that is not over-sampled are run."""
    assert min(fitted_images(classes, width), 2000) == images


def test_the_accuracy_is_the_balanced_one_of_scikit_learn_and_its_error_that_of_guessing() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2, 3], [300, 60, 20])
    likely = np.where(rng.random(380) < 0.7, labels, rng.choice([0, 2, 3], 380))
    accuracy = doubt_accuracy(np.append(likely, -1), np.append(labels, 2))
    assert accuracy is not None
    assert accuracy.balanced == pytest.approx(balanced_accuracy_score(labels, likely))
    guesses = [balanced_accuracy_score(labels, rng.choice([0, 2, 3], 380)) for _ in range(1000)]
    assert accuracy.chance == pytest.approx(np.mean(guesses), abs=0.01)
    assert accuracy.error == pytest.approx(np.std(guesses), rel=0.1)
    grouped = doubt_accuracy(likely, labels, np.arange(380) // 4)
    assert grouped is not None
    assert grouped.error == pytest.approx(2 * accuracy.error)  # four images of a patient are as good as one
    assert doubt_accuracy(np.array([-1, 1, 1]), np.array([0, 1, 1])) is None


@pytest.mark.parametrize(("distance", "is_near_chance"), [(0.0, True), (2.0, False)])
def test_noise_is_told_from_classes(distance: float, is_near_chance: bool) -> None:
    rows, labels = clouds([80, 40], distance)
    accuracy = doubt_accuracy(label_doubt(rows, labels).likely_class, labels)
    assert accuracy is not None
    assert accuracy.is_near_chance == is_near_chance
