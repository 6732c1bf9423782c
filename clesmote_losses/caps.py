"""The cap of the paper's Eq. 2 and its Euclidean variant: what a synthetic sample may cost, given its embedding."""

import torch
from torch import Tensor

_SAME_POINT = 1e-6  # a distance below this is rounding: no cap


def cosine_cap(embeddings: Tensor, labels: Tensor, centroids: Tensor, beta: float = 1.0) -> Tensor:
    r"""Cap by cosine distance to the centroid of the sample's class (the paper's Eq. 2).

    .. math:: \tau_i = \beta \,/\, \left(1 - \frac{\mu_{y_i} \cdot e_i}{\|\mu_{y_i}\| \|e_i\|}\right)

    Cosine distance lies in ``[0, 2]``, so the cap is never below ``beta / 2``.

    Args:
        embeddings: Pre-head embeddings, float, shape ``(N, D)``; used in float32.
        labels: Class indices, int64, shape ``(N,)``. A negative one (ignored by the loss) gets no cap.
        centroids: Mean embedding of each class, shape ``(C, D)``; a row of NaN stands for a class not known yet.
        beta: Noise tolerance in nats, positive: higher caps less.

    Returns:
        Caps in nats, float32, shape ``(N,)``; ``inf`` where the class has no centroid or the distance is below 1e-6.

    Raises:
        ValueError: If ``beta`` is not positive or a shape does not fit.

    Example:
        >>> centroids = torch.tensor([[1.0, 0.0], [float("nan"), float("nan")]])
        >>> cosine_cap(torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]]), torch.tensor([0, 0, 1]), centroids)
        tensor([inf, 1., inf])
    """
    _check(embeddings, labels, centroids, beta)
    if embeddings.requires_grad or centroids.requires_grad:
        embeddings, centers, counted = _paired(embeddings, labels, centroids)
        similarity = torch.nn.functional.cosine_similarity(embeddings, centers, dim=1)
    else:  # of contiguous rows the same to the bit in a third of the time: none is copied or normalised that need not be
        is_few = len(centroids) < len(labels)
        if is_few:
            centroids = centroids.float() / _lengths(centroids.float())
        embeddings, centers, counted = _paired(embeddings, labels, centroids)
        if not is_few:
            centers.div_(_lengths(centers))
        similarity = centers.mul_(embeddings / _lengths(embeddings)).sum(dim=1)
    return _inverse(1 - similarity, counted, beta)


def euclidean_cap(embeddings: Tensor, labels: Tensor, centroids: Tensor, beta: float = 1.0) -> Tensor:
    r"""Cap by Euclidean distance to the centroid of the sample's class (the paper's appendix A).

    .. math:: \tau_i = \beta \,/\, \|\mu_{y_i} - e_i\|

    Arguments, result and errors are those of :func:`cosine_cap`; ``beta`` is in nats times the unit of the embedding.

    Example:
        >>> euclidean_cap(torch.tensor([[3.0, 4.0]]), torch.tensor([0]), torch.zeros(1, 2), beta=10.0)
        tensor([2.])
    """
    _check(embeddings, labels, centroids, beta)
    embeddings, centers, counted = _paired(embeddings, labels, centroids)
    return _inverse(torch.linalg.vector_norm(embeddings - centers, dim=1), counted, beta)


def _check(embeddings: Tensor, labels: Tensor, centroids: Tensor, beta: float) -> None:
    if not beta > 0:
        raise ValueError(f"beta must be positive; got {beta}.")
    if embeddings.ndim != 2 or centroids.ndim != 2 or embeddings.shape[1] != centroids.shape[1]:
        raise ValueError(
            "embeddings of shape (N, D) and centroids of shape (C, D) are wanted, of one D; got "
            f"{tuple(embeddings.shape)} and {tuple(centroids.shape)}. Has the classifier's input changed since the centroids were made?"
        )
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"labels must have shape {(len(embeddings),)}, one for each row of embeddings; got {tuple(labels.shape)}. Embeddings "
            "of another batch? The tracker holds those of the model's last forward."
        )


def _paired(embeddings: Tensor, labels: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each embedding with (a copy of) the centroid of its class, both float32, ``(N, D)``; and which rows have one, ``(N,)``.

    Without a gradient the centroid of a row that has one may still be NaN, which no comparison finds near or far.
    """
    embeddings = embeddings.float()
    centers = centroids.float().index_select(0, labels.clamp(min=0))  # on the CPU several times faster than indexing
    counted = labels >= 0
    if embeddings.requires_grad:  # NaN would reach the gradient even where its value is dropped
        known = ~centers[:, 0].isnan()
        centers, counted = torch.where(known[:, None], centers, embeddings.detach()), counted & known
    return embeddings, centers, counted


def _lengths(rows: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return lengths.clamp_min_(1e-8)


def _inverse(distance: Tensor, counted: Tensor, beta: float) -> Tensor:
    far = counted & (distance > _SAME_POINT)  # NaN, of a class without centroid, is not
    # divided by 1 and not by 0 where it is dropped: that gradient would be NaN until it is, which anomaly detection refuses
    return (beta / distance.masked_fill(~far, 1)).masked_fill(~far, torch.inf)


CAPS = {"cosine": cosine_cap, "euclidean": euclidean_cap}
