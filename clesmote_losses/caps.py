"""Caps of the paper's Eq. 2: how much a synthetic sample may cost, given how far its embedding is from its class.

A new cap is one function with the signature of :func:`cosine_cap`, and one entry of :data:`CAPS`. The loss checks the name
when it is built and looks the function up at each step, so an entry may be added at run time. The function gets embeddings
of shape ``(N, D)``, labels (negative for an ignored row), centroids of shape ``(C, D)`` (NaN for a class not known yet) and
``beta``; it returns caps of shape ``(N,)``, ``inf`` where there is none.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from clesmote_losses.errors import check_numbers

CapFunction = Callable[[Tensor, Tensor, Tensor, float], Tensor]

_SAME_POINT = 1e-6  # a smaller distance is rounding error: no cap
_SHORTEST = 1e-8  # eps of torch's cosine similarity


def cosine_cap(embeddings: Tensor, labels: Tensor, centroids: Tensor, beta: float = 1.0) -> Tensor:
    r"""Compute the cap from the cosine distance to the centroid of the sample's class (the paper's Eq. 2).

    .. math:: \tau_i = \beta \,/\, \left(1 - \frac{\mu_{y_i} \cdot e_i}{\|\mu_{y_i}\| \|e_i\|}\right)

    Cosine distance lies in ``[0, 2]``, so the cap is never below ``beta / 2``. Lengths below 1e-8 count as 1e-8, as in
    :func:`torch.nn.functional.cosine_similarity`: the cosine of a zero embedding is 0, so its cap is ``beta``.

    Args:
        embeddings: Pre-head embeddings, float, shape ``(N, D)``; used in float32.
        labels: Class indices, int64, shape ``(N,)``. A negative one (ignored by the loss) gets no cap.
        centroids: Mean embedding of each class, shape ``(C, D)``; a row of NaN stands for a class not known yet.
        beta: Noise tolerance in nats, positive: a higher one caps less.

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
    embeddings, matched, is_known = _match_centroids(embeddings, labels, centroids)
    cosine = (embeddings * matched).sum(dim=1) / (_lengths(embeddings) * _lengths(matched))
    return _cap_from_distance(1 - cosine, is_known, beta)


def euclidean_cap(embeddings: Tensor, labels: Tensor, centroids: Tensor, beta: float = 1.0) -> Tensor:
    r"""Compute the cap from the Euclidean distance to the centroid of the sample's class (the paper's appendix A).

    .. math:: \tau_i = \beta \,/\, \|\mu_{y_i} - e_i\|

    Arguments, result and errors are those of :func:`cosine_cap`; ``beta`` is in nats times the unit of the embedding.

    Example:
        >>> euclidean_cap(torch.tensor([[3.0, 4.0]]), torch.tensor([0]), torch.zeros(1, 2), beta=10.0)
        tensor([2.])
    """
    _check(embeddings, labels, centroids, beta)
    embeddings, matched, is_known = _match_centroids(embeddings, labels, centroids)
    return _cap_from_distance(torch.linalg.vector_norm(embeddings - matched, dim=1), is_known, beta)


CAPS: dict[str, CapFunction] = {"cosine": cosine_cap, "euclidean": euclidean_cap}


def _check(embeddings: Tensor, labels: Tensor, centroids: Tensor, beta: float) -> None:
    check_numbers(beta=beta)
    if not beta > 0:
        raise ValueError(f"beta must be positive; got {beta}.")
    if embeddings.ndim != 2 or centroids.ndim != 2 or embeddings.shape[1] != centroids.shape[1]:
        raise ValueError(
            "embeddings must have shape (N, D) and centroids shape (C, D), with one D; got "
            f"{tuple(embeddings.shape)} and {tuple(centroids.shape)}. Has the classifier's input changed since the centroids were "
            "computed?"
        )
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"labels must have shape {(len(embeddings),)}, one for each row of embeddings; got {tuple(labels.shape)}. Embeddings "
            "of another batch? The tracker holds those of the model's last forward pass."
        )


def _match_centroids(embeddings: Tensor, labels: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return embeddings and the centroid of each one's class, float32, ``(N, D)``, and which centroids are known, ``(N,)``."""
    embeddings = embeddings.float()
    # on the CPU several times faster than indexing
    matched = centroids.float().index_select(0, labels.clamp(min=0))
    is_known = (labels >= 0) & ~matched[:, 0].isnan()
    if embeddings.requires_grad or matched.requires_grad:  # NaN times a zero gradient is NaN
        matched = matched.masked_fill(~is_known[:, None], 0)
    return embeddings, matched, is_known


def _lengths(rows: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return lengths.clamp(min=_SHORTEST)


def _cap_from_distance(distance: Tensor, is_known: Tensor, beta: float) -> Tensor:
    has_cap = is_known & (distance > _SAME_POINT)
    # the inner fill keeps the gradient of rows without a cap finite: 1 / 0 would make it NaN
    return (beta / distance.masked_fill(~has_cap, 1)).masked_fill(~has_cap, torch.inf)
