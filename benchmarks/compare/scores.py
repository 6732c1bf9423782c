"""What the scores of a network are worth at a threshold that is fitted on validation images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.metrics import recall_score
from torch import nn

from benchmarks.data.trials import LabelledImages, Trial
from benchmarks.metrics import Labels, Scores, auprc, auroc, balanced_accuracy
from benchmarks.training.evaluation import on_device, predict, to_input
from benchmarks.training.training_images import TrainingData
from clesmote_losses.classifier import find_classifier

# name and heading of each column of the comparison
MEASURES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "balanced_accuracy": "Balanced accuracy",
    "worst_recall": "Worst class's recall",
}
_RIDGE = 1e-3  # keeps the fit finite where a class is told apart perfectly
_TINY = 1e-12  # probability


def score_parts(trial: Trial, model: nn.Module, data: TrainingData) -> dict[str, NDArray[Any]]:
    """Compute labels and scores of the validation and test images of a trial, for :func:`measure`.

    Args:
        trial: The images.
        model: The network after its training.
        data: What it was trained on. A frozen network takes features from there that are computed once.
    """
    assert trial.validation is not None
    device = next(model.parameters()).device

    def scores_of(part: LabelledImages) -> Scores:
        if data.hold is None:
            scores = predict(model, on_device(part.images, device), to_input)
        else:
            (head,) = find_classifier(model)
            scores = predict(head, data.hold(part.images), data.to_input)
        # a network that diverged scores like chance, as in the learning curve
        return scores if np.isfinite(scores).all() else np.full_like(scores, 1 / scores.shape[1])

    test = trial.tests["test"]
    return {
        "validation_labels": trial.validation.labels,
        "validation_scores": scores_of(trial.validation),
        "test_labels": test.labels,
        "test_scores": scores_of(test),
    }


def measure(arrays: dict[str, NDArray[Any]]) -> dict[str, float]:
    """Compute the measures of a run from what :func:`score_parts` returned.

    Returns:
        Those of :data:`MEASURES`, and ``plain_balanced_accuracy``: that of the class with the largest score.
    """
    labels, scores = arrays["test_labels"], arrays["test_scores"]
    corrected = correct(scores, arrays["validation_labels"], arrays["validation_scores"])
    recalls = recall_score(labels, corrected.argmax(1), average=None, labels=np.arange(scores.shape[1]))
    return {
        "auroc": auroc(labels, scores),
        "auprc": auprc(labels, scores),
        "balanced_accuracy": balanced_accuracy(labels, corrected),
        "worst_recall": float(recalls.min()),
        "plain_balanced_accuracy": balanced_accuracy(labels, scores),
    }


def correct(scores: Scores, validation_labels: Labels, validation_scores: Scores) -> Scores:
    r"""Correct scores for the class frequencies, by a fit on validation images in which every class has the same weight.

    .. math:: \log p'_c = a \log p_c + b_c + \text{const}

    One temperature and an offset for each class minimise the balanced cross-entropy. For calibrated scores this is division
    by the class frequencies. Scores of a method that balances the classes itself are not divided a second time.

    Args:
        scores: Probabilities to correct, shape ``(N, C)``.
        validation_labels: Class indices, shape ``(M,)``; each class at least once.
        validation_scores: Probabilities, shape ``(M, C)``.

    Returns:
        Logarithms of corrected scores, up to a constant of each image; the largest is the predicted class.
    """
    classes = validation_scores.shape[1]
    logs = np.log(np.maximum(validation_scores, _TINY))
    weights = 1 / np.bincount(validation_labels, minlength=classes)[validation_labels] / classes
    rows = np.arange(len(logs))

    def loss(parameters: NDArray[np.float64]) -> float:
        fitted = log_softmax(parameters[0] * logs + parameters[1:], axis=1)
        ridge = (parameters[0] - 1) ** 2 + np.var(parameters[1:])
        return float(-(weights * fitted[rows, validation_labels]).sum() + _RIDGE * ridge)

    start = np.concatenate([[1.0], np.zeros(classes)])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(1e-3, 10.0), *[(None, None)] * classes]).x
    corrected: Scores = found[0] * np.log(np.maximum(scores, _TINY)) + found[1:]
    return corrected
