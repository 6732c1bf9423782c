"""Losses that wrong labels harm less."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.methods.objective import Batch, Objective, Training
from clesmote_losses import decode_target

_RAMP = 0.05  # share of the training over which trimming grows: the first 10 of 200 epochs of Han et al.


class GeneralizedCrossEntropy(Objective):
    r"""Generalised cross-entropy of Zhang and Sabuncu (2018, Eq. 6), without truncation.

    .. math:: (1 - p_y^q) / q

    Args:
        q: In ``(0, 1]``. Near 0 it is cross-entropy; 1 is the mean absolute error. They take 0.7.
    """

    def __init__(self, q: float) -> None:
        super().__init__()
        self.q = q

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean loss of a batch."""
        labels, _ = decode_target(target)
        # expm1 keeps the digits that 1 - p**q loses for a small q
        return -torch.expm1(-self.q * F.cross_entropy(logits, labels, reduction="none")).mean() / self.q


class TrimmedCrossEntropy(Objective):
    r"""Cross-entropy without the largest losses of each rare class: the small-loss rule of co-teaching (Han et al. 2018).

    In each batch the share :math:`R(t) = 1 - \rho \min(t / T_k, 1)` of the smallest losses counts. In the published form two
    networks choose for each other, among all classes. Here one network chooses for itself, in each rare class alone, and
    keeps one image of it at least.

    Args:
        counts: Training images of each class, shape ``(C,)``; a class is rare if it has fewer than the largest.
        trim: The rate :math:`\rho`, about the share of wrong labels.
    """

    is_rare: Tensor

    def __init__(self, counts: NDArray[np.int64], trim: float) -> None:
        super().__init__()
        self.register_buffer("is_rare", torch.from_numpy(counts < counts.max()))
        self.trim, self.rate = trim, 0.0

    def begin_step(self, training: Training, batch: Batch) -> Batch:
        """Set the rate of the step."""
        self.rate = self.trim * min(training.step / (_RAMP * training.steps), 1)
        return batch

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean of the losses that are kept."""
        labels, _ = decode_target(target)
        loss = F.cross_entropy(logits, labels, reduction="none")
        order = loss.detach().argsort(descending=True)
        is_class = F.one_hot(labels[order], logits.shape[1])
        rank = is_class.cumsum(0)[torch.arange(len(order)), labels[order]]  # from 1, the largest loss of its class
        is_dropped = self.is_rare[labels[order]] & (rank <= (self.rate * is_class.sum(0)).floor()[labels[order]])
        kept = torch.where(is_dropped, 0.0, loss[order])
        return kept.sum() / (~is_dropped).sum()
