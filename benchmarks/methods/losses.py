"""The losses of the baselines that no kept library has, and the choice of a loss for a method.

Every loss is called as ``loss(logits, target)`` with the target of a :class:`clesmote_losses.SMOTEDataset`.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torchvision.ops import sigmoid_focal_loss

from benchmarks.methods.registry import Method
from clesmote_losses import (
    CappedSMOTELoss,
    ClassCentroidTracker,
    capped_cross_entropy,
    class_balanced_weights,
    cosine_cap,
    decode_target,
)
from clesmote_losses.capped_loss import Gradient
from clesmote_losses.embeddings import find_classifier

Counts = NDArray[np.int64]
_LDAM_MARGIN, _LDAM_SCALE = 0.5, 30.0  # largest margin and scale of Cao et al.
_DEFERRED = 0.8  # share of the training after which LDAM-DRW weights the classes: epoch 160 of 200 there


class AdjustedCrossEntropy(nn.Module):
    r"""Cross-entropy of logits that are raised by how frequent their class is.

    .. math:: \mathrm{CE}(z + \tau \log \pi, y)

    With class frequency :math:`\pi`. This is the loss of logit adjustment (Menon et al. 2021, Eq. 10); with tau 1 it is
    balanced softmax (Ren et al. 2020), with tau 0 plain cross-entropy.

    Args:
        counts: Training images of each class, shape ``(C,)``.
        tau: Strength.
        weight: Weight of each class, float, shape ``(C,)``; the sum is divided by the number of images.
    """

    shift: Tensor
    weight: Tensor | None

    def __init__(self, counts: Counts, tau: float = 0.0, weight: Tensor | None = None) -> None:
        super().__init__()
        frequency = torch.as_tensor(counts, dtype=torch.float64)
        self.register_buffer("shift", (tau * (frequency / frequency.sum()).log()).float())
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch."""
        labels, _ = decode_target(target)
        loss = F.cross_entropy(logits + self.shift, labels, reduction="none")
        # Divided by the number of images (Cui et al. 2019). torch's weighted mean divides by the weights of the batch, which
        # takes the weight away again wherever a batch is of one class.
        return loss.mean() if self.weight is None else (loss * self.weight[labels]).mean()


class FocalLoss(nn.Module):
    r"""torchvision's focal loss (Lin et al. 2017) without class weights, of the softmax probability of the true class.

    .. math:: -(1 - p_y)^\gamma \log p_y

    Args:
        gamma: How much less an image counts that is classified well.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch."""
        labels, _ = decode_target(target)
        is_class = F.one_hot(labels, logits.shape[1]).bool()
        others = logits.masked_fill(is_class, -torch.inf).logsumexp(1)
        odds = logits.gather(1, labels[:, None])[:, 0] - others  # the softmax probability is their sigmoid
        loss: Tensor = sigmoid_focal_loss(odds, torch.ones_like(odds), alpha=-1, gamma=self.gamma, reduction="mean")
        return loss


class LDAMLoss(nn.Module):
    r"""Label-distribution-aware margins, and weights in the last part of the training (LDAM-DRW, Cao et al. 2019).

    .. math:: \mathrm{CE}(s (\cos\theta - \Delta_y), y), \quad \Delta_y \propto n_y^{-1/4}

    Its logits are cosines times the scale ``s``: :func:`use_cosine_classifier` makes a network give them.

    Args:
        counts: Training images of each class, shape ``(C,)``.
    """

    margin: Tensor
    weight: Tensor

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        margin = torch.as_tensor(counts, dtype=torch.float64) ** -0.25
        self.register_buffer("margin", (_LDAM_MARGIN * margin / margin.max()).float())
        self.register_buffer("weight", class_balanced_weights(counts))
        self.is_weighted = False

    def set_progress(self, done: float) -> None:
        """Say which share of the training is done: towards its end, classes are weighted."""
        self.is_weighted = done >= _DEFERRED

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch."""
        labels, _ = decode_target(target)
        margin = F.one_hot(labels, logits.shape[1]) * (self.margin[labels] * _LDAM_SCALE)[:, None]
        return F.cross_entropy(logits - margin, labels, self.weight if self.is_weighted else None)


class _ScaledUnitRows(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return F.normalize(weight, dim=1) * _LDAM_SCALE


def use_cosine_classifier(model: nn.Module) -> None:
    """Make a network's logits the cosines of embedding and class weight, times the scale of :class:`LDAMLoss`."""
    for layer in find_classifier(model):
        if not isinstance(layer, nn.Linear):
            raise ValueError(f"LDAM-DRW needs a linear classifier; this network has {type(layer).__name__}.")
        layer.register_parameter("bias", None)
        parametrize.register_parametrization(layer, "weight", _ScaledUnitRows())
        layer.register_forward_pre_hook(lambda _, inputs: (F.normalize(inputs[0], dim=1), *inputs[1:]))


class StratumCappedLoss(nn.Module):
    """CLE-SMOTE's loss with a centroid for each stratum and not for each class.

    Args:
        beta: Noise tolerance of the cap.
        tracker: On the model, with as many classes as there are strata.
        gradient: As in :class:`clesmote_losses.CappedSMOTELoss`.
    """

    def __init__(self, beta: float, tracker: ClassCentroidTracker, gradient: Gradient) -> None:
        super().__init__()
        self.beta, self.tracker, self.gradient = beta, tracker, gradient
        self.strata = torch.empty(0, dtype=torch.int64)  # of the batch to come
        self.counts = torch.zeros(2)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch whose strata were assigned to ``strata``."""
        labels, is_synthetic = decode_target(target)
        embeddings = self.tracker.take_embeddings().detach()
        centroids, _ = self.tracker.centroids_for(embeddings, self.strata, is_synthetic)
        cap = cosine_cap(embeddings, self.strata, centroids, self.beta)
        with torch.no_grad():
            capped = is_synthetic & (F.cross_entropy(logits, labels, reduction="none") > cap)
            self.counts = self.counts.to(cap.device) + torch.stack([is_synthetic.sum(), capped.sum()])
        return capped_cross_entropy(logits, labels, is_synthetic, cap, gradient=self.gradient)

    @property
    def stats(self) -> dict[str, Tensor]:
        """As :attr:`clesmote_losses.CappedSMOTELoss.stats`, ``synthetic`` and ``capped``."""
        return {"synthetic": self.counts[0], "capped": self.counts[1]}

    def reset_stats(self) -> None:
        """Count from zero."""
        self.counts = torch.zeros_like(self.counts)


def make_loss(method: Method, counts: Counts, tracker: ClassCentroidTracker | None) -> nn.Module:
    """The loss that a method trains with.

    Args:
        method: The method.
        counts: Training images of each class, shape ``(C,)``.
        tracker: On the model, for a capped loss that needs one.
    """
    match method.loss:
        case "cross_entropy":
            return AdjustedCrossEntropy(counts)
        case "class_balanced":
            return AdjustedCrossEntropy(counts, weight=class_balanced_weights(counts))
        case "balanced_softmax":
            return AdjustedCrossEntropy(counts, tau=1.0)
        case "logit_adjusted":
            return AdjustedCrossEntropy(counts, tau=method.tau)
        case "focal":
            return FocalLoss(method.gamma)
        case "ldam_drw":
            return LDAMLoss(counts)
        case "capped":
            if method.centroid == "stratum":
                assert tracker is not None
                return StratumCappedLoss(method.beta, tracker, method.gradient)
            return CappedSMOTELoss(
                method.beta,
                tracker=tracker,
                distance=method.distance,
                gradient=method.gradient,
                warmup_epochs=method.warmup_epochs,
            )
