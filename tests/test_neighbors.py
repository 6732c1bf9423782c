"""Nearest neighbours against a float64 search by brute force."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor

from clesmote_losses import neighbors
from clesmote_losses.neighbors import byte_distances_by_numpy, byte_distances_by_torch, nearest_neighbors

GENERATOR = torch.Generator().manual_seed(0)
POINTS = {
    "float32": torch.randn(200, 30, generator=GENERATOR),
    "float64": torch.randn(200, 30, generator=GENERATOR, dtype=torch.float64),
    "float16": torch.randn(200, 30, generator=GENERATOR).half(),
    "uint8": torch.randint(0, 256, (200, 30), generator=GENERATOR, dtype=torch.uint8),
    "uint8, wide": torch.randint(0, 256, (60, 2500), generator=GENERATOR, dtype=torch.uint8),
    "black and white, wide": 255 * torch.randint(0, 2, (60, 2500), generator=GENERATOR, dtype=torch.uint8),
    "int16": torch.randint(-3000, 3000, (200, 30), generator=GENERATOR, dtype=torch.int16),
    "many ties": torch.randint(0, 3, (200, 2), generator=GENERATOR),
    "all alike": torch.zeros(30, 4),
    "far from zero, close together": 1e-3 * torch.randn(100, 5, generator=GENERATOR) + 1e4,
}


def naive(rows: Tensor, queries: Tensor, k: int) -> Tensor:
    rows = rows.double()
    distance = (rows[queries][:, None] - rows).square().sum(2)
    distance[torch.arange(len(queries)), queries] = torch.inf
    return distance.sort(dim=1, stable=True)[1][:, :k]


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("block_bytes", [2**27, 2**10])  # one block, and many
def test_neighbors_are_those_of_a_float64_search_with_ties_by_index(points: str, block_bytes: int) -> None:
    rows = POINTS[points]
    queries = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))[:25]
    found = nearest_neighbors(rows, queries, 5, block_bytes=block_bytes)
    assert torch.equal(found, naive(rows, queries, 5))
    assert not (found == queries[:, None]).any()  # nor itself, though all may be alike


@pytest.mark.parametrize("points", ["uint8", "uint8, wide", "black and white, wide"])
def test_distances_of_bytes_are_exact(points: str) -> None:
    rows = POINTS[points]
    expected = (rows[:7, None].double() - rows[None].double()).square().sum(2)
    assert torch.equal(byte_distances_by_torch(rows[:7], rows), expected)  # on a GPU
    with ThreadPoolExecutor(1) as threads:
        assert torch.equal(byte_distances_by_numpy(rows[:7], rows, threads), expected)


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture
def two_blas_threads() -> Iterator[None]:
    with threadpool_limits(2, user_api="blas"):
        assert set(blas_threads()) == {2}
        yield


@pytest.mark.parametrize(
    ("threads", "shares"), [(1, [60]), (2, [30, 30]), (8, [20, 20, 20])]
)  # 25 rows for each or fewer
@pytest.mark.usefixtures("two_blas_threads")
def test_threads_share_the_rows_and_not_the_products(
    threads: int, shares: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, list[int]]] = []
    put = neighbors._put_byte_distances

    def watched(query: Tensor, pool: Tensor, distance: Any) -> None:
        seen.append((len(pool), blas_threads()))
        put(query, pool, distance)

    monkeypatch.setattr(neighbors, "_put_byte_distances", watched)
    monkeypatch.setattr(neighbors, "_ROWS_OF_A_THREAD", 25)
    rows = POINTS["uint8, wide"]
    torch.set_num_threads(threads)
    try:
        found = nearest_neighbors(rows, torch.arange(60), 5)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(found, naive(rows, torch.arange(60), 5))
    assert [count for count, _ in seen] == shares
    assert all(set(limits) == {1} for _, limits in seen)
    assert set(blas_threads()) == {2}


def test_a_search_waits_for_another_whose_limit_on_the_blas_it_would_take_for_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, before = POINTS["uint8"], blas_threads()
    first_works, second_works = threading.Event(), threading.Event()
    put, calls, did_overlap = neighbors._put_byte_distances, iter(range(2)), []

    def watched(*given: Any) -> None:
        if next(calls) == 0:
            first_works.set()
            did_overlap.append(second_works.wait(0.5))
        else:
            second_works.set()
        put(*given)

    monkeypatch.setattr(neighbors, "_put_byte_distances", watched)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(nearest_neighbors, rows, torch.arange(200), 5)
        first_works.wait()
        second = threads.submit(nearest_neighbors, rows, torch.arange(200), 5)
        assert torch.equal(first.result(), second.result())
    assert second_works.is_set()
    assert did_overlap == [False]
    assert blas_threads() == before


@pytest.mark.parametrize("k", [1, 8, 29])
def test_any_k_up_to_all_others(k: int) -> None:
    rows = torch.randn(30, 3)
    assert torch.equal(nearest_neighbors(rows, torch.arange(30), k), naive(rows, torch.arange(30), k))


def test_neighbors_are_those_of_scikit_learn() -> None:
    rows = torch.randn(300, 64)
    search = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(rows.double().numpy())
    expected = search.kneighbors(return_distance=False)  # without the sample itself
    assert (nearest_neighbors(rows, torch.arange(300), 6).numpy() == expected).all()


def test_a_duplicate_is_a_neighbor_and_the_sample_itself_is_not() -> None:
    rows = torch.tensor([[1.0, 2.0], [5.0, 5.0], [1.0, 2.0], [9.0, 9.0]])
    assert nearest_neighbors(rows, torch.tensor([0, 2]), 1).tolist() == [[2], [0]]


def test_no_query_no_neighbors() -> None:
    assert nearest_neighbors(torch.randn(4, 2), torch.empty(0, dtype=torch.long), 2).shape == (0, 2)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_features_that_are_not_finite_are_refused(value: float) -> None:
    rows = torch.randn(10, 3)
    rows[4, 1] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        nearest_neighbors(rows, torch.arange(10), 2)


@pytest.mark.parametrize("k", [0, 10])
def test_k_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=r"k must be in \[1, 9\]"):
        nearest_neighbors(torch.randn(10, 3), torch.arange(10), k)
