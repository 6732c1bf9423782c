"""The table of metrics; scikit-learn and torchmetrics compute them.

A new metric is one entry of :data:`METRICS`: every run computes it, and the report has a column for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from benchmarks.lookup import Lookup

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]
Members = NDArray[np.bool_]
_BINS = 15


@dataclass(frozen=True)
class Metric:
    """A number that says how good the scores of a set of images are.

    Attributes:
        title: Heading of its column in tables.
        function: Takes labels, int64, shape ``(N,)``, and probabilities, float64, shape ``(N, C)``.
        uses_strata: ``function`` also takes which strata each image belongs to, bool, shape ``(N, S)``, and the names of
            the strata.
    """

    title: str
    function: Callable[..., float]
    uses_strata: bool = False

    def __call__(self, labels: Labels, scores: Scores, members: Members, strata: Sequence[str]) -> float:
        """Compute the metric of one set of images."""
        return self.function(labels, scores, *((members, strata) if self.uses_strata else ()))


def auroc(labels: Labels, scores: Scores) -> float:
    """Compute the area under the ROC curve: of class 1 for two classes, else the mean over one class against the rest.

    Args:
        labels: Class indices, shape ``(N,)``.
        scores: Probabilities, shape ``(N, C)``.

    Raises:
        RuntimeError: If a score is not finite.
    """
    _check(scores)
    if scores.shape[1] == 2:
        return float(roc_auc_score(labels, scores[:, 1]))
    return float(roc_auc_score(labels, scores, multi_class="ovr", average="macro", labels=range(scores.shape[1])))


def auprc(labels: Labels, scores: Scores) -> float:
    """Compute the average precision: of class 1 for two classes, else the mean over one class against the rest."""
    _check(scores)
    if scores.shape[1] == 2:
        return float(average_precision_score(labels, scores[:, 1]))
    return float(average_precision_score(np.eye(scores.shape[1], dtype=int)[labels], scores, average="macro"))


def balanced_accuracy(labels: Labels, scores: Scores) -> float:
    """Compute the share of images with the largest score at their own class, as a mean over the classes."""
    return float(balanced_accuracy_score(labels, scores.argmax(1)))


def expected_calibration_error(labels: Labels, scores: Scores) -> float:
    """Compute the mean distance between confidence and accuracy, in 15 bins of equal width."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    error = multiclass_calibration_error(
        torch.from_numpy(scores), torch.from_numpy(labels), num_classes=scores.shape[1], n_bins=_BINS, norm="l1"
    )
    return float(error)


METRICS = Lookup(
    "metric",
    {
        "auroc": Metric("AUROC", auroc),
        "auprc": Metric("AUPRC", auprc),
        "balanced_accuracy": Metric("Balanced accuracy", balanced_accuracy),
        "ece": Metric("ECE", expected_calibration_error),
    },
)


def condition_aurocs(labels: Labels, scores: Scores, members: Members, strata: Sequence[str]) -> dict[str, float]:
    """Compute the AUROC of class 0 against each sub-condition of class 1 alone: the mean hides the rare ones.

    Args:
        labels: 0 or 1, shape ``(N,)``.
        scores: Probabilities, shape ``(N, 2)``.
        members: Which strata an image belongs to, shape ``(N, S)``.
        strata: Names of the strata.
    """
    found = {}
    for name, in_stratum in zip(strata, members.T, strict=True):
        abnormal = in_stratum & (labels == 1)
        if abnormal.any() and (labels == 0).any():
            chosen = abnormal | (labels == 0)
            found[name] = float(roc_auc_score(labels[chosen], scores[chosen, 1]))
    return found


def all_metrics(labels: Labels, scores: Scores, members: Members, strata: Sequence[str]) -> dict[str, Any]:
    """Compute every metric of :data:`METRICS`; and the AUROC of each sub-condition where a class has several strata."""
    found: dict[str, Any] = {name: metric(labels, scores, members, strata) for name, metric in METRICS.items()}
    if scores.shape[1] == 2 and members.shape[1] > 2:
        found["conditions"] = condition_aurocs(labels, scores, members, strata)
    return found


def _check(scores: Scores) -> None:
    if not np.isfinite(scores).all():
        raise RuntimeError("the network's scores are not finite: its training has diverged. Lower the learning rate.")
