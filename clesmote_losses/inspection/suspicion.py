"""How doubtful the label of a real image is."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_FOLDS = 5
_C = 1e-3  # as in rebalanced_head: few images of a rare class are fitted closely by scikit-learn's own 1.0
_WORK = 2 * 10**9  # images x classes x width of a fit, about a minute for five on two cores
_FEWEST = 10  # images of a class for a fit


class LabelDoubt(NamedTuple):
    """What a classifier that has not seen an image makes of its label; both of shape ``(N,)``.

    Attributes:
        score: One less the probability of the label, in ``[0, 1]``; NaN if it is not known.
        likely_class: The most probable class; -1 if it is not known. Of many classes the label may be this one at any score.
    """

    score: NDArray[np.float64]
    likely_class: NDArray[np.int64]


class DoubtAccuracy(NamedTuple):
    """How well that classifier finds the labels, and how well chance would.

    Attributes:
        balanced: Mean over the classes of the share of their labels that it finds, in ``[0, 1]``.
        chance: One over the number of classes.
        error: Standard error of the balanced accuracy of guessing.
    """

    balanced: float
    chance: float
    error: float

    @property
    def is_near_chance(self) -> bool:
        """Return whether it is at most two standard errors above chance."""
        return self.balanced <= self.chance + 2 * self.error


def doubt_accuracy(
    likely_class: NDArray[np.int64], labels: NDArray[np.int64], groups: NDArray[Any] | None = None
) -> DoubtAccuracy | None:
    """Compare the most probable classes with the labels; ``None`` if fewer than two classes have any.

    Args:
        likely_class: As in :class:`LabelDoubt`; images with -1 are left out.
        labels: Class indices, shape ``(N,)``.
        groups: As in :func:`label_doubt`: images of one group count as one for the standard error.
    """
    known = np.flatnonzero(likely_class >= 0)
    of_image = np.arange(len(labels)) if groups is None else groups
    rows = [known[labels[known] == label] for label in np.unique(labels[known])]
    if len(rows) < 2:
        return None
    chance = 1 / len(rows)
    variance = sum(chance * (1 - chance) / len(np.unique(of_image[of_class])) for of_class in rows)
    balanced = np.mean([(likely_class[of_class] == labels[of_class]).mean() for of_class in rows])
    return DoubtAccuracy(float(balanced), chance, float(variance**0.5 * chance))


def fitted_images(num_classes: int, width: int) -> int:
    """Return to how many images of each class the classifier is fitted; 0 if it would take too long.

    Args:
        num_classes: Number of classes.
        width: Size of an embedding.
    """
    most = _WORK // (num_classes**2 * width)
    return most if most >= _FEWEST else 0


def label_doubt(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[Any] | None = None
) -> LabelDoubt:
    """Compare each image's label with a classifier that has not seen the image.

    It is logistic regression on standardised embeddings, with classes of equal weight, cross-validated in five folds. With many
    classes it is fitted to some images of each class, drawn by a fixed seed, or not at all: see :func:`fitted_images`.

    Args:
        embeddings: Finite, shape ``(N, D)``.
        labels: Class indices, shape ``(N,)``.
        groups: One group for each image, such as its patient, which is in one fold; shape ``(N,)``.

    Returns:
        Scores and classes; not known in a class of fewer than two images (or groups), if there is one class, or if
        there are too many.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = LabelDoubt(np.full(len(labels), np.nan), np.full(len(labels), -1))
    of_image = np.arange(len(labels)) if groups is None else groups
    counts = {label: len(np.unique(of_image[labels == label])) for label in np.unique(labels).tolist()}
    known = np.flatnonzero(np.isin(labels, [label for label, count in counts.items() if count > 1]))
    classes, own = np.unique(labels[known], return_inverse=True)
    if len(classes) < 2 or not (most := fitted_images(len(classes), embeddings.shape[1])):
        return found
    folds = (StratifiedKFold if groups is None else StratifiedGroupKFold)(
        min(_FOLDS, max(counts.values())), shuffle=True, random_state=0
    )
    head = make_pipeline(StandardScaler(), LogisticRegression(C=_C, class_weight="balanced", max_iter=2000))
    rows = embeddings[known].astype(np.float64)
    probabilities = np.zeros((len(known), len(classes)))
    with warnings.catch_warnings():  # of classes with fewer images than folds, which are in some of them only
        warnings.simplefilter("ignore")
        for seen, held in folds.split(rows, own, of_image[known]):
            seen = _at_most(most, seen, own)
            head.fit(rows[seen], own[seen])
            probabilities[np.ix_(held, head.classes_)] = head.predict_proba(rows[held])
    found.score[known] = 1 - probabilities[np.arange(len(known)), own]
    found.likely_class[known] = classes[probabilities.argmax(1)]
    return found


def _at_most(count: int, rows: NDArray[np.int64], own: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return some of the rows, ascending: at most ``count`` of each class, by chance."""
    if np.bincount(own[rows]).max() <= count:
        return rows
    shuffled = np.random.default_rng(0).permutation(rows)
    of_classes = [shuffled[own[shuffled] == label][:count] for label in np.unique(own[rows])]
    return np.sort(np.concatenate(of_classes))
