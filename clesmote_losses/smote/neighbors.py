"""Exact nearest neighbours by blocked matrix products, on the GPU if there is one."""

import numpy as np
import torch
from torch import Tensor

from clesmote_losses.smote.byte_neighbors import nearest_bytes

_SPARE = 8  # candidates beyond k: float32 may put a close race in the wrong order
_SAFETY = 8  # times the float32 error seen among the candidates of a query


def nearest_neighbors(
    rows: Tensor, queries: Tensor, k: int, *, device: torch.device | str = "cpu", block_bytes: int = 2**27
) -> Tensor:
    """The ``k`` rows nearest to each query row by Euclidean distance, never the row itself.

    Distances of uint8 rows are exact, by float32 products of as many columns as float32 can add without rounding. For others a
    float32 product picks a few candidates and float64 differences put them in order; where several times the float32 error seen
    among the candidates could have kept a nearer row out of them, the query is searched again in float64. Equal distances
    are in the order of their index. A row is never its own neighbour, also where duplicates of it exist.

    Args:
        rows: Feature rows, integer or float (not bfloat16, which numpy has not), shape ``(n, D)``, on the CPU.
        queries: Indices of the rows to search for, int64, in ``[0, n)``, shape ``(q,)``.
        k: Number of neighbours, in ``[1, n - 1]``.
        device: Where the matrix products run; on the CPU with at most ``torch.get_num_threads()`` threads. The products
            of uint8 rows are numpy's there, and while they run, numpy's BLAS has a single thread in the whole process.
        block_bytes: Memory for one block of rows or distances; a handful are held at a time.

    Returns:
        Indices of rows, nearest first, int64, shape ``(q, k)``, on the CPU.

    Raises:
        ValueError: If ``k`` or a query is out of range, or ``rows`` holds NaN or infinity.

    Example:
        >>> nearest_neighbors(torch.tensor([[0.0], [1.0], [3.0], [3.0]]), torch.tensor([0, 2]), k=2)
        tensor([[1, 2],
                [3, 1]])
    """
    n, width = rows.shape
    if not 1 <= k <= n - 1:
        raise ValueError(f"k must be in [1, {n - 1}], for {n} rows of which none is its own neighbour; got {k}.")
    if len(queries) == 0:
        return torch.empty(0, k, dtype=torch.int64)
    if queries.min() < 0 or queries.max() >= n:
        raise ValueError(f"queries must be indices of rows, in [0, {n}); got {queries.min()} to {queries.max()}.")
    if rows.dtype == torch.uint8:
        return nearest_bytes(rows, queries, k, device=device, block=max(1, int((block_bytes / 8) ** 0.5)))
    block = max(1, min(n, block_bytes // (4 * max(width, 1)), int((block_bytes / 4) ** 0.5)))
    # float32 keeps more digits of a distance when the rows lie around zero
    mean = torch.stack([part.double().sum(0) for part in rows.split(block)]).sum(0) / n
    if not mean.isfinite().all():
        raise ValueError(
            "features hold NaN or infinity, so they have no neighbours. Mend the images, or the features= given."
        )
    found = [torch.empty(0, k, dtype=torch.int64)]
    for index in queries.split(block):
        approximate, candidates = _candidates(rows, index, min(k + _SPARE, n - 1), block, mean.float(), device)
        exact = _exact_distances(rows, index, candidates)
        nearest, kth = _ordered(exact, candidates, k)
        error = (approximate - exact).abs().amax(1)
        is_sure = (kth < approximate.amax(1) - _SAFETY * error) | (candidates.shape[1] == n - 1)
        for i in torch.nonzero(~is_sure)[:, 0].tolist():
            others = torch.cat([torch.arange(index[i]), torch.arange(index[i] + 1, n)])
            distance = torch.cat(
                [_exact_distances(rows, index[i : i + 1], part[None]) for part in others.split(block)], dim=1
            )
            nearest[i] = _ordered(distance, others[None], k)[0]
        found.append(nearest)
    return torch.cat(found)


def _put_itself_last(distance: Tensor, index: Tensor, start: int, value: float) -> None:
    """Set the distance of each query to its own row, where that is one of the columns, which begin with row ``start``."""
    itself = torch.nonzero((index >= start) & (index < start + distance.shape[1]))[:, 0]
    distance[itself.to(distance.device), (index[itself] - start).to(distance.device)] = value


def _candidates(
    rows: Tensor, index: Tensor, m: int, block: int, mean: Tensor, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Squared distance in float32 and index of the ``m`` rows nearest to each query, both ``(q, m)`` on the CPU."""
    mean = mean.to(device)
    query = rows[index].to(device).float() - mean
    norms = query.square().sum(1, keepdim=True)
    distance = query.new_empty(len(index), 0)
    candidates = torch.empty(len(index), 0, dtype=torch.int64, device=device)
    for start in range(0, len(rows), block):
        pool = rows[start : start + block].to(device).float() - mean
        squared = torch.addmm(pool.square().sum(1), query, pool.T, alpha=-2).add_(norms)
        _put_itself_last(squared, index, start, torch.inf)
        nearest, position = squared.topk(min(m, len(pool)), dim=1, largest=False)
        distance, position_of_both = torch.cat([distance, nearest], 1).topk(
            min(m, start + len(pool)), dim=1, largest=False
        )
        candidates = torch.cat([candidates, position + start], 1).gather(1, position_of_both)
        distance, candidates = distance[:, :m], candidates[:, :m]
    return distance.cpu(), candidates.cpu()


def _exact_distances(rows: Tensor, index: Tensor, candidates: Tensor) -> Tensor:
    """Squared distance in float64 of each query to its candidates, ``(q, m)``."""
    # Query by query, since the rows of one fit the processor's cache, and in numpy: thousands of small operations of torch,
    # each spread over threads, crawl where another process wants the processor too.
    matrix = rows.numpy()
    distance = np.empty(candidates.shape)
    for i, (query, some) in enumerate(zip(index.tolist(), candidates.numpy(), strict=True)):
        distance[i] = np.square(matrix[some].astype(np.float64) - matrix[query]).sum(1)
    return torch.from_numpy(distance)


def _ordered(distance: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` nearest candidates, equal distances in the order of their index; and the k-th distance."""
    by_index = candidates.argsort(1)
    distance, candidates = distance.gather(1, by_index), candidates.gather(1, by_index)
    distance, order = distance.sort(dim=1, stable=True)
    return candidates.gather(1, order[:, :k]), distance[:, k - 1]
