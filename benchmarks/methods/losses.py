"""The table of losses, and the losses of the baselines that no kept library has.

A new loss is one entry of :data:`LOSSES`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torchvision.ops import sigmoid_focal_loss

from benchmarks.lookup import Lookup
from benchmarks.methods.capped import build_capped
from benchmarks.methods.cross_entropy import AdjustedCrossEntropy
from benchmarks.methods.head import RebalancedHead
from benchmarks.methods.mixing import MIXINGS, MixedObjective, Mixing
from benchmarks.methods.objective import Batch, Objective, Training
from benchmarks.methods.robust import GeneralizedCrossEntropy, TrimmedCrossEntropy
from clesmote_losses import class_balanced_weights, decode_target
from clesmote_losses.classifier import find_classifier

Counts = NDArray[np.int64]
_LDAM_MARGIN, _LDAM_SCALE = 0.5, 30.0  # largest margin and scale of Cao et al.
_DEFERRED = 0.8  # share of the training after which LDAM-DRW weights the classes: epoch 160 of 200 there


class FocalLoss(Objective):
    r"""torchvision's focal loss (Lin et al. 2017) of the softmax probability of the true class, without class weights.

    .. math:: -(1 - p_y)^\gamma \log p_y

    Args:
        gamma: How strongly the loss of well classified images is reduced.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean loss of a batch."""
        labels, _ = decode_target(target)
        is_class = F.one_hot(labels, logits.shape[1]).bool()
        others = logits.masked_fill(is_class, -torch.inf).logsumexp(1)
        odds = logits.gather(1, labels[:, None])[:, 0] - others  # the softmax probability is their sigmoid
        loss: Tensor = sigmoid_focal_loss(odds, torch.ones_like(odds), alpha=-1, gamma=self.gamma, reduction="mean")
        return loss


class LDAMLoss(Objective):
    r"""Label-distribution-aware margins, and class weights in the last part of the training (LDAM-DRW, Cao et al. 2019).

    .. math:: \mathrm{CE}(s (\cos\theta - \Delta_y), y), \quad \Delta_y \propto n_y^{-1/4}

    Its logits are cosines times the scale ``s``; :func:`use_cosine_classifier` changes a network to give them.

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

    def begin_step(self, training: Training, batch: Batch) -> Batch:
        """Weight the classes towards the end of the training."""
        self.is_weighted = training.step / training.steps >= _DEFERRED
        return batch

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean loss of a batch."""
        labels, _ = decode_target(target)
        margin = F.one_hot(labels, logits.shape[1]) * (self.margin[labels] * _LDAM_SCALE)[:, None]
        return F.cross_entropy(logits - margin, labels, self.weight if self.is_weighted else None)

    def prior(self, training: Training) -> NDArray[np.float64]:
        """Return the frequencies of the images, times the weights once they are on."""
        prior = super().prior(training) * (self.weight.cpu().numpy() if self.is_weighted else 1)
        return np.asarray(prior / prior.sum())


class _ScaledUnitRows(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return F.normalize(weight, dim=1) * _LDAM_SCALE


def use_cosine_classifier(model: nn.Module) -> None:
    """Change a network so that its logits are the cosines of embedding and class weight, times the scale of LDAM.

    Raises:
        ValueError: If the classifier is not linear.
    """
    for layer in find_classifier(model):
        if not isinstance(layer, nn.Linear):
            raise ValueError(f"LDAM-DRW needs a linear classifier; this network has {type(layer).__name__}.")
        layer.register_parameter("bias", None)
        parametrize.register_parametrization(layer, "weight", _ScaledUnitRows())
        layer.register_forward_pre_hook(lambda _, inputs: (F.normalize(inputs[0], dim=1), *inputs[1:]))


def _build_ldam(method: Any, training: Training) -> Objective:
    use_cosine_classifier(training.model)
    return LDAMLoss(training.counts)


def _build_class_balanced(method: Any, training: Training) -> Objective:
    return AdjustedCrossEntropy(training.counts, weight=class_balanced_weights(training.counts))


def _build_mixed(mixing: Mixing, method: Any, training: Training, tau: float = 0.0) -> Objective:
    return MixedObjective(mixing, method.alpha, training, tau)


# Each entry takes the method, whose attributes are the options of the loss, and the run, whose network it may change.
LOSSES: Lookup[Callable[[Any, Training], Objective]] = Lookup(
    "loss",
    {
        "cross_entropy": lambda method, training: AdjustedCrossEntropy(training.counts),
        "class_balanced": _build_class_balanced,
        "balanced_softmax": lambda method, training: AdjustedCrossEntropy(training.counts, tau=1.0),
        "logit_adjusted": lambda method, training: AdjustedCrossEntropy(training.counts, tau=method.tau),
        "focal": lambda method, training: FocalLoss(method.gamma),
        "ldam_drw": _build_ldam,
        "label_smoothing": lambda method, training: AdjustedCrossEntropy(training.counts, smoothing=method.smoothing),
        "gce": lambda method, training: GeneralizedCrossEntropy(method.q),
        "trimmed": lambda method, training: TrimmedCrossEntropy(training.counts, method.trim),
        **{name: partial(_build_mixed, mixing) for name, mixing in MIXINGS.items()},
        "mixup_balanced_softmax": partial(_build_mixed, MIXINGS["mixup"], tau=1.0),
        "rebalanced_head": lambda method, training: RebalancedHead(training.counts),
        "capped": build_capped,
    },
)
