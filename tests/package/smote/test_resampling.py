"""imbalanced-learn on the identity matrix, and the neighbour searches that answer it."""

from typing import Any

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors

from clesmote_losses.errors import Argument, ArgumentError
from clesmote_losses.smote.resampling import NeighborSearch, ReplayedSearch, neighbor_count, resample_identity

LINE = np.array([[0.0], [1.0], [2.1], [3.3], [4.6], [6.0]])
ALL = np.arange(6)


def search(features: Any = LINE, **options: Any) -> NeighborSearch:
    groups = np.zeros(6, dtype=np.int64)
    return NeighborSearch(
        features, groups, **{"repeats_neighbors": False, "small_class": "error", "device": "cpu", **options}
    )


class Listed(BaseEstimator):
    """An estimator that gives the neighbours it is told, nearest first."""

    def __init__(self, n_neighbors: int = 4, listed: Any = None) -> None:
        self.n_neighbors, self.listed = n_neighbors, listed

    def fit(self, rows: NDArray[Any]) -> "Listed":
        return self

    def kneighbors(self, rows: NDArray[Any], n_neighbors: int, return_distance: bool) -> NDArray[np.int64]:
        assert not return_distance
        return np.array([self.listed[int(row[0])][:n_neighbors] for row in rows])


def test_recipes_hold_two_weights_that_add_up_to_one() -> None:
    groups = np.repeat([0, 1], [9, 6])
    rows = np.random.default_rng(0).normal(size=(15, 2))
    ours = NeighborSearch(rows, groups, False, "error", "cpu")
    recipe, resampled = resample_identity(SMOTE(k_neighbors=2), groups, ours, seed=3)
    assert recipe.shape == (3, 15)
    np.testing.assert_allclose(recipe.sum(axis=1), 1)
    assert (np.diff(recipe.indptr) <= 2).all()
    assert resampled.tolist() == [1, 1, 1]


def test_tables_hold_the_query_and_then_its_neighbors_by_their_place_in_the_data_set() -> None:
    pool = np.array([1, 3, 4, 5])
    ours = search()
    assert ours(np.array([3, 5]), pool, 2).tolist() == [[3, 4, 1], [5, 4, 3]]
    assert ours(np.array([0]), ALL, 1).tolist() == [[0, 1]]
    assert [table.tolist() for table in ours.tables] == [[[3, 4, 1], [5, 4, 3]], [[0, 1]]]
    assert ours.tables[0].dtype == np.int32


# What an estimator may answer for sample 2: itself first, itself later, or crowded out by duplicates of it.
ANSWERS = {
    "itself first": ([2, 5, 0, 4], [5, 0, 4]),
    "itself second": ([5, 2, 0, 4], [5, 0, 4]),
    "itself last": ([5, 0, 4, 2], [5, 0, 4]),
    "not itself: the farthest goes": ([5, 0, 4, 3], [5, 0, 4]),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_sample_itself_or_else_the_farthest_is_dropped_from_an_estimators_answer(answer: str) -> None:
    given, expected = ANSWERS[answer]
    features = np.arange(6.0)[:, None]
    estimator = Listed(4, listed={2: given, 1: [1, 0, 3, 5]})
    assert search(features)(np.array([1, 2]), ALL, estimator).tolist() == [[1, 0, 3, 5], [2, *expected]]


def test_with_many_duplicates_an_estimators_neighbors_are_the_nearest_of_them() -> None:
    rows = np.array([[0.0], [0.0], [0.0], [0.0], [1.0], [2.0]])
    for query in range(4):  # scikit-learn may answer any three of the four at distance zero
        table = search(rows)(np.array([query]), ALL, NearestNeighbors(n_neighbors=3, algorithm="brute"))
        assert query not in table[0, 1:]
        assert (rows[table[0, 1:]] == 0).all()


def test_an_estimator_is_cloned_and_finds_what_our_search_finds() -> None:
    rows = np.random.default_rng(0).normal(size=(6, 3))
    estimator = NearestNeighbors(n_neighbors=3)
    np.testing.assert_array_equal(search(rows)(ALL, ALL, estimator), search(rows)(ALL, ALL, 2))
    assert not hasattr(estimator, "n_samples_fit_")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint16, torch.uint32, torch.uint8, torch.int64])
def test_features_of_every_dtype_are_searched(dtype: torch.dtype) -> None:
    rows = torch.tensor([[0], [1], [3], [7], [12], [20]]).to(dtype)
    assert search(rows)(np.array([1, 4]), ALL, 2).tolist() == [[1, 0, 2], [4, 3, 5]]
    assert search(lambda indices: rows.float()[indices].to(dtype))(np.array([5]), ALL[2:], 1).tolist() == [[5, 4]]


def test_rows_are_read_once_while_they_are_enough() -> None:
    read: list[list[int]] = []

    def rows_of(indices: NDArray[np.int64]) -> torch.Tensor:
        read.append(indices.tolist())
        return torch.from_numpy(LINE[indices])

    ours = search(rows_of)
    expected = search()
    for queries, pool in ((ALL, ALL), (ALL[:3], ALL[:3]), (ALL[2:], ALL[2:]), (ALL, ALL)):
        np.testing.assert_array_equal(ours(queries, pool, 2), expected(queries, pool, 2))
    assert read == [ALL.tolist()]


def test_too_few_others_are_an_error_that_names_the_arguments_or_shrunk_copied_or_repeated_as_asked() -> None:
    two = np.array([1, 4])
    with pytest.raises(
        ArgumentError, match="3 neighbours are wanted among 1 other samples: lower k_neighbors or m_"
    ) as caught:
        search()(two, two, 3)
    assert caught.value.argument == "k_neighbors"
    assert Argument("m_neighbors") in caught.value.parts
    assert search(small_class="shrink_k")(two, two, 3).tolist() == [[1, 4], [4, 1]]
    assert search(small_class="duplicate")(two, two, 3).tolist() == [[1, 1, 1, 1], [4, 4, 4, 4]]
    repeated = search(small_class="shrink_k", repeats_neighbors=True)
    assert repeated(two, two, 3).tolist() == [[1, 4, 4, 4], [4, 1, 1, 1]]
    assert repeated(ALL[:3], ALL[:3], 3).tolist() == [[0, 1, 2, 1], [1, 0, 2, 0], [2, 1, 0, 1]]


@pytest.mark.parametrize("features", [np.zeros(6), np.zeros((5, 2)), np.zeros((6, 2, 2))])
def test_features_of_another_shape_are_refused(features: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"features must have shape \(6, D\), a row for each sample; got"):
        search(features)


def test_a_replay_answers_in_order_and_refuses_other_questions() -> None:
    tables = [np.array([[0, 1], [1, 0]], dtype=np.int32), np.array([[3, 4]], dtype=np.int32)]
    replay = ReplayedSearch(tables)
    assert replay(np.array([0, 1]), ALL, 1) is tables[0]
    with pytest.raises(ValueError, match="made by another sampler or for another data set"):
        replay(np.array([4]), ALL, 1)
    with pytest.raises(ValueError, match="made by another sampler or for another data set"):
        replay(np.array([3]), ALL, 1)  # there are no more


def test_neighbors_are_counted_without_the_sample_itself() -> None:
    assert [neighbor_count(k) for k in (3, np.int64(4), NearestNeighbors(n_neighbors=6))] == [3, 4, 5]
    for none in (0, -2, NearestNeighbors(n_neighbors=1)):
        with pytest.raises(ArgumentError, match=r"k_neighbors \(and m_neighbors\) must ask for") as caught:
            neighbor_count(none)
        assert caught.value.argument == "k_neighbors"
