"""Exact nearest neighbours: matrix products find the candidates, distances put them in order."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ROWS = 1024  # of the pool in one product: the result stays in the processor's cache
_COLUMNS = 1024  # the largest number of products of two values in [-128, 127] that float32 always adds up exactly


def nearest_neighbors(
    rows: Tensor, queries: Tensor, k: int, *, device: torch.device | str = "cpu", block_bytes: int = 2**27
) -> Tensor:
    """Find the ``k`` rows nearest to each query row by Euclidean distance, never the row itself.

    Distances are exact for uint8 rows, and float64 sums of squared differences for others. Equal distances are in the order
    of their index. A row is never its own neighbour, also where it has duplicates.

    Args:
        rows: Feature rows, integer or float (not bfloat16, which numpy lacks), shape ``(n, D)``, on the CPU.
        queries: Indices of the rows to search for, int64, in ``[0, n)``, shape ``(q,)``.
        k: Number of neighbours, in ``[1, n - 1]``.
        device: Where the matrix products run; it must support float64.
        block_bytes: Memory for one block of rows or distances; a handful of blocks are held at a time.

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
    is_exact = rows.dtype == torch.uint8
    matrix, found = rows.numpy(), np.empty((len(queries), k), dtype=np.int64)
    # Products lose the fewest digits where the rows lie around zero.
    center = np.full(width, 128, dtype=np.float32) if is_exact else matrix.mean(0, dtype=np.float64)
    if not np.isfinite(center).all():
        raise ValueError("features hold NaN or infinity, so they have no neighbours. Fix the images or features=.")
    at_once = max(1, block_bytes // (8 * max(n, min(width, _COLUMNS))))
    for start in range(0, len(queries), at_once):
        index = queries[start : start + at_once].numpy()
        distance, norms = _relative_distances(matrix, index, center, device, min(at_once, _ROWS))
        distance[np.arange(len(index)), index] = np.inf
        limit = np.partition(distance, k - 1, axis=1)[:, k - 1]
        if not is_exact:  # by at most what products and differences round (Higham 2002, section 3.1)
            limit += 4 * (width + 8) * np.finfo(np.float64).eps * (norms[index] + norms.max())
        for place, (query, row) in enumerate(zip(index, distance, strict=True)):
            # not "<=": where squares overflow to NaN, every row is a candidate
            some = np.flatnonzero(~(row > limit[place]))
            some = some[some != query]
            exact = row[some] if is_exact else _squared_distances(matrix, query, some, block_bytes)
            found[start + place] = some[exact.argsort(kind="stable")[:k]]
    return torch.from_numpy(found)


def _relative_distances(
    matrix: NDArray[Any], index: NDArray[np.int64], center: NDArray[Any], device: torch.device | str, at_once: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute squared distances less the squared norm of the query, ``(q, n)``, and squared norms of all rows, ``(n,)``."""
    norms, products = np.zeros(len(matrix)), np.zeros((len(index), len(matrix)))
    for left in range(0, matrix.shape[1], _COLUMNS):
        columns, middle = matrix[:, left : left + _COLUMNS], center[left : left + _COLUMNS]
        query = torch.from_numpy(np.subtract(columns[index], middle, dtype=center.dtype)).to(device)
        for top in range(0, len(matrix), at_once):
            pool = np.subtract(columns[top : top + at_once], middle, dtype=center.dtype)
            norms[top : top + at_once] += np.einsum("ij,ij->i", pool, pool)
            products[:, top : top + at_once] += (query @ torch.from_numpy(pool).to(device).T).cpu().numpy()
    products *= -2
    products += norms
    return products, norms


def _squared_distances(
    matrix: NDArray[Any], query: np.int64, some: NDArray[np.int64], block_bytes: int
) -> NDArray[np.float64]:
    """Compute squared distances of some rows to a query, float64, by differences."""
    parts = np.array_split(some, 1 + some.size * matrix.shape[1] * 8 // block_bytes)
    return np.concatenate([np.square(matrix[part].astype(np.float64) - matrix[query]).sum(1) for part in parts])
