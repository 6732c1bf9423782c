"""The triplet loss of stage 2 of CLE-SMOTE."""

import torch
from torch import Tensor

from clesmote_losses.errors import check_numbers


def triplet_margin_loss(anchors: Tensor, positives: Tensor, negatives: Tensor, margin: float = 0.0) -> Tensor:
    r"""Compute the triplet loss on Euclidean distances (the paper's Eq. 1, which has no margin).

    .. math:: L = \frac{1}{N} \sum_i \max(0, \|a_i - p_i\| - \|a_i - n_i\| + m)

    :class:`torch.nn.TripletMarginLoss` adds ``eps`` inside each distance; this function does not, and its gradient
    at distance 0 is 0.

    Args:
        anchors, positives, negatives: Embeddings, float, shape ``(N, D)``; used in float32.
        margin: Margin ``m``, 0 or more, in the unit of the embedding.

    Returns:
        Loss, float32, a scalar; 0 for ``N = 0``.

    Raises:
        ValueError: If the shapes differ or ``margin`` is negative.

    Example:
        >>> triplet_margin_loss(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 1.0]]))
        tensor(4.)
    """
    check_numbers(margin=margin)
    if not margin >= 0:
        raise ValueError(f"margin must be 0 or more; got {margin}.")
    if anchors.ndim != 2 or not anchors.shape == positives.shape == negatives.shape:
        raise ValueError(
            "anchors, positives and negatives must have one shape (N, D); got "
            f"{tuple(anchors.shape)}, {tuple(positives.shape)} and {tuple(negatives.shape)}."
        )
    anchors, positives, negatives = anchors.float(), positives.float(), negatives.float()
    to_positive = torch.linalg.vector_norm(anchors - positives, dim=1)
    to_negative = torch.linalg.vector_norm(anchors - negatives, dim=1)
    return torch.relu(to_positive - to_negative + margin).sum() / max(len(anchors), 1)
