"""Nearest neighbours against a float64 search by brute force."""

import tracemalloc

import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from clesmote_losses.smote.neighbors import nearest_neighbors

GENERATOR = torch.Generator().manual_seed(0)
POINTS = {
    "float32": torch.randn(200, 30, generator=GENERATOR),
    "float64": torch.randn(200, 30, generator=GENERATOR, dtype=torch.float64),
    "float16": torch.randn(200, 30, generator=GENERATOR).half(),
    "uint8": torch.randint(0, 256, (200, 30), generator=GENERATOR, dtype=torch.uint8),
    "uint8, wide": torch.randint(0, 256, (60, 2500), generator=GENERATOR, dtype=torch.uint8),
    "black and white, wide": 255 * torch.randint(0, 2, (60, 2500), generator=GENERATOR, dtype=torch.uint8),
    "uint8, many ties": torch.randint(0, 3, (200, 2), generator=GENERATOR, dtype=torch.uint8),
    "int8": torch.randint(-128, 128, (200, 30), generator=GENERATOR, dtype=torch.int8),
    "int32": torch.randint(-(10**6), 10**6, (200, 30), generator=GENERATOR, dtype=torch.int32),
    "int64": torch.randint(-(2**40), 2**40, (200, 30), generator=GENERATOR),
    "bool": torch.randint(0, 2, (200, 30), generator=GENERATOR).bool(),
    "float32, wide": torch.randn(60, 2500, generator=GENERATOR),
    "int16": torch.randint(-3000, 3000, (200, 30), generator=GENERATOR, dtype=torch.int16),
    "many ties": torch.randint(0, 3, (200, 2), generator=GENERATOR),
    "all alike": torch.ones(30, 4),
    "all alike, uint8": torch.ones(30, 4, dtype=torch.uint8),
    "zeros of both signs": torch.where(torch.randn(30, 4, generator=GENERATOR) > 0, 0.0, -0.0),
    "some zero rows": torch.randn(60, 4, generator=GENERATOR) * (torch.arange(60) % 3 > 0)[:, None],
    "duplicates": torch.randn(20, 4, generator=GENERATOR)[torch.randint(0, 20, (100,), generator=GENERATOR)],
    "duplicates far from zero": 1e4 + 1e-3 * torch.randn(9, 4).repeat(11, 1),
    "wide duplicates": torch.randn(20, 1500, generator=GENERATOR)[torch.randint(0, 20, (100,), generator=GENERATOR)],
    "subnormal": torch.randn(60, 4, generator=GENERATOR) * 1e-40,
    "huge": torch.randn(60, 4, generator=GENERATOR) * 5e37,  # float32 cannot hold their squares
    "one far away": torch.cat([torch.randn(60, 4, generator=GENERATOR), torch.full((1, 4), 1e12)]),
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
    assert torch.equal(nearest_neighbors(rows, torch.arange(len(rows)), 2), naive(rows, torch.arange(len(rows)), 2))
    assert not (found == queries[:, None]).any()  # nor itself, though all may be alike


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")
@pytest.mark.parametrize("scale", [1e200, 1e-200])  # squares are infinite, or zero
def test_rows_whose_distances_float64_cannot_hold_are_in_the_order_of_their_index(scale: float) -> None:
    rows = scale * (1 + torch.rand(20, 3, dtype=torch.float64)) * torch.tensor([[1.0], [-1.0]]).repeat(10, 1)
    found = nearest_neighbors(rows, torch.tensor([0, 7]), 19)
    others = [[i for i in range(20) if i != query] for query in (0, 7)]
    assert found.tolist() == others


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_neighbors_hold_no_more_memory_than_some_blocks(dtype: torch.dtype) -> None:
    rows = torch.ones(150, 1500, dtype=dtype)  # all are candidates of all: 1.8 MB as float64
    tracemalloc.start()
    nearest_neighbors(rows, torch.arange(20), 3, block_bytes=2**16)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * 2**16  # torch's own memory is not seen


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_no_query_no_neighbors(dtype: torch.dtype) -> None:
    assert nearest_neighbors(torch.zeros(4, 2, dtype=dtype), torch.empty(0, dtype=torch.long), 2).shape == (0, 2)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_features_that_are_not_finite_are_refused(value: float) -> None:
    rows = torch.randn(10, 3)
    rows[4, 1] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        nearest_neighbors(rows, torch.arange(10), 2)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_no_queries_have_no_neighbors(dtype: torch.dtype) -> None:
    found = nearest_neighbors(torch.ones(10, 3, dtype=dtype), torch.tensor([], dtype=torch.int64), 4)
    assert found.shape == (0, 4)
    assert found.dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("query", [-1, 10])
def test_a_query_that_is_no_row_is_refused(query: int, dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=rf"queries must be indices of rows, in \[0, 10\); got {min(query, 3)} to"):
        nearest_neighbors(torch.ones(10, 3, dtype=dtype), torch.tensor([3, query]), 4)


@pytest.mark.parametrize("k", [0, 10])
def test_k_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=r"k must be in \[1, 9\]"):
        nearest_neighbors(torch.randn(10, 3), torch.arange(10), k)
