"""Nearest neighbours of rows of bytes, all distances exact: float32 adds up 1,024 products of two bytes without rounding."""

import itertools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor

_COLUMNS = 1024  # as many products of two values of [-128, 127] add up to 2**24 at most, which float32 holds exactly
_FAR = np.iinfo(np.int64).max
# rows that a thread compares with as many: what fits its cache, and what a thread is worth waking for
_MOST_ROWS, _LEAST_ROWS = 256, 64
_one_search = threading.Lock()  # of the process, as the limit that it guards


def nearest_bytes(
    rows: Tensor, queries: Tensor, k: int, *, device: torch.device | str = "cpu", block: int = 4096
) -> Tensor:
    """:func:`~clesmote_losses.smote.neighbors.nearest_neighbors` of uint8 rows, by at most ``block`` x ``block`` distances."""
    if torch.device(device).type == "cpu":
        return _by_numpy(rows, queries, k, block)
    return _by_torch(rows, queries, k, block, device)


def _by_torch(rows: Tensor, queries: Tensor, k: int, block: int, device: torch.device | str) -> Tensor:
    n = len(rows)
    found = [torch.empty(0, k, dtype=torch.int64)]
    for index in queries.split(block):
        query, itself = rows[index].to(device), index.to(device)[:, None]
        nearest = torch.empty(len(index), 0, dtype=torch.int64, device=device)
        for start in range(0, n, block):
            distance = byte_distances_by_torch(query, rows[start : start + block].to(device))
            pool = torch.arange(start, start + distance.shape[1], device=device)
            # distance first and index second in one number, so that equal distances keep the order of their index
            key = distance.long().mul_(n).add_(pool).masked_fill_(itself == pool, _FAR)
            nearest = torch.cat([nearest, key], 1).topk(min(k, nearest.shape[1] + key.shape[1]), largest=False).values
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


def _by_numpy(rows: Tensor, queries: Tensor, k: int, block: int) -> Tensor:
    """For the CPU, where numpy's BLAS needs two thirds of the time of torch's if the processor is not Intel's.

    Each thread takes blocks of its own. Threads of the BLAS would share each product and wait for each other at every one of
    them, which takes fifteen times as long where other processes want the processor too.
    """
    pixels, asked, n = rows.numpy(), queries.numpy(), len(rows)
    block = min(block, max(_LEAST_ROWS, min(_MOST_ROWS, -(-n // torch.get_num_threads()))))
    nearest = np.full((len(asked), k), _FAR)  # distance * n + index, as in _by_torch
    merging = threading.Lock()

    def put(place: slice, distance: NDArray[np.float64], pool: NDArray[np.int64]) -> None:
        key = distance.astype(np.int64)
        key *= n
        key += pool
        key[asked[place, None] == pool] = _FAR
        key = np.partition(key, min(k, key.shape[1]) - 1, axis=1)[:, :k]
        with merging:
            nearest[place] = np.partition(np.concatenate([nearest[place], key], axis=1), k - 1, axis=1)[:, :k]

    def search(query: slice, pool: slice) -> None:
        distance = byte_distances_by_numpy(pixels, asked[query], indices[pool])
        put(query, distance, indices[pool])
        if is_symmetric and query != pool:
            put(pool, distance.T, indices[query])

    indices = np.arange(n)
    is_symmetric = np.array_equal(asked, indices)  # the distances of two blocks serve both
    places, pools = ([slice(i, i + block) for i in range(0, size, block)] for size in (len(asked), n))
    pairs = itertools.product(places, pools)
    _in_threads(search, (pair for pair in pairs if not is_symmetric or pair[0].start <= pair[1].start))
    nearest.sort(axis=1)
    return torch.from_numpy(nearest % n)


def byte_distances_by_numpy(
    pixels: NDArray[np.uint8], query: NDArray[np.int64], pool: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Squared distance of each of some rows, given by their indices, to each of others, exact in float64, ``(q, b)``."""
    distance, query_squares, pool_squares = np.zeros((len(query), len(pool))), np.zeros(len(query)), np.zeros(len(pool))
    for start in range(0, pixels.shape[1], _COLUMNS):
        columns = pixels[:, start : start + _COLUMNS]
        some, others = (np.subtract(columns[index], 128, dtype=np.float32) for index in (query, pool))
        query_squares += np.einsum("ij,ij->i", some, some)
        pool_squares += np.einsum("ij,ij->i", others, others)
        distance -= some @ others.T
    distance *= 2
    distance += query_squares[:, None]
    distance += pool_squares
    return distance


def _in_threads(work: Callable[..., None], arguments: Iterable[tuple[Any, ...]]) -> None:
    """Call ``work`` with each of the arguments in as many threads as torch uses; numpy's BLAS keeps to one meanwhile."""
    waiting, taking, is_over = iter(arguments), threading.Lock(), threading.Event()

    def one_after_another() -> None:
        while not is_over.is_set():
            with taking:
                given = next(waiting, None)
            if given is None:
                return
            work(*given)

    count = torch.get_num_threads()
    one_thread = partial(ThreadpoolController().limit, limits=1, user_api="blas")
    # The limit is the process's: of two searches at once the one that ends last would restore the limit of the other. Where
    # the BLAS is built on OpenMP it is each thread's, so every thread sets it.
    with _one_search, one_thread(), ThreadPoolExecutor(count, initializer=one_thread) as threads:
        ends = [threads.submit(one_after_another) for _ in range(count)]
        try:
            wait(ends, return_when=FIRST_EXCEPTION)
        finally:
            is_over.set()  # after an error or Ctrl-C too
        for end in ends:
            end.result()


def _forget_the_searches_of_the_parent() -> None:
    global _one_search
    _one_search = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing is forked
    os.register_at_fork(after_in_child=_forget_the_searches_of_the_parent)
