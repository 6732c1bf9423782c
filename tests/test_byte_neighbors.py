"""Neighbours of bytes: exact distances, and threads that keep out of each other's way."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from clesmote_losses import byte_neighbors
from clesmote_losses.byte_neighbors import byte_distances_by_numpy, byte_distances_by_torch, nearest_bytes

GENERATOR = torch.Generator().manual_seed(0)
POINTS = {
    "narrow": torch.randint(0, 256, (200, 30), generator=GENERATOR, dtype=torch.uint8),
    "wide": torch.randint(0, 256, (60, 2500), generator=GENERATOR, dtype=torch.uint8),
    "black and white, wide": 255 * torch.randint(0, 2, (60, 2500), generator=GENERATOR, dtype=torch.uint8),
    "many ties": torch.randint(0, 3, (200, 2), generator=GENERATOR, dtype=torch.uint8),
}


BLAS = ThreadpoolController().select(user_api="blas")


def naive_distances(query: Tensor, rows: Tensor) -> Tensor:
    return (query[:, None].double() - rows[None].double()).square().sum(2)


def naive(rows: Tensor, queries: Tensor, k: int) -> Tensor:
    distance = naive_distances(rows[queries], rows)
    distance[torch.arange(len(queries)), queries] = torch.inf
    return distance.sort(dim=1, stable=True)[1][:, :k]


@pytest.mark.parametrize("points", POINTS)
def test_distances_are_exact(points: str) -> None:
    rows = POINTS[points]
    expected = naive_distances(rows[:7], rows)
    assert torch.equal(byte_distances_by_torch(rows[:7], rows), expected)  # for a GPU
    indices = torch.arange(len(rows)).numpy()
    assert (byte_distances_by_numpy(rows.numpy(), indices[:7], indices) == expected.numpy()).all()


@pytest.mark.parametrize("device", ["cpu", "as on a GPU"])
@pytest.mark.parametrize("asked", ["all", "all, shuffled", "some", "one"])
@pytest.mark.parametrize("block", [4096, 23])
@pytest.mark.parametrize("points", POINTS)
def test_neighbors_are_those_of_a_float64_search_with_ties_by_index(
    points: str, block: int, asked: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device == "as on a GPU":
        monkeypatch.setattr(byte_neighbors, "_by_numpy", lambda *given: byte_neighbors._by_torch(*given, device="cpu"))
    rows = POINTS[points]
    shuffled = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
    queries = {"all": torch.arange(len(rows)), "all, shuffled": shuffled, "some": shuffled[:25], "one": shuffled[:1]}[
        asked
    ]
    assert torch.equal(nearest_bytes(rows, queries, 5, block=block), naive(rows, queries, 5))


def test_no_block_of_distances_is_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, computed = POINTS["wide"], []

    def watched(pixels: Any, query: Any, pool: Any) -> Any:
        computed.append(len(query) * len(pool))
        return byte_distances_by_numpy(pixels, query, pool)

    monkeypatch.setattr(byte_neighbors, "byte_distances_by_numpy", watched)
    nearest_bytes(rows, torch.arange(60), 5, block=10)
    assert sum(computed) == 10 * 10 * (6 * 7 / 2)
    computed.clear()
    nearest_bytes(rows, torch.arange(60).flip(0), 5, block=10)
    assert sum(computed) == 60 * 60


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in BLAS.info()]


@pytest.fixture
def two_blas_threads() -> Iterator[None]:
    with BLAS.limit(limits=2):
        assert set(blas_threads()) == {2}
        yield


@pytest.mark.parametrize("threads", [1, 2, 100])  # more than rows too
@pytest.mark.usefixtures("two_blas_threads")
def test_threads_take_blocks_of_their_own_and_not_shares_of_a_product(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work: list[tuple[int, list[int]]] = []

    def watched(*given: Any) -> Any:
        at_work.append((threading.get_ident(), blas_threads()))
        return byte_distances_by_numpy(*given)

    def interrupted(*given: Any, **options: Any) -> Any:  # between reading and writing what is nearest so far
        joined = concatenate(*given, **options)
        time.sleep(1e-4)
        return joined

    concatenate = np.concatenate
    monkeypatch.setattr(np, "concatenate", interrupted)
    monkeypatch.setattr(byte_neighbors, "byte_distances_by_numpy", watched)
    rows = POINTS["narrow"]
    torch.set_num_threads(threads)
    try:
        found = nearest_bytes(rows, torch.arange(200), 5, block=5)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(found, naive(rows, torch.arange(200), 5))
    assert 1 <= len({thread for thread, _ in at_work}) <= threads
    assert all(set(limits) == {1} for _, limits in at_work)
    assert set(blas_threads()) == {2}


def test_a_search_waits_for_another_whose_limit_on_the_blas_it_would_take_for_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, before = POINTS["narrow"], blas_threads()
    first_works, second_works = threading.Event(), threading.Event()
    did_overlap: list[bool] = []

    def watched(*given: Any) -> Any:
        if not first_works.is_set():
            first_works.set()
            did_overlap.append(second_works.wait(0.5))
        else:
            second_works.set()
        return byte_distances_by_numpy(*given)

    monkeypatch.setattr(byte_neighbors, "byte_distances_by_numpy", watched)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(nearest_bytes, rows, torch.arange(200), 5)
        first_works.wait()
        second = threads.submit(nearest_bytes, rows, torch.arange(200), 5)
        assert torch.equal(first.result(), second.result())
    assert second_works.is_set()
    assert did_overlap == [False]
    assert blas_threads() == before
