"""The table of metrics; scikit-learn and torchmetrics compute them.

A new metric is one entry of :data:`METRICS`: every run computes it, and the report has a column for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.lookup import Lookup

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]
Members = NDArray[np.bool_]
Prior = NDArray[np.float64]
_BINS = 15


@dataclass(frozen=True)
class Metric:
    """A number that says how good the scores of a set of images are.

    Attributes:
        title: Heading of its column in tables.
        function: Takes labels, int64, shape ``(N,)``, and probabilities, float64, shape ``(N, C)``. It returns NaN where it is
            not defined; a report leaves that blank.
        uses_strata: ``function`` also takes which strata each image belongs to, bool, shape ``(N, S)``, and the names of
            the strata.
        uses_prior: ``function`` also takes how frequent the scores take each class to be, float64, shape ``(C,)``. The metric
            is not defined where that is not known.
    """

    title: str
    function: Callable[..., float]
    uses_strata: bool = False
    uses_prior: bool = False

    def __call__(
        self, labels: Labels, scores: Scores, members: Members, strata: Sequence[str], prior: Prior | None = None
    ) -> float:
        """Compute the metric of one set of images."""
        if self.uses_prior and prior is None:
            return float("nan")
        of_strata = (members, strata) if self.uses_strata else ()
        return self.function(labels, scores, *of_strata, *((prior,) if self.uses_prior else ()))


def auroc(labels: Labels, scores: Scores) -> float:
    """Compute the area under the ROC curve: of class 1 for two classes, else the mean over one class against the rest.

    It is NaN where a class has no image.

    Args:
        labels: Class indices, shape ``(N,)``.
        scores: Probabilities, shape ``(N, C)``.

    Raises:
        RuntimeError: If a score is not finite.
    """
    return _of_classes(roc_auc_score, labels, scores)


def auprc(labels: Labels, scores: Scores) -> float:
    """Compute the average precision: of class 1 for two classes, else the mean over one class against the rest.

    It is NaN where a class has no image, as the AUROC is.
    """
    return _of_classes(average_precision_score, labels, scores)


def balanced_accuracy(labels: Labels, scores: Scores) -> float:
    """Compute the share of images with the largest score at their own class, as a mean over the classes that have images."""
    return float(np.mean([(scores.argmax(1) == labels)[labels == c].mean() for c in np.unique(labels)]))


def corrected_balanced_accuracy(labels: Labels, scores: Scores, prior: Prior) -> float:
    """Compute the balanced accuracy of the scores divided by the prior that they contain: the threshold of equal classes.

    A network that is trained on 1 % of a class gives it 1 % without evidence. Divided by that, evidence alone decides.

    Args:
        labels: Class indices, shape ``(N,)``.
        scores: Probabilities, shape ``(N, C)``.
        prior: How frequent the scores take each class to be, shape ``(C,)``.
    """
    return balanced_accuracy(labels, scores / prior)


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
        "balanced_accuracy_corrected": Metric(
            "Balanced accuracy, prior-corrected", corrected_balanced_accuracy, uses_prior=True
        ),
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
            found[name] = auroc(labels[chosen], scores[chosen])
    return found


def all_metrics(
    labels: Labels, scores: Scores, members: Members, strata: Sequence[str], prior: Prior | None = None
) -> dict[str, Any]:
    """Compute every metric of :data:`METRICS`; and the AUROC of each sub-condition where a class has several strata."""
    found: dict[str, Any] = {name: metric(labels, scores, members, strata, prior) for name, metric in METRICS.items()}
    if scores.shape[1] == 2 and members.shape[1] > 2:
        found["conditions"] = condition_aurocs(labels, scores, members, strata)
    return found


def _of_classes(score: Callable[..., float], labels: Labels, scores: Scores) -> float:
    """Average a score of one class against the rest."""
    if not np.isfinite(scores).all():
        raise RuntimeError("the network's scores are not finite: its training has diverged. Lower the learning rate.")
    count = scores.shape[1]
    if len(np.unique(labels)) < count:
        return float("nan")
    return float(np.mean([score(labels == c, _rank(scores, c)) for c in ([1] if count == 2 else range(count))]))


def _rank(scores: Scores, of_class: int) -> NDArray[np.int64]:
    """Rank images by the probability of a class.

    That of a sure network is 1.0 for many images, which makes them equal. What is left for the other classes tells them apart.
    """
    own, others = scores[:, of_class], np.delete(scores, of_class, axis=1).sum(1)
    keys = np.stack([own, np.where(own > 0.5, -others, 0)], axis=1)  # below, the probability itself is exact
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
