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


# What an estimator may answer for samples 2 and 1 with three others of six asked for.
WRONG_ANSWERS = {
    "none found": ([2, 0, 4, -1], "rows -1 to 5"),
    "unsigned -1": (np.array([2, 0, 4, 2**32 - 1], dtype=np.uint32), "rows 0 to 4294967295"),
    "a row of the whole data set": ([2, 0, 4, 6], "rows 0 to 6"),
    "itself twice": ([2, 2, 0, 4], "the same row twice"),
    "another one twice": ([2, 4, 0, 4], "the same row twice"),
    "fractions": ([2.0, 0.0, 4.0, 5.0], r"float64 of shape \(2, 4\)"),
    "too few": ([2, 0, 4], r"int64 of shape \(2, 3\)"),
    "too many": ([2, 0, 4, 1, 5], r"int64 of shape \(2, 5\)"),
    "truth values": ([True, False, True, True], r"bool of shape \(2, 4\)"),
}


class Answering(Listed):
    """An estimator that gives one answer, as an object of some library."""

    def __init__(self, n_neighbors: int = 4, listed: Any = None, wrap: Any = np.array) -> None:
        super().__init__(n_neighbors, listed)
        self.wrap = wrap

    def fit(self, rows: NDArray[Any]) -> None:  # type: ignore[override]
        """Fit, and return nothing, as some libraries do."""

    def kneighbors(self, rows: NDArray[Any], n_neighbors: int, return_distance: bool) -> Any:
        return self.wrap(self.listed)


@pytest.mark.parametrize("answer", WRONG_ANSWERS)
def test_an_estimator_that_does_not_give_other_rows_is_refused_by_name(answer: str) -> None:
    given, told = WRONG_ANSWERS[answer]
    right = np.array([1, 0, 3, 5, 4][: len(given)]).astype(np.asarray(given).dtype)
    with pytest.raises(
        ArgumentError,
        match=rf"Answering\.kneighbors\(.*must give 4 different rows of the 6.*shape \(2, 4\); it gave {told}",
    ) as raised:
        search()(np.array([2, 1]), ALL, Answering(4, np.stack([given, right])))
    assert raised.value.argument == "k_neighbors"


def test_an_estimator_that_gives_distances_too_is_refused() -> None:
    pair = Answering(4, None, lambda _: (np.zeros((2, 4)), np.zeros((2, 4), dtype=int)))
    with pytest.raises(ArgumentError, match="it gave a tuple"):
        search()(np.array([2, 1]), ALL, pair)


@pytest.mark.parametrize("wrap", [np.array, torch.tensor, list, np.uint16, np.asfortranarray])
def test_neighbors_as_integers_of_any_library_are_taken(wrap: Any) -> None:
    table = search()(np.array([2, 1]), ALL, Answering(4, [[2, 5, 0, 4], [3, 1, 0, 5]], wrap))
    assert table.tolist() == [[2, 5, 0, 4], [1, 3, 0, 5]]


def test_an_estimator_gets_numbers_whose_differences_do_not_wrap_around() -> None:
    class Subtracting(Listed):
        def fit(self, rows: NDArray[Any]) -> "Subtracting":
            self.rows = rows
            return self

        def kneighbors(self, rows: NDArray[Any], n_neighbors: int, return_distance: bool) -> NDArray[np.int64]:
            distance = ((rows[:, None] - self.rows) ** 2).sum(2)
            return distance.argsort(1, kind="stable")[:, :n_neighbors]

    rows = torch.tensor([[0], [250], [20], [128], [200], [255]])
    for dtype in (torch.uint8, torch.int16, torch.int64, torch.float64):
        table = search(rows.to(dtype))(ALL, ALL, Subtracting(3))
        np.testing.assert_array_equal(table, search(rows.to(dtype))(ALL, ALL, 2))


@pytest.mark.parametrize("wrong", ["5", 5.0, None, NearestNeighbors(n_neighbors=1), object()])
def test_what_counts_no_neighbors_is_refused(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match="must ask for at least 1 neighbour besides the sample itself"):
        neighbor_count(wrong)
