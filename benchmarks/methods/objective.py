"""The hooks of a method: what it minimises, and what it does at the start of an epoch and of a step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from clesmote_losses import decode_target


class TrainingSet(Protocol):
    """The images of a run; :class:`benchmarks.training.training_images.TrainingData` documents them."""

    @property
    def images(self) -> Tensor: ...
    @property
    def target(self) -> Tensor: ...
    @property
    def strata(self) -> Tensor: ...
    def inputs(self, chosen: Tensor) -> Tensor: ...
    def begin_epoch(self, epoch: int) -> None: ...
    def real_batches(self, by_stratum: bool) -> Iterator[tuple[Tensor, Tensor]]: ...


class Batch(NamedTuple):
    """The images of a step.

    Attributes:
        inputs: The network's input, shape ``(N, C, H, W)``.
        target: Encoded, int64, shape ``(N,)``; of mixed images the share of each class, float32, shape ``(N, num_classes)``.
        strata: The stratum of each, shape ``(N,)``.
    """

    inputs: Tensor
    target: Tensor
    strata: Tensor


@dataclass
class Training:
    """A run in progress. A hook may replace ``batches`` to train on other images from there on.

    Attributes:
        model: The network, on its device.
        data: What it is trained on.
        counts: Images of each class in the imbalanced training set, int64, shape ``(C,)``.
        num_strata: Number of strata.
        embedding_layer: Layer whose input is the embedding, where that is not the classifier.
        batches: Indices of the images of each step to come, without end.
        steps: Optimizer steps of the whole run, those of a pretraining included.
        seed: Seed of the run.
        on_steps: Called with the number of steps made since the last call.
        step: Steps made so far.
        epoch: Epoch in progress, counted from 0.
    """

    model: nn.Module
    data: TrainingSet
    counts: NDArray[np.int64]
    num_strata: int
    embedding_layer: str | None
    batches: Iterator[Tensor]
    steps: int
    seed: int = 0
    on_steps: Callable[[int], object] = lambda steps: None
    step: int = 0
    epoch: int = 0

    def update(self, loss: Tensor, optimizer: Optimizer) -> Tensor:
        """Make an optimizer step, and return the loss without its graph."""
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        self.step += 1
        self.on_steps(1)
        return loss.detach()


class Objective(nn.Module):
    """The loss of a method in one run.

    A subclass implements ``forward(logits, target)``, with the target of the batch that :meth:`begin_step` returns, and
    overrides the hooks that it needs. By default they do nothing.
    """

    share_capped: float | None = None  # of the synthetic images of the run; None if nothing can be capped

    def begin_epoch(self, training: Training) -> None:
        """Prepare for an epoch, before its first step."""

    def begin_step(self, training: Training, batch: Batch) -> Batch:
        """Return the batch to train on: the one that was drawn, or one made of it."""
        return batch

    def end_epoch(self) -> dict[str, float]:
        """Return what the learning curve keeps of the epoch."""
        return {}

    def network(self, training: Training) -> nn.Module:
        """Return the network to score at the end of an epoch: the trained one, or a copy with another classifier."""
        return training.model

    def prior(self, training: Training) -> NDArray[np.float64]:
        """Return how frequent the scores of the network take each class to be, shape ``(C,)``: as in its images by default."""
        labels, _ = decode_target(training.data.target)
        counts = labels.bincount(minlength=len(training.counts)).double().cpu().numpy()
        return np.asarray(counts / counts.sum())
