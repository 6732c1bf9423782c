"""The classifier fitted again after plain training."""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.methods.cross_entropy import AdjustedCrossEntropy
from benchmarks.methods.objective import Training, TrainingSet
from clesmote_losses import rebalanced_head

_BATCH = 256  # images in a forward pass without gradients


class RebalancedHead(AdjustedCrossEntropy):
    """Plain cross-entropy; what is scored has a classifier that :func:`clesmote_losses.rebalanced_head` has fitted.

    This is cRT (Kang et al. 2020). The classifier is fitted at the end of each epoch, so the epoch is chosen by the scores of
    the network that a user would keep. Training goes on with its own classifier.
    """

    def network(self, training: Training) -> nn.Module:
        """Return a copy of the network with the new classifier; one that has diverged as it is."""
        model = copy.deepcopy(training.model)
        try:
            rebalanced_head(model, _batches(training.data))
        except ValueError:
            with torch.no_grad():
                if all(model(inputs).isfinite().all() for inputs, _ in _batches(training.data)):
                    raise
        return model

    def prior(self, training: Training) -> NDArray[np.float64]:
        """Return equal shares."""
        return np.full(len(training.counts), 1 / len(training.counts))


def _batches(data: TrainingSet) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield input and target of all images, without augmentation."""
    for chosen in torch.arange(len(data.target), device=data.target.device).split(_BATCH):
        yield data.inputs(chosen), data.target[chosen]
