"""Stage 2 on images that are on the device already.

The draws and the loss are those of :class:`clesmote_losses.TripletPretrainer`; reading image by image, as its data loader
has to, would take longer than the steps of a small network. A new kind of stage 2 is one entry of :data:`PRETRAININGS`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.lookup import Lookup
from benchmarks.methods.objective import Training
from benchmarks.methods.registry import Method
from benchmarks.training.evaluation import take
from clesmote_losses import decode_target
from clesmote_losses.embeddings import EmbeddingHook
from clesmote_losses.triplet_loss import triplet_margin_loss
from clesmote_losses.triplet_sampling import Sampling, TripletBatch, draw_batches


class Pretraining(NamedTuple):
    """A kind of stage 2.

    Attributes:
        sampling: Where :func:`draw_batches` takes positives and negatives from.
        loss: Takes the embeddings ``(N, D)`` and labels ``(N,)`` of a batch, the batch, and the margin.
    """

    sampling: Sampling
    loss: Callable[[Tensor, Tensor, TripletBatch, float], Tensor]


def _triplet_loss(embeddings: Tensor, labels: Tensor, batch: TripletBatch, margin: float) -> Tensor:
    parts = (batch.anchors, batch.positives, batch.negatives)
    anchors, positives, negatives = (embeddings[torch.from_numpy(part).to(embeddings.device)] for part in parts)
    return triplet_margin_loss(anchors, positives, negatives, margin)


def _supervised_contrastive_loss(embeddings: Tensor, labels: Tensor, batch: TripletBatch, margin: float) -> Tensor:
    from pytorch_metric_learning.losses import SupConLoss

    loss: Tensor = SupConLoss()(embeddings, labels)
    return loss


PRETRAININGS = Lookup(
    "pretraining",
    {
        "triplets": Pretraining("dataset", _triplet_loss),
        "batch_triplets": Pretraining("batch", _triplet_loss),
        "supcon": Pretraining("batch", _supervised_contrastive_loss),
    },
)


def pretrain(
    training: Training,
    method: Method,
    optimizer: torch.optim.Optimizer,
    augment: Callable[[Tensor], Tensor],
    *,
    steps: int,
    batch_size: int,
    margin: float,
    num_classes: int | None = None,
) -> list[float]:
    """Train the embedding, pass after pass over the anchors.

    Args:
        training: The run, at its start.
        method: Names the kind of pretraining and the anchors.
        optimizer: Updates the network.
        augment: Makes the network's input of a batch of images.
        steps: Optimizer steps; 0 for a method without stage 2.
        batch_size: Anchors in a step.
        margin: Margin of the triplets.
        num_classes: Number of classes to tell apart; further classes count as the last of them. By default all.

    Returns:
        Mean loss of each pass.
    """
    history: list[float] = []
    if not steps:
        return history
    kind, data, device = PRETRAININGS[method.pretraining], training.data, training.data.target.device
    labels, is_synthetic = (part.cpu().numpy() for part in decode_target(data.target))
    labels = labels if num_classes is None else np.minimum(labels, num_classes - 1)
    training.model.train()
    with EmbeddingHook(training.model, training.embedding_layer) as hook:
        while training.step < steps:
            batches = draw_batches(
                labels,
                is_synthetic,
                anchors=method.anchors,
                sampling=kind.sampling,
                batch_size=batch_size,
                seed=[training.seed, len(history)],
            )
            losses = []
            for batch in batches[: steps - training.step]:
                training.model(augment(take(data.images, torch.from_numpy(batch.indices).to(device))))
                batch_labels = torch.from_numpy(labels[batch.indices]).to(device)
                loss = kind.loss(hook.embeddings.float(), batch_labels, batch, margin)
                losses.append(training.update(loss, optimizer))
            history.append(torch.stack(losses).mean().item())
    return history
