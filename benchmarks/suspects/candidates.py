"""Candidates for the doubt about a label, each a score of every real image that was run: higher is more doubtful."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clesmote_losses import Inspection
from clesmote_losses.inspection.suspicion import label_doubt

Scores = NDArray[np.float64]
_FOLDS = 5


def _loss(inspection: Inspection) -> Scores:
    return np.asarray(inspection.real["loss"], dtype=np.float64)


def _distance(inspection: Inspection) -> Scores:
    """Cosine distance to the centroid of the own class without the image, over that to the nearest other centroid."""
    rows = inspection.real_embeddings.astype(np.float64)
    labels = inspection.real["class"].to_numpy()
    classes = np.unique(labels)
    counts = np.array([(labels == label).sum() for label in classes])
    sums = np.stack([rows[labels == label].sum(0) for label in classes])
    own = np.searchsorted(classes, labels)
    without = (sums[own] - rows) / np.maximum(counts[own] - 1, 1)[:, None]
    others = _cosine_distance(rows[:, None], (sums / counts[:, None])[None])
    others[np.arange(len(rows)), own] = np.inf
    return np.asarray(_cosine_distance(rows, without) / others.min(1))


def _cosine_distance(one: Any, other: Any) -> Any:
    return 1 - (one * other).sum(-1) / (np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1))


def _doubt_of(classifier: Any) -> Callable[[Inspection], Scores]:
    def doubt(inspection: Inspection) -> Scores:
        rows, labels = inspection.real_embeddings.astype(np.float64), inspection.real["class"].to_numpy()
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
        head = make_pipeline(StandardScaler(), classifier)
        found = cross_val_predict(head, rows, labels, cv=folds, method="predict_proba")
        return np.asarray(1 - found[np.arange(len(rows)), np.searchsorted(np.unique(labels), labels)])

    return doubt


def _logistic(strength: float) -> Callable[[Inspection], Scores]:
    return _doubt_of(LogisticRegression(C=strength, class_weight="balanced", max_iter=2000))


def _head(inspection: Inspection) -> Scores:
    return label_doubt(inspection.real_embeddings, inspection.real["class"].to_numpy()).score


def _capped(inspection: Inspection) -> Scores:
    return np.asarray(inspection.real["capped_blends"].fillna(-1.0), dtype=np.float64)


def _blends_over_cap(inspection: Inspection) -> Scores:
    """Mean loss over cap of the blends with the image: what ``capped`` rounds."""
    table, real = inspection.table, inspection.real
    parents, size = np.concatenate([table["base"], table["neighbor"]]), int(real["index"].max()) + 1
    over = np.bincount(parents, np.tile(table["loss"] / table["cap"], 2), minlength=size)
    count = np.bincount(parents, minlength=size)
    mean = np.where(count > 0, over / np.maximum(count, 1), -1.0)
    found: Scores = mean[real["index"].to_numpy()]
    return found


CANDIDATES: dict[str, Callable[[Inspection], Scores]] = {
    "loss": _loss,
    "distance": _distance,
    "head": _head,
    "head, C=1e-2": _logistic(1e-2),
    "cleanlab's default": _doubt_of(LogisticRegression(max_iter=2000)),
    "capped": _capped,
    "blends": _blends_over_cap,
}


def all_scores(inspection: Inspection) -> dict[str, Scores]:
    """Return the scores of every candidate, of the real images of over-sampled classes, and mean ranks of two of them."""
    raised = inspection.real["oversampled"].to_numpy()
    found = {name: score(inspection)[raised] for name, score in CANDIDATES.items()}
    for one, other in (("head", "loss"), ("head", "distance"), ("head", "blends")):
        found[f"{one} and {other}"] = rankdata(found[one]) + rankdata(found[other])
    return found


def precision(scores: Scores, is_wrong: NDArray[np.bool_]) -> float:
    """Return the share of wrong images among the first ``n``, the number of wrong ones; the mean over orders of ties."""
    count = int(is_wrong.sum())
    last = np.sort(scores)[-count]
    above, tied = scores > last, scores == last
    return float((is_wrong[above].sum() + is_wrong[tied].mean() * (count - above.sum())) / count)
