"""Methods that train on mixtures of two images, with the share of each class as target.

A new mixing is one entry of :data:`MIXINGS`.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.methods.cross_entropy import AdjustedCrossEntropy
from benchmarks.methods.objective import Batch, Training
from clesmote_losses import decode_target

Mixture = tuple[Tensor, Tensor]  # images, and the share of each class, float32, shape (N, num_classes)
_KAPPA, _TAU = 3.0, 0.5  # Remix: when a class is rare beside another, and how much of it suffices
_CMO_PROBABILITY = 0.5  # of mixing a batch
_CMO_EDGE = 3 / 200  # share of the training without mixing at its start and at its end: 3 of 200 epochs each


def mixup(images: Tensor, labels: Tensor, counts: NDArray[np.int64], alpha: float) -> Mixture:
    """Blend each image with another of the batch (Zhang et al. 2018): torchvision's ``MixUp``.

    Args:
        images: Input of the network, shape ``(N, C, H, W)``.
        labels: Class indices, shape ``(N,)``.
        counts: Training images of each class, shape ``(num_classes,)``.
        alpha: The weight is drawn from Beta(alpha, alpha), once for the batch.
    """
    mixed: Mixture = v2.MixUp(alpha=alpha, num_classes=len(counts))(images, labels)
    return mixed


def remix(images: Tensor, labels: Tensor, counts: NDArray[np.int64], alpha: float) -> Mixture:
    """Blend as :func:`mixup`; the label is that of the rare class where this has enough of the image (Chou et al. 2020).

    Enough is more than half of it, beside a class with three times the images or more.
    """
    weight = float(torch.distributions.Beta(alpha, alpha).sample())
    return remix_with(images, labels, counts, weight)


def remix_with(images: Tensor, labels: Tensor, counts: NDArray[np.int64], weight: float) -> Mixture:
    """Give each image this weight and the one before it in the batch the rest."""
    classes = F.one_hot(labels, len(counts)).float()
    frequency = torch.as_tensor(counts, dtype=torch.float32, device=labels.device)[labels]
    ratio = frequency / frequency.roll(1, 0)
    share = torch.full_like(ratio, weight)
    if weight < _TAU:
        share[ratio >= _KAPPA] = 0.0
    if 1 - weight < _TAU:
        share[ratio <= 1 / _KAPPA] = 1.0
    return images.roll(1, 0).lerp(images, weight), classes.roll(1, 0).lerp(classes, share[:, None])


def balanced_mixup(images: Tensor, labels: Tensor, counts: NDArray[np.int64], alpha: float) -> Mixture:
    """Blend images as they come with images of a class-balanced draw (Balanced-MixUp, Galdran et al. 2021).

    Args:
        images: Those as they come, then as many of the other draw, shape ``(2 N, C, H, W)``.
        labels: Class indices, shape ``(2 N,)``.
        counts: Training images of each class, shape ``(num_classes,)``.
        alpha: The weight of the class-balanced image is drawn from Beta(alpha, 1), once for the batch.
    """
    weight = float(torch.distributions.Beta(alpha, 1.0).sample())
    (images, balanced), (classes, balanced_classes) = images.chunk(2), F.one_hot(labels, len(counts)).float().chunk(2)
    return images.lerp(balanced, weight), classes.lerp(balanced_classes, weight)


def paste_rare(images: Tensor, labels: Tensor, counts: NDArray[np.int64], alpha: float) -> Mixture:
    """Paste a box of each image of a class-balanced draw on an image as they come; labels by area (CMO, Park et al. 2022).

    Arguments are those of :func:`balanced_mixup`; the area left of the background is drawn from Beta(alpha, alpha), once for
    the batch. The box is that of torchvision's ``CutMix``.
    """
    # CutMix pastes each image of a batch on the next one. Each balanced image is put before the one to paste it on.
    order = torch.arange(len(labels), device=labels.device).reshape(2, -1).flip(0).T.flatten()
    pasted, classes = v2.CutMix(alpha=alpha, num_classes=len(counts))(images[order], labels[order])
    return pasted[1::2], classes[1::2]


class Mixing(NamedTuple):
    """A way to mix the images of a batch.

    Attributes:
        mix: Takes images, labels, counts of the classes, and alpha.
        takes_balanced: Whether it takes a class-balanced draw after the images as they come.
        probability: Of mixing a batch.
        edge: Share of the training without mixing, at its start and at its end.
    """

    mix: Callable[[Tensor, Tensor, NDArray[np.int64], float], Mixture]
    takes_balanced: bool = False
    probability: float = 1.0
    edge: float = 0.0


MIXINGS = {
    "mixup": Mixing(mixup),
    "remix": Mixing(remix),
    "balanced_mixup": Mixing(balanced_mixup, takes_balanced=True),
    "cmo": Mixing(paste_rare, takes_balanced=True, probability=_CMO_PROBABILITY, edge=_CMO_EDGE),
}


class MixedObjective(AdjustedCrossEntropy):
    """Cross-entropy of mixed images.

    Args:
        mixing: How images are mixed.
        alpha: Its option.
        training: The run. Where the mixing takes a class-balanced draw, this is added to each of its batches; all strata of
            a class are drawn as often.
        tau: Strength of logit adjustment.
    """

    _mass: Tensor

    def __init__(self, mixing: Mixing, alpha: float, training: Training, tau: float = 0.0) -> None:
        super().__init__(training.counts, tau)
        self.mixing, self.alpha = mixing, alpha
        self.register_buffer("_mass", torch.ones(len(training.counts)))  # a prior of 0 divides nothing
        if mixing.takes_balanced:
            labels, _ = decode_target(training.data.target)
            training.batches = _with_balanced(training.batches, balanced_weights(labels, training.data.strata))

    def begin_step(self, training: Training, batch: Batch) -> Batch:
        """Mix the images."""
        labels, _ = decode_target(batch.target)
        passed = training.step / training.steps
        if self.mixing.edge <= passed <= 1 - self.mixing.edge and torch.rand(()) < self.mixing.probability:
            inputs, target = self.mixing.mix(batch.inputs, labels, training.counts, self.alpha)
        else:
            size = len(labels) // 2 if self.mixing.takes_balanced else len(labels)
            inputs, target = batch.inputs[:size], F.one_hot(labels[:size], len(training.counts)).float()
        self._mass += target.sum(0)
        return Batch(inputs, target, batch.strata[: len(target)])

    def prior(self, training: Training) -> NDArray[np.float64]:
        """Return the share of each class in the targets so far; logits without the shift know nothing of it."""
        return self.without_shift(self._mass.double().cpu().numpy())


def balanced_weights(labels: Tensor, strata: Tensor) -> Tensor:
    """Compute the probability of each image where classes, and the strata of a class, are drawn as often as another.

    Args:
        labels: Class indices, shape ``(N,)``.
        strata: Stratum of each image, shape ``(N,)``, each of one class.

    Returns:
        Float64 on the CPU, shape ``(N,)``.
    """
    _, stratum, sizes = strata.cpu().unique(return_inverse=True, return_counts=True)
    weights = 1 / sizes[stratum].double()  # each stratum weighs 1
    _, label = labels.cpu().unique(return_inverse=True)
    of_class = torch.zeros(int(label.max()) + 1, dtype=torch.float64).index_add_(0, label, weights)
    found: Tensor = weights / of_class[label] / len(of_class)
    return found


def _with_balanced(batches: Iterator[Tensor], weights: Tensor) -> Iterator[Tensor]:
    for chosen in batches:
        yield torch.cat([chosen, weights.multinomial(len(chosen), replacement=True)])
