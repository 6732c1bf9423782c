"""Embed a whole data set or loader in evaluation mode: what classifiers of scikit-learn learn from."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clesmote_losses.batches import read_batch
from clesmote_losses.distributed import gather_from_ranks, get_world_size
from clesmote_losses.embeddings import EmbeddingHook, model_input
from clesmote_losses.restore import evaluating


class EmbeddedImages(NamedTuple):
    """Rows for some images, in the order of the images.

    Attributes:
        embeddings: Input of the classifier, float32, shape ``(N, D)``.
        logits: Output of the model, float32, shape ``(N, C)``; ``(N, 0)`` where the model returns no tensor of that shape.
        labels: Class index, int64, shape ``(N,)``; negative for ignored and for synthetic images.
    """

    embeddings: NDArray[Any]
    logits: NDArray[Any]
    labels: NDArray[Any]


def embed_images(
    hook: EmbeddingHook, batches: Iterable[Any], num_logits: int | tuple[int, ...] = 0, *, seed: int | None = None
) -> EmbeddedImages:
    """Embed the images of batches that :func:`~clesmote_losses.batches.read_batch` reads; states stay as they were.

    Args:
        hook: Hook of the model that embeds.
        batches: Loader, or :func:`~clesmote_losses.batches.batches_of` a data set.
        num_logits: Number of outputs ``C`` whose logits are kept; or several numbers, the first that fits counts.
        seed: Seed of what the data set draws; by default the generators go on.
    """
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    widths = (num_logits,) if isinstance(num_logits, int) else num_logits
    try:
        with evaluating(hook.model, seed):
            for batch in batches:
                images, labels, is_synthetic = read_batch(batch)
                output = hook.model(model_input(images, hook.model))
                logits = _logits(output, len(labels), widths)
                counted = torch.where(is_synthetic, -1, labels)
                rows.append((hook.embeddings.float().cpu(), logits.float().cpu(), counted.cpu()))
    finally:
        hook.clear()
    if not rows:
        return EmbeddedImages(np.empty((0, 0), np.float32), np.empty((0, 0), np.float32), np.empty(0, np.int64))
    return EmbeddedImages(*(torch.cat(part).numpy() for part in zip(*rows, strict=True)))


def gather_images(own: EmbeddedImages) -> EmbeddedImages:
    """Return the images of all ranks; those of a data set that ``batches_of`` shared out are in its order again.

    Raises:
        ValueError: If there is no image.
    """
    parts = gather_from_ranks(own)
    index = [np.arange(len(part.labels)) * get_world_size() + rank for rank, part in enumerate(parts)]
    order = np.concatenate(index).argsort()
    filled = [part for part in parts if len(part.labels)]
    if not filled:
        raise ValueError("there is no image to embed: the data set or loader is empty.")
    return EmbeddedImages(*(np.concatenate(values)[order] for values in zip(*filled, strict=True)))


def _logits(output: Any, count: int, widths: tuple[int, ...]) -> Tensor:
    """Return the first tensor of so many values for each image in the output of a model: alone, or in a tuple or dict."""
    values = (
        output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else [output]
    )
    tensors = [value for value in values if isinstance(value, Tensor)]
    for width in widths:
        found = next((tensor for tensor in tensors if tensor.numel() == count * width), None)
        if found is not None:
            return found.reshape(count, width)
    return torch.empty(count, 0)
