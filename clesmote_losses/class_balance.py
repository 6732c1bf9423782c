"""Class weights for the weighted-loss baseline."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def class_balanced_weights(counts: Sequence[int] | np.ndarray | Tensor, beta: float = 0.9999) -> Tensor:
    r"""Compute class weights from the effective number of samples (Cui et al. 2019, Eq. 2), normalised to sum to ``C``.

    .. math:: w_c \propto \frac{1 - \beta}{1 - \beta^{n_c}}

    ``beta=0`` gives all classes the same weight; ``beta`` close to 1 weights them by inverse frequency.

    Args:
        counts: Number of real samples of each class, shape ``(C,)``, each at least 1.
        beta: In ``[0, 1)``. Cui et al. try 0.9, 0.99, 0.999 and 0.9999.

    Returns:
        Weights for ``nn.CrossEntropyLoss(weight=...)`` or ``CappedSMOTELoss(weight=...)``, float32, shape ``(C,)``.

    Raises:
        ValueError: If ``beta`` is out of range, ``counts`` is not one-dimensional, or a class has no sample.

    Example:
        >>> class_balanced_weights([5000, 50])
        tensor([0.0250, 1.9750])
    """
    if not 0 <= beta < 1:
        raise ValueError(
            f"beta must be in [0, 1); got {beta}. For weights by inverse frequency, pass a beta close to 1."
        )
    n = np.asarray(counts, dtype=np.float64)
    if n.ndim != 1 or n.size == 0:
        raise ValueError(f"counts must have shape (C,), the number of samples of each class; got shape {n.shape}.")
    if not (n >= 1).all():
        raise ValueError(
            f"every class needs at least one sample; classes {np.flatnonzero(~(n >= 1)).tolist()} have none."
        )
    # expm1 keeps the digits that 1 - beta**n loses for small n and beta close to 1
    effective_number = -np.expm1(n * math.log(beta)) / (1 - beta) if beta > 0 else np.ones_like(n)
    weights = 1 / effective_number
    return torch.as_tensor(weights * len(n) / weights.sum(), dtype=torch.float32)
