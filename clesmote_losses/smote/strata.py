"""The groups that SMOTE balances: strata, or the classes themselves."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clesmote_losses.smote.columns import check_column


def strata_of(labels: NDArray[np.int64], strata: ArrayLike | None) -> NDArray[Any]:
    """Return the groups that SMOTE balances, shape ``(N,)``: the strata if there are any, else the classes.

    Raises:
        ValueError: If the shape is wrong, a sample has no stratum, or a stratum holds several classes.
    """
    if strata is None:
        return labels
    groups = check_column("strata", strata, len(labels))
    for group in np.unique(groups):
        within = np.unique(labels[groups == group])
        if len(within) > 1:
            raise ValueError(
                f"stratum {np.asarray(group).item()!r} holds samples of the classes {within.tolist()}, so a blend of two of them has no label. "
                "Make strata of one class each."
            )
    return groups


def group_digest(labels: NDArray[np.int64], strata: ArrayLike | None) -> str:
    """Compute a digest of the labels and strata of a data set."""
    digest = hashlib.sha256(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    if strata is not None:
        names, codes = np.unique(check_column("strata", strata, len(labels)), return_inverse=True)
        digest.update(repr(names.tolist()).encode() + codes.astype("<i8").tobytes())
    return digest.hexdigest()
