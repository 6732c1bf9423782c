"""Neighbours of bytes: exact distances, and threads that keep out of each other's way."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from clesmote_losses.smote import byte_neighbors
from clesmote_losses.smote.byte_neighbors import byte_distances_by_numpy, byte_distances_by_torch, nearest_bytes

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


@pytest.fixture
def threads_of_torch() -> Iterator[Callable[[int], None]]:
    yield torch.set_num_threads
    torch.set_num_threads(1)  # as the other tests have it


@pytest.mark.parametrize("threads", [1, 2, 100])  # more than blocks too
@pytest.mark.usefixtures("two_blas_threads")
def test_threads_take_blocks_of_their_own_and_not_shares_of_a_product(
    threads: int, monkeypatch: pytest.MonkeyPatch, threads_of_torch: Callable[[int], None]
) -> None:
    at_work: list[tuple[int, list[int]]] = []
    meeting = threading.Barrier(min(threads, 2))

    def watched(*given: Any) -> Any:
        at_work.append((threading.get_ident(), blas_threads()))
        if len({thread for thread, _ in at_work}) == 1 or meeting.n_waiting:
            meeting.wait(10)  # of the first thread and another: with one alone it breaks
        return byte_distances_by_numpy(*given)

    def interrupted(*given: Any, **options: Any) -> Any:  # between reading and writing what is nearest so far
        joined = concatenate(*given, **options)
        time.sleep(1e-4)
        return joined

    concatenate = np.concatenate
    monkeypatch.setattr(np, "concatenate", interrupted)
    monkeypatch.setattr(byte_neighbors, "byte_distances_by_numpy", watched)
    rows = POINTS["narrow"]
    threads_of_torch(threads)
    found = nearest_bytes(rows, torch.arange(200), 5, block=20)
    assert torch.equal(found, naive(rows, torch.arange(200), 5))
    assert min(threads, 2) <= len({thread for thread, _ in at_work}) <= threads
    assert all(set(limits) == {1} for _, limits in at_work)
    assert set(blas_threads()) == {2}


@pytest.mark.usefixtures("two_blas_threads")
def test_after_an_error_in_a_thread_no_block_is_begun_and_the_next_search_works(
    monkeypatch: pytest.MonkeyPatch, threads_of_torch: Callable[[int], None]
) -> None:
    rows, calls = POINTS["narrow"], []

    def failing(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 2:
            raise MemoryError("no more")
        time.sleep(0.02)
        return byte_distances_by_numpy(*given)

    threads_of_torch(2)
    with monkeypatch.context() as patch:
        patch.setattr(byte_neighbors, "byte_distances_by_numpy", failing)
        with pytest.raises(MemoryError, match="no more"):
            nearest_bytes(rows, torch.arange(200), 5, block=20)
    assert len(calls) < 10 < 10 * 11 / 2  # blocks in all
    assert set(blas_threads()) == {2}
    assert torch.equal(nearest_bytes(rows, torch.arange(200), 5), naive(rows, torch.arange(200), 5))


def test_a_search_waits_for_another_whose_limit_on_the_blas_it_would_take_for_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, others, before = POINTS["narrow"], POINTS["wide"], blas_threads()
    first_works, second_works = threading.Event(), threading.Event()
    did_overlap: list[bool] = []

    def watched(pixels: Any, *given: Any) -> Any:
        if len(pixels) == len(others):
            second_works.set()
        elif not first_works.is_set():
            first_works.set()
            did_overlap.append(second_works.wait(0.5))
        return byte_distances_by_numpy(pixels, *given)

    monkeypatch.setattr(byte_neighbors, "byte_distances_by_numpy", watched)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(nearest_bytes, rows, torch.arange(200), 5)
        assert first_works.wait(10)
        second = threads.submit(nearest_bytes, others, torch.arange(60), 5)
        first.result(), second.result()
    assert second_works.is_set()
    assert did_overlap == [False]
    assert blas_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_a_process_that_was_forked_during_a_search_can_search(monkeypatch: pytest.MonkeyPatch) -> None:
    is_working, is_forked = threading.Event(), threading.Event()

    def waiting(pixels: Any, *given: Any) -> Any:
        if len(pixels) == 200:
            is_working.set()
            assert is_forked.wait(30)
        return byte_distances_by_numpy(pixels, *given)

    monkeypatch.setattr(byte_neighbors, "byte_distances_by_numpy", waiting)
    with ThreadPoolExecutor(1) as threads:
        search = threads.submit(nearest_bytes, POINTS["narrow"], torch.arange(200), 5)
        assert is_working.wait(10)
        child = get_context("fork").Process(target=nearest_bytes, args=(POINTS["wide"], torch.arange(60), 5))
        child.start()
        child.join(20)
        is_forked.set()
        search.result()
    code = child.exitcode
    child.kill()
    assert code == 0
