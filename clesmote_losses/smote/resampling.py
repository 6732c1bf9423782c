"""imbalanced-learn run on the identity matrix, so that its result holds recipes and not images.

One row stands for each real sample, and a neighbour search of ours is its ``k_neighbors``. A row of the result is then
``1 - lambda`` at the base and ``lambda`` at the neighbour. Only public API is used, and the draws are imbalanced-learn's.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    """Recipes of the synthetic samples, sparse ``(S, N)``, and the group of each."""
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
    """k-NN estimator on rows of an identity matrix: the place of the 1 is the index of the real sample."""

    def __init__(self, wanted: Any, search: Search) -> None:
        self.n_neighbors = neighbor_count(wanted) + 1  # the sample itself counts, as in imbalanced-learn
        self._wanted, self._search = wanted, search

    def __sklearn_clone__(self) -> "_IdentityNeighbors":
        return _IdentityNeighbors(self._wanted, self._search)

    def fit(self, rows: Any, y: Any = None) -> "_IdentityNeighbors":
        self._pool = rows.indices.astype(np.int64)
        return self

    def kneighbors(self, rows: Any, n_neighbors: int | None = None, return_distance: bool = False) -> Indices:
        """Positions in the pool, ``(q, n)``; the query itself first."""
        table = self._search(rows.indices.astype(np.int64), self._pool, self._wanted)
        return np.searchsorted(self._pool, table)

    def kneighbors_graph(self) -> None:
        """Never called; imbalanced-learn takes an estimator only if it has this method."""


class NeighborSearch:
    """Answers imbalanced-learn's questions from features that are read when first needed, and keeps the answers."""

    def __init__(
        self,
        features: NDArray[Any] | Tensor | RowsOf,
        groups: NDArray[Any],
        sampler: Any,
        small_class: SmallClass,
        device: torch.device | str,
    ) -> None:
        if not callable(features):
            matrix = torch.as_tensor(features)
            if matrix.ndim != 2 or len(matrix) != len(groups):
                raise ValueError(
                    f"features must have shape ({len(groups)}, D), a row for each sample; got {tuple(matrix.shape)}."
                )
            features = matrix.__getitem__
        self._rows_of: Callable[[Any], Tensor] = features
        self._groups, self._small_class, self._device = groups, small_class, device
        self._fills_k = type(sampler).__name__ == "ADASYN"
        self._read: Indices = np.empty(0, dtype=np.int64)
        self.tables: list[Table] = []

    def __call__(self, queries: Indices, pool: Indices, wanted: Any) -> Table:
        table = np.concatenate([queries[:, None], self._neighbors(queries, pool, wanted)], axis=1).astype(np.int32)
        self.tables.append(table)
        return table

    def _neighbors(self, queries: Indices, pool: Indices, wanted: Any) -> Indices:
        k, available = neighbor_count(wanted), len(pool) - 1
        if available < k and self._small_class == "error":
            raise ValueError(
                f"{k} neighbours are wanted among {available} other samples: lower k_neighbors or m_neighbors."
            )
        if available < k and self._small_class == "duplicate":
            return np.repeat(queries[:, None], k, axis=1)
        rows = self._rows(pool)
        positions = np.searchsorted(pool, queries)
        if hasattr(wanted, "kneighbors"):
            found = _ask(wanted, rows, positions, min(k, available))
        else:
            found = nearest_neighbors(rows, torch.from_numpy(positions), min(k, available), device=self._device).numpy()
        neighbors = pool[found]
        # ADASYN draws among k columns, whatever it is given
        return neighbors[:, np.arange(k) % available] if self._fills_k else neighbors

    def _rows(self, pool: Indices) -> Tensor:
        """Features of the pool; those read last are kept, since ADASYN asks for all, then for a class, again and again."""
        if not np.isin(pool, self._read, assume_unique=True).all():
            self._rows_read = torch.empty(0)  # the rows of one class at a time are enough
            rows = self._rows_of(pool)
            self._read, self._rows_read = pool, rows.to(_INDEXABLE.get(rows.dtype, rows.dtype))
        if len(pool) == len(self._read):
            return self._rows_read
        return self._rows_read[torch.from_numpy(np.searchsorted(self._read, pool))]


def _ask(estimator: Any, rows: Tensor, positions: Indices, k: int) -> Indices:
    """Neighbours by the user's own estimator; a sample is taken out of its own neighbours wherever it comes."""
    from sklearn.base import clone

    matrix = rows.numpy()
    found = clone(estimator).fit(matrix).kneighbors(matrix[positions], n_neighbors=k + 1, return_distance=False)
    is_self = found == positions[:, None]
    is_self[~is_self.any(1), -1] = True  # crowded out by duplicates: the farthest goes
    others: Indices = found[~is_self].reshape(len(positions), k)
    return others


class ReplayedSearch:
    """Answers imbalanced-learn's questions with the tables of an earlier search, in the same order."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables: Iterator[Table] = iter(tables)

    def __call__(self, queries: Indices, pool: Indices, wanted: Any) -> Table:
        table = next(self._tables, None)
        if table is None or not np.array_equal(table[:, 0], queries):
            raise ValueError(
                "the plan was made by another sampler or for another data set, so nothing can be drawn from it anew."
            )
        return table


def neighbor_count(k: Any) -> int:
    """Neighbours besides the sample itself; an estimator's ``n_neighbors`` counts the sample too, as in imbalanced-learn."""
    count = int(k) if isinstance(k, int | np.integer) else int(k.n_neighbors) - 1
    if count < 1:
        raise ValueError(
            f"k_neighbors and its like must ask for at least 1 neighbour besides the sample itself; got {k!r}."
        )
    return count
