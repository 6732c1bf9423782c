"""Exact nearest neighbours by blocked matrix products, on the GPU if there is one."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor

_SPARE = 8  # candidates beyond k: float32 may put a close race in the wrong order
_SAFETY = 8  # times the float32 error seen among the candidates of a query
_ROWS_OF_A_THREAD = 128  # fewer would cost as much for the queries, which each thread converts, as for the products
_ONE_SEARCH = threading.Lock()
_COLUMNS = 1024  # as many products of two values of [-128, 127] add up to 2**24 at most, which float32 holds exactly


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
        queries: Indices of the rows to search for, int64, shape ``(q,)``.
        k: Number of neighbours, in ``[1, n - 1]``.
        device: Where the matrix products run; on the CPU with at most ``torch.get_num_threads()`` threads. Those of uint8 rows
            are numpy's there, and while they run, numpy's BLAS has a single thread in the whole process.
        block_bytes: Memory for one block of rows or distances; a handful are held at a time.

    Returns:
        Indices of rows, nearest first, int64, shape ``(q, k)``, on the CPU.

    Raises:
        ValueError: If ``k`` is out of range or ``rows`` holds NaN or infinity.

    Example:
        >>> nearest_neighbors(torch.tensor([[0.0], [1.0], [3.0], [3.0]]), torch.tensor([0, 2]), k=2)
        tensor([[1, 2],
                [3, 1]])
    """
    n, width = rows.shape
    if not 1 <= k <= n - 1:
        raise ValueError(f"k must be in [1, {n - 1}], for {n} rows of which none is its own neighbour; got {k}.")
    if rows.dtype == torch.uint8:
        return _nearest_bytes(rows, queries, k, max(1, int((block_bytes / 8) ** 0.5)), device)
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


def _nearest_bytes(rows: Tensor, queries: Tensor, k: int, block: int, device: torch.device | str) -> Tensor:
    """The neighbours of uint8 rows, all distances exact."""
    n = len(rows)
    found = [torch.empty(0, k, dtype=torch.int64)]
    on_cpu = torch.device(device).type == "cpu"
    with _threads_of_numpy() if on_cpu else nullcontext(byte_distances_by_torch) as distances:
        for index in queries.split(block):
            query = rows[index].to(device)
            nearest = torch.empty(len(index), 0, dtype=torch.int64, device=device)
            for start in range(0, n, block):
                distance = distances(query, rows[start : start + block].to(device))
                # distance first and index second in one number, so that equal distances keep the order of their index
                key = distance.long().mul_(n).add_(torch.arange(start, start + distance.shape[1], device=device))
                _put_itself_last(key, index, start, torch.iinfo(torch.int64).max)
                nearest = torch.cat([nearest, key], 1)
                nearest = nearest.topk(min(k, nearest.shape[1]), largest=False).values
            found.append((nearest % n).cpu())
    return torch.cat(found)


def byte_distances_by_torch(query: Tensor, pool: Tensor) -> Tensor:
    """Squared distance of each query to each row of the pool, both uint8, exact in float64, ``(q, b)``."""
    distance = torch.zeros(len(query), len(pool), dtype=torch.float64, device=query.device)
    for some, others in zip(query.split(_COLUMNS, 1), pool.split(_COLUMNS, 1), strict=True):
        some, others = some.float().sub_(128), others.float().sub_(128)
        distance += some.square().sum(1, keepdim=True).double() + others.square().sum(1).double()
        distance.sub_(some @ others.T, alpha=2)
    return distance


def byte_distances_by_numpy(query: Tensor, pool: Tensor, threads: Executor) -> Tensor:
    """The same for the CPU, where numpy's BLAS needs two thirds of the time of torch's if the processor is not Intel's."""
    distance = np.zeros((len(query), len(pool)))
    shares = min(torch.get_num_threads(), -(-len(pool) // _ROWS_OF_A_THREAD))
    parts = pool.tensor_split(shares), np.array_split(distance, shares, axis=1)
    list(threads.map(partial(_put_byte_distances, query), *parts))
    return torch.from_numpy(distance)


@contextmanager
def _threads_of_numpy() -> Iterator[Callable[[Tensor, Tensor], Tensor]]:
    """:func:`byte_distances_by_numpy` with threads that work on rows of their own.

    Threads of the BLAS would share each product and wait for each other at every one of them, which takes fifteen times as long
    where other processes want the processor too. So the BLAS keeps to one thread meanwhile.
    """
    one_thread = partial(ThreadpoolController().limit, limits=1, user_api="blas")
    # The limit is the process's: of two searches at once the one that ends last would restore the limit of the other. Where
    # the BLAS is built on OpenMP it is each thread's, so every thread sets it.
    with _ONE_SEARCH, one_thread(), ThreadPoolExecutor(torch.get_num_threads(), initializer=one_thread) as threads:
        yield partial(byte_distances_by_numpy, threads=threads)


def _put_byte_distances(query: Tensor, pool: Tensor, distance: NDArray[np.float64]) -> None:
    """Write the squared distances into ``distance``, which is zero."""
    query_squares, pool_squares = np.zeros(len(query)), np.zeros(len(pool))
    for parts in zip(query.split(_COLUMNS, 1), pool.split(_COLUMNS, 1), strict=True):
        some, others = (np.subtract(part.numpy(), 128, dtype=np.float32) for part in parts)
        query_squares += np.einsum("ij,ij->i", some, some)
        pool_squares += np.einsum("ij,ij->i", others, others)
        distance -= some @ others.T
    distance *= 2
    distance += query_squares[:, None]
    distance += pool_squares


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
