"""Sums of rows, class by class: what class means are made of."""

import torch
from torch import Tensor

from clesmote_losses.embeddings import as_plain


class ClassSums:
    """Sum rows class by class, and count them.

    Args:
        num_classes: Number of classes ``C``.
        rows: Any rows of the kind to come (embeddings or images), shape ``(N, ...)``: their shape and device are kept.

    Attributes:
        total: Sum of the rows of each class, shape ``(C, ...)``.
        counts: Number of rows of each class, int64, shape ``(C,)``.
    """

    def __init__(self, num_classes: int, rows: Tensor) -> None:
        rows = as_plain(rows)
        self.total = rows.new_zeros((num_classes, *rows.shape[1:]), dtype=sum_dtype(rows.device))
        self.counts = rows.new_zeros(num_classes, dtype=torch.int64)

    def add(self, rows: Tensor, labels: Tensor, counted: Tensor) -> None:
        """Add the rows that are ``counted``, bool of shape ``(N,)``, to the class of their label, int64 of shape ``(N,)``.

        Rows that are not finite are left out, so that one overflow does not spoil the centroid of its class.
        """
        index = labels.clamp(min=0)
        counted = counted & rows.flatten(1).isfinite().all(1)
        # masked by zeros: indexing would wait for the GPU
        self.total.index_add_(0, index, torch.where(_as_column(counted, rows), rows, 0).to(self.total.dtype))
        self.counts.index_add_(0, index, counted.long())

    def mean(self) -> Tensor:
        """Return the mean of each class, float32, shape ``(C, ...)``; NaN (0 / 0) for a class without rows."""
        return (self.total / _as_column(self.counts, self.total)).float()


def sum_dtype(device: torch.device) -> torch.dtype:
    """Return float64, since a sum over thousands of samples loses digits in float32; Apple's GPUs have none."""
    return torch.float32 if device.type == "mps" else torch.float64


def _as_column(values: Tensor, rows: Tensor) -> Tensor:
    """Return one value for each row, in a shape that broadcasts over the rows."""
    return values.reshape(-1, *[1] * (rows.ndim - 1))
