"""Run imbalanced-learn on the identity matrix, so that its result holds recipes and not images.

Each row stands for a real sample, and ``k_neighbors`` is a neighbour search of this package. A row of the result is then
``1 - lambda`` at the base and ``lambda`` at the neighbour. Only public API is used, and the draws are imbalanced-learn's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clesmote_losses.errors import Argument, ArgumentError
from clesmote_losses.smote.columns import advice_for_subset
from clesmote_losses.smote.neighbors import nearest_neighbors

SmallClass = Literal["error", "shrink_k", "duplicate"]
Indices = NDArray[np.int64]
Table = NDArray[np.int32]
RowsOf = Callable[[Indices], Tensor]
# numpy has no bfloat16, and torch 2.6 cannot pick rows of the wider unsigned integers
_INDEXABLE = {torch.bfloat16: torch.float32, torch.uint16: torch.int32, torch.uint32: torch.int64}
Search = Callable[[Indices, Indices, Any], Table]  # queries, pool, and k or an estimator


def resample_identity(
    sampler: Any, groups: NDArray[Any], search: Search, seed: int | str | None
) -> tuple[Any, NDArray[Any]]:
    """Return the recipes of the synthetic samples, sparse ``(S, N)``, and the group of each."""
    from scipy import sparse
    from sklearn.base import clone

    sampler = clone(sampler)
    names = [name for name in ("k_neighbors", "m_neighbors", "n_neighbors") if name in sampler.get_params(deep=False)]
    estimators = {name: _IdentityNeighbors(getattr(sampler, name), search) for name in names}
    sampler.set_params(**estimators, **({} if isinstance(seed, str) else {"random_state": seed}))
    # csr_array, not csr_matrix: BorderlineSMOTE's second kind multiplies rows elementwise
    rows, resampled = sampler.fit_resample(sparse.csr_array(sparse.identity(len(groups), format="csr")), groups)
    return sparse.csr_array(rows)[len(groups) :], resampled[len(groups) :]


class _IdentityNeighbors:
    """k-NN estimator on rows of an identity matrix: the column of the 1 is the index of the real sample."""

    def __init__(self, wanted: Any, search: Search) -> None:
        self.n_neighbors = neighbor_count(wanted) + 1  # the sample itself counts, as in imbalanced-learn
        self._wanted, self._search = wanted, search

    def __sklearn_clone__(self) -> "_IdentityNeighbors":
        return _IdentityNeighbors(self._wanted, self._search)

    def fit(self, rows: Any, y: Any = None) -> "_IdentityNeighbors":
        self._pool = rows.indices.astype(np.int64)
        return self

    def kneighbors(self, rows: Any, n_neighbors: int | None = None, return_distance: bool = False) -> Indices:
        """Find positions in the pool, ``(q, n)``; the query itself comes first."""
        table = self._search(rows.indices.astype(np.int64), self._pool, self._wanted)
        return np.searchsorted(self._pool, table)

    def kneighbors_graph(self) -> None:
        """Do nothing; imbalanced-learn takes an estimator only if it has this method."""


class NeighborSearch:
    """Find the neighbours that imbalanced-learn asks for, in features that are read when first needed.

    Args:
        features: Rows of shape ``(N, D)``, or a function that reads those of the given indices.
        groups: Class or stratum of every sample, shape ``(N,)``.
        repeats_neighbors: Whether the neighbours of a small class are repeated until there are ``k``.
        small_class: What to do where fewer than ``k`` other samples are left.
        device: Where the search runs.
        patients: Group of every sample, shape ``(N,)``; a sample of the same group is no neighbour. By default, all may be.

    Attributes:
        tables: What was found, in the order of the calls.
    """

    def __init__(
        self,
        features: NDArray[Any] | Tensor | RowsOf,
        groups: NDArray[Any],
        repeats_neighbors: bool,
        small_class: SmallClass,
        device: torch.device | str,
        patients: NDArray[Any] | None = None,
    ) -> None:
        self._patients = np.arange(len(groups)) if patients is None else patients
        if not callable(features):
            matrix = torch.as_tensor(features)
            if matrix.ndim != 2 or len(matrix) != len(groups):
                raise ValueError(
                    f"features must have shape ({len(groups)}, D), a row for each sample; got {tuple(matrix.shape)}."
                    + advice_for_subset("features", len(matrix), len(groups))
                )
            features = partial(_finite_rows, matrix.to(_INDEXABLE.get(matrix.dtype, matrix.dtype)))
        self._rows_of: Callable[[Any], Tensor] = features
        self._repeats_neighbors, self._small_class, self._device = repeats_neighbors, small_class, device
        self._read: Indices = np.empty(0, dtype=np.int64)
        self.tables: list[Table] = []

    def __call__(self, queries: Indices, pool: Indices, wanted: Any) -> Table:
        table = np.concatenate([queries[:, None], self._neighbors(queries, pool, wanted)], axis=1).astype(np.int32)
        self.tables.append(table)
        return table

    def _neighbors(self, queries: Indices, pool: Indices, wanted: Any) -> Indices:
        k, positions = neighbor_count(wanted), np.searchsorted(pool, queries)
        _, patient, sizes = np.unique(self._patients[pool], return_inverse=True, return_counts=True)
        available = len(pool) - sizes[patient[positions]]  # samples of other patients, for each query
        if (available < wanted_others(k, self._small_class)).any():
            raise ArgumentError(
                "k_neighbors",
                f"{k} neighbours are wanted among {available.min()} other samples: lower ",
                Argument("k_neighbors"),
                " or ",
                Argument("m_neighbors"),
                ".",
            )
        is_copied = available < (k if self._small_class == "duplicate" else 0)
        if is_copied.all():
            return np.repeat(queries[:, None], k, axis=1)
        rows, count = self._rows(pool), min(k, int(available.max()))
        searched = min(count + int(sizes.max()) - 1, len(pool) - 1)  # so many that enough are of other patients
        if hasattr(wanted, "kneighbors"):
            found = _ask_estimator(wanted, rows, positions, searched)
        else:
            found = nearest_neighbors(rows, torch.from_numpy(positions), searched, device=self._device).numpy()
        others_first = (patient[found] == patient[positions, None]).argsort(axis=1, kind="stable")
        # where a sample has fewer than the others, those it has are repeated
        columns = np.arange(k if self._repeats_neighbors else count) % np.clip(available, 1, count)[:, None]
        neighbors = pool[np.take_along_axis(found, np.take_along_axis(others_first, columns, axis=1), axis=1)]
        return np.where(is_copied[:, None], queries[:, None], neighbors)

    def _rows(self, pool: Indices) -> Tensor:
        """Return the features of the pool; the last read are kept, since ADASYN asks for all, then for each class."""
        if not np.isin(pool, self._read, assume_unique=True).all():
            self._rows_read = torch.empty(0)  # the rows of one class at a time are enough
            rows = self._rows_of(pool)
            self._read, self._rows_read = pool, rows.to(_INDEXABLE.get(rows.dtype, rows.dtype))
        if len(pool) == len(self._read):
            return self._rows_read
        return self._rows_read[torch.from_numpy(np.searchsorted(self._read, pool))]


def _finite_rows(matrix: Tensor, indices: Indices) -> Tensor:
    rows = matrix[indices]
    if len(bad := indices[~rows.isfinite().all(1).numpy()]):
        raise ArgumentError("features", f"features of sample {bad[0]} hold NaN or infinity, so it has no neighbours.")
    return rows


def _ask_estimator(estimator: Any, rows: Tensor, positions: Indices, k: int) -> Indices:
    """Ask the user's own estimator for neighbours, ``(q, k)``, and drop the sample itself wherever it stands.

    Raises:
        ArgumentError: If it does not answer with ``k + 1`` different rows of those it was fitted to.
    """
    from sklearn.base import clone

    if not rows.is_floating_point():  # differences of bytes would wrap around
        rows = rows.to(torch.float32 if rows.element_size() <= 2 else torch.float64)
    matrix = rows.numpy()
    fitted = clone(estimator)
    fitted.fit(matrix)
    found = fitted.kneighbors(matrix[positions], n_neighbors=k + 1, return_distance=False)
    if not isinstance(found, tuple):  # distances and neighbours, in an order that differs between libraries
        with suppress(TypeError, ValueError, RuntimeError):  # torch takes the arrays of all libraries, from the GPU too
            found = torch.as_tensor(found).cpu().numpy()
    what = _fault_of(found, (len(positions), k + 1), len(rows))
    if what is not None:
        raise ArgumentError(
            "k_neighbors",
            Argument("k_neighbors"),
            f": {type(estimator).__name__}.kneighbors(rows, n_neighbors={k + 1}, return_distance=False) must give {k + 1} different "
            f"rows of the {len(rows)} it was fitted to, as integers of shape {(len(positions), k + 1)}; it gave {what}. Let it search "
            "more (an approximate search: more cells or probes), or pass a number.",
        )
    is_self = found == positions[:, None]
    is_self[~is_self.any(1), -1] = True  # duplicates took its place: drop the farthest
    others: Indices = found[~is_self].reshape(len(positions), k).astype(np.int64)
    return others


def _fault_of(found: Any, shape: tuple[int, int], count: int) -> str | None:
    """Say what is wrong with the answer of an estimator, if anything is."""
    if not isinstance(found, np.ndarray):
        return f"a {type(found).__name__}"
    if found.shape != shape or found.dtype.kind not in "iu":
        return f"{found.dtype} of shape {found.shape}"
    if found.size and not (found.min() >= 0 and found.max() < count):
        return f"rows {found.min()} to {found.max()}"
    if (np.diff(np.sort(found, axis=1), axis=1) == 0).any():
        return "the same row twice"
    return None


class ReplayedSearch:
    """Answer imbalanced-learn with the tables of an earlier search, in the same order."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables: Iterator[Table] = iter(tables)

    def __call__(self, queries: Indices, pool: Indices, wanted: Any) -> Table:
        table = next(self._tables, None)
        if table is None or not np.array_equal(table[:, 0], queries):
            raise ValueError(
                "the plan was made by another sampler or for another data set, so no new samples can be drawn from it."
            )
        return table


def wanted_others(k: int, small_class: SmallClass) -> int:
    """Return how many other samples each sample needs, to find ``k`` neighbours."""
    return {"error": k, "shrink_k": 1, "duplicate": 0}[small_class]


def neighbor_count(k: Any) -> int:
    """Count the neighbours besides the sample itself; an estimator's ``n_neighbors`` counts it too, as in imbalanced-learn.

    Raises:
        ArgumentError: If there are none.
    """
    size = k if isinstance(k, int | np.integer) else getattr(k, "n_neighbors", None)
    count = 0 if not isinstance(size, int | np.integer) else int(size) - (size is not k)
    if count < 1:
        raise ArgumentError(
            "k_neighbors",
            Argument("k_neighbors"),
            f" (and m_neighbors) must ask for at least 1 neighbour besides the sample itself, by a number or an estimator with "
            f"n_neighbors of at least 2; got {k!r}.",
        )
    return count
