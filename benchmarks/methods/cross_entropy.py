"""Cross-entropy of adjusted logits, with class weights or smooth labels: the loss of most methods."""

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.methods.objective import Objective, Training
from clesmote_losses import decode_target, log_prior


class AdjustedCrossEntropy(Objective):
    r"""Cross-entropy of logits that are raised by how frequent their class is.

    .. math:: \mathrm{CE}(z + \tau \log \pi, y)

    With class frequency :math:`\pi`. This is the loss of logit adjustment (Menon et al. 2021, Eq. 10); with tau 1 it is
    balanced softmax (Ren et al. 2020), with tau 0 plain cross-entropy.

    Args:
        counts: Training images of each class, shape ``(C,)``.
        tau: Strength.
        weight: Weight of each class, float, shape ``(C,)``; the sum is divided by the number of images.
        smoothing: Share of each target that is spread over all classes (label smoothing, Szegedy et al. 2016).
    """

    shift: Tensor
    weight: Tensor | None

    def __init__(
        self, counts: NDArray[np.int64], tau: float = 0.0, weight: Tensor | None = None, smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.register_buffer("shift", log_prior(counts, tau))
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean loss of a batch; without a weight, of mixed images too."""
        labels = target if target.is_floating_point() else decode_target(target)[0]
        loss = F.cross_entropy(logits + self.shift, labels, reduction="none", label_smoothing=self.smoothing)
        # Divided by the number of images (Cui et al. 2019). torch's weighted mean divides by the weights of the batch, which
        # removes the weight again wherever a batch is of one class.
        return loss.mean() if self.weight is None else (loss * self.weight[labels]).mean()

    def prior(self, training: Training) -> NDArray[np.float64]:
        """Return the frequencies of the images times the weights; logits without the shift know nothing of it."""
        return self.without_shift(super().prior(training) * (1 if self.weight is None else self.weight.cpu().numpy()))

    def without_shift(self, prior: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the prior of logits that were shifted in training alone: divided by the factor of the shift, sum 1."""
        prior = prior / self.shift.double().exp().cpu().numpy()
        return np.asarray(prior / prior.sum())
