"""How good scores are; scikit-learn and torchmetrics compute it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]
_BINS = 15


def auroc(labels: Labels, scores: Scores) -> float:
    """Area under the ROC curve: of class 1 for two classes, else the mean over one class against the rest.

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
    """Average precision: of class 1 for two classes, else the mean over one class against the rest."""
    _check(scores)
    if scores.shape[1] == 2:
        return float(average_precision_score(labels, scores[:, 1]))
    return float(average_precision_score(np.eye(scores.shape[1], dtype=int)[labels], scores, average="macro"))


def balanced_accuracy(labels: Labels, scores: Scores) -> float:
    """Mean over the classes of the share of their images that get the largest score."""
    return float(balanced_accuracy_score(labels, scores.argmax(1)))


def expected_calibration_error(labels: Labels, scores: Scores) -> float:
    """Mean distance of confidence and accuracy, in 15 bins of equal width."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    error = multiclass_calibration_error(
        torch.from_numpy(scores), torch.from_numpy(labels), num_classes=scores.shape[1], n_bins=_BINS, norm="l1"
    )
    return float(error)


def condition_aurocs(
    labels: Labels, scores: Scores, members: NDArray[np.bool_], strata: Sequence[str]
) -> dict[str, float]:
    """AUROC of class 0 against each sub-condition of class 1 alone: the mean hides the rare ones.

    Args:
        labels: 0 or 1, shape ``(N,)``.
        scores: Probabilities, shape ``(N, 2)``.
        members: Which strata an image belongs to, shape ``(N, S)``.
        strata: Their names.
    """
    found = {}
    for name, of_stratum in zip(strata, members.T, strict=True):
        abnormal = of_stratum & (labels == 1)
        if abnormal.any() and (labels == 0).any():
            chosen = abnormal | (labels == 0)
            found[name] = float(roc_auc_score(labels[chosen], scores[chosen, 1]))
    return found


def all_metrics(labels: Labels, scores: Scores, members: NDArray[np.bool_], strata: Sequence[str]) -> dict[str, object]:
    """Every metric by name; those of each sub-condition where a class has several strata."""
    found: dict[str, object] = {
        "auroc": auroc(labels, scores),
        "auprc": auprc(labels, scores),
        "balanced_accuracy": balanced_accuracy(labels, scores),
        "ece": expected_calibration_error(labels, scores),
    }
    if scores.shape[1] == 2 and members.shape[1] > 2:
        found["conditions"] = condition_aurocs(labels, scores, members, strata)
    return found


def _check(scores: Scores) -> None:
    if not np.isfinite(scores).all():
        raise RuntimeError("the network's scores are not finite: its training has diverged. Lower the learning rate.")
