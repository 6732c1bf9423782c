"""How doubtful the label of a real image is."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FOLDS = 5
_C = 1e-3  # as in rebalanced_head: few images of a rare class are fitted closely by scikit-learn's own 1.0


def label_doubt(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """Return one less the probability of each image's label, by a classifier that has not seen the image.

    It is logistic regression on standardised embeddings, with classes of equal weight, cross-validated in five folds.

    Args:
        embeddings: Finite, shape ``(N, D)``.
        labels: Class indices, shape ``(N,)``.
        groups: One group for each image, such as its patient, which is in one fold; shape ``(N,)``.

    Returns:
        Numbers in ``[0, 1]``, shape ``(N,)``; NaN in a class of fewer than two images (or groups), or if there is one class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    doubt = np.full(len(labels), np.nan)
    of_image = np.arange(len(labels)) if groups is None else groups
    counts = {label: len(np.unique(of_image[labels == label])) for label in np.unique(labels).tolist()}
    known = np.flatnonzero(np.isin(labels, [label for label, count in counts.items() if count > 1]))
    own = np.unique(labels[known], return_inverse=True)[1]
    if len(np.unique(own)) < 2:
        return doubt
    folds = (StratifiedKFold if groups is None else StratifiedGroupKFold)(
        min(_FOLDS, max(counts.values())), shuffle=True, random_state=0
    )
    head = make_pipeline(StandardScaler(), LogisticRegression(C=_C, class_weight="balanced", max_iter=2000))
    with warnings.catch_warnings():  # of classes with fewer images than folds, which are in some of them only
        warnings.simplefilter("ignore")
        probabilities = cross_val_predict(
            head, embeddings[known].astype(np.float64), own, groups=of_image[known], cv=folds, method="predict_proba"
        )
    doubt[known] = 1 - probabilities[np.arange(len(known)), own]
    return doubt
