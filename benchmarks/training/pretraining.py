"""Stage 2 on images that are on the device already.

The draws and the loss are those of :class:`clesmote_losses.TripletPretrainer`; reading image by image, as its data loader has
to, would take longer than the steps of a small network.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.methods.registry import Method
from clesmote_losses.embeddings import EmbeddingHook
from clesmote_losses.triplet_loss import triplet_margin_loss
from clesmote_losses.triplet_sampling import draw_batches


def pretrain(
    model: nn.Module,
    inputs_of: Callable[[Tensor], Tensor],
    labels: NDArray[np.int64],
    is_synthetic: NDArray[np.bool_],
    method: Method,
    optimizer: torch.optim.Optimizer,
    *,
    steps: int,
    batch_size: int,
    margin: float,
    layer: str | None,
    seed: int,
    on_steps: Callable[[int], object],
) -> list[float]:
    """Train the embedding, pass after pass over the anchors.

    Args:
        model: The network.
        inputs_of: Gives its input for indices of images.
        labels: Class indices, shape ``(N,)``.
        is_synthetic: Bool, shape ``(N,)``.
        method: Says which anchors and what kind of pretraining.
        optimizer: Of the model's parameters.
        steps: Optimizer steps.
        batch_size: Anchors in a step.
        margin: Of the triplets.
        layer: Whose input is the embedding, where it is not the classifier.
        seed: Of the draws.
        on_steps: Called after each step.

    Returns:
        Mean loss of each pass.
    """
    criterion = None
    if method.pretraining == "supcon":
        from pytorch_metric_learning.losses import SupConLoss

        criterion = SupConLoss()
    device = next(model.parameters()).device
    history: list[float] = []
    done = 0
    model.train()
    with EmbeddingHook(model, layer) as hook:
        while done < steps:
            batches = draw_batches(
                labels,
                is_synthetic,
                anchors=method.anchors,
                sampling="dataset" if method.pretraining == "triplets" else "batch",
                batch_size=batch_size,
                seed=[seed, len(history)],
            )
            losses = []
            for batch in batches[: steps - done]:
                model(inputs_of(torch.from_numpy(batch.indices).to(device)))
                embeddings = hook.embeddings.float()
                if criterion is None:
                    parts = (batch.anchors, batch.positives, batch.negatives)
                    anchors, positives, negatives = (embeddings[torch.from_numpy(part).to(device)] for part in parts)
                    loss = triplet_margin_loss(anchors, positives, negatives, margin)
                else:
                    loss = criterion(embeddings, torch.from_numpy(labels[batch.indices]).to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
                on_steps(1)
            done += len(losses)
            history.append(torch.stack(losses).mean().item())
    return history
