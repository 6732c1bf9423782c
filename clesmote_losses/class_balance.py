"""Class weights, and the log prior for logit adjustment, from the number of samples of each class."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clesmote_losses.errors import check_numbers


def class_balanced_weights(counts: Sequence[int] | np.ndarray | Tensor, beta: float = 0.9999) -> Tensor:
    r"""Compute class weights from the effective number of samples (Cui et al. 2019, Eq. 2), normalised to sum to ``C``.

    .. math:: w_c \propto \frac{1 - \beta}{1 - \beta^{n_c}}

    ``beta=0`` gives all classes the same weight, ``beta=1`` (the limit) weights by inverse frequency.

    Args:
        counts: Number of samples of each class that the loader draws, shape ``(C,)``, each at least 1. On a balanced
            :class:`SMOTEDataset`, weights by the real images alone would favour the rare classes twice.
        beta: In ``[0, 1]``. Cui et al. try 0.9, 0.99, 0.999 and 0.9999.

    Returns:
        Weights for ``nn.CrossEntropyLoss(weight=...)`` or ``CappedSMOTELoss(weight=...)``, float32, shape ``(C,)``.

    Raises:
        ValueError: If ``beta`` is out of range, ``counts`` is not one-dimensional, or a class has no sample.

    Example:
        >>> class_balanced_weights([5000, 50])
        tensor([0.0250, 1.9750])
    """
    check_numbers(beta=beta)
    if not 0 <= beta <= 1:
        raise ValueError(f"beta must be in [0, 1]; got {beta}.")
    n = _as_counts(counts)
    if beta == 1:
        effective_number = n
    elif beta == 0:
        effective_number = np.ones_like(n)
    else:  # expm1 keeps the digits that 1 - beta**n loses for small n and beta close to 1
        effective_number = -np.expm1(n * math.log(beta)) / (1 - beta)
    weights = 1 / effective_number
    return torch.as_tensor(weights * len(n) / weights.sum(), dtype=torch.float32)


def log_prior(counts: Sequence[int] | np.ndarray | Tensor, tau: float = 1.0) -> Tensor:
    r"""Compute the logit adjustment of Menon et al. (2021), "Long-tail learning via logit adjustment", Eq. 10.

    .. math:: a_c = \tau \ln \frac{n_c}{\sum_k n_k}

    Trained with :math:`a` added to its logits, a network scores balanced classes by its raw logits.

    Args:
        counts: Number of samples of each class that the loader draws, real and synthetic, shape ``(C,)``, each at least 1. With
            a balanced training set the adjustment is the same for all classes, and has no effect.
        tau: Strength, 0 or more; 0 adjusts nothing.

    Returns:
        Adjustment for ``CappedSMOTELoss(logit_adjustment=...)``, float32, shape ``(C,)``.

    Raises:
        ValueError: If ``tau`` is negative, ``counts`` is not one-dimensional, or a class has no sample.

    Example:
        >>> log_prior([75, 25])
        tensor([-0.2877, -1.3863])
    """
    check_numbers(tau=tau)
    if not 0 <= tau < math.inf:
        raise ValueError(f"tau must be 0 or more; got {tau}.")
    n = _as_counts(counts)
    return torch.as_tensor(tau * np.log(n / n.sum()), dtype=torch.float32)


def _as_counts(counts: Sequence[int] | np.ndarray | Tensor) -> np.ndarray:
    if isinstance(counts, dict):
        raise TypeError(
            f"counts must be a sequence, the number of samples of each class; got a dict of {list(counts)[:3]}. Of the real images of a "
            "SMOTEDataset: np.bincount(train_set.labels[~train_set.is_synthetic])."
        )
    n = np.asarray(counts, dtype=np.float64)
    if n.ndim != 1 or n.size == 0:
        raise ValueError(f"counts must have shape (C,), the number of samples of each class; got shape {n.shape}.")
    if not (n >= 1).all():
        raise ValueError(
            f"every class needs at least one sample; classes {np.flatnonzero(~(n >= 1)).tolist()} have none."
        )
    return n
