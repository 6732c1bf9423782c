"""Draw the samples of a plan: SMOTE's, or blends of any two images of a class, and plain copies that stay real."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.smote.draw_options import recorded_draws
from clesmote_losses.smote.resampling import Search, Table, resample_identity

Samples = dict[str, NDArray[Any]]


def draw_samples(
    sampler: Any,
    options: Mapping[str, Any],
    groups: NDArray[Any],
    search: Search,
    tables: Sequence[Table],
    seed: int | str | None,
    patients: NDArray[Any] | None = None,
) -> Samples:
    """Draw base, neighbour, lambda and flag of every sample of a plan.

    Args:
        sampler: Of imbalanced-learn.
        options: Of the plan.
        groups: Class or stratum of every real sample, shape ``(N,)``.
        search: Answers the sampler's questions for neighbours.
        tables: Answers of the search; those that it makes now may be among them.
        seed: Of this draw; a text if the sampler's own random state is used.
        patients: Group of every real sample, of which no two are blended, shape ``(N,)``; the neighbours that a search found
            are so already.

    Raises:
        ValueError: If ``patients`` are missing.
    """
    from sklearn.base import clone

    draws, sampler = recorded_draws(options), clone(sampler)
    rng = _generator(sampler.random_state, seed)
    wanted: dict[Any, int] = dict(draw_counts(options, groups))
    if draws.partners == "any":
        if "groups" in options and patients is None:
            raise ValueError("the plan was made with groups=, so a new draw needs them too: pass groups=.")
        samples = _any_two(wanted, groups, patients, rng)
    else:
        if draws.blend == "all":
            sampler.set_params(
                sampling_strategy={group: n + int((groups == group).sum()) for group, n in wanted.items()}
            )
        recipe, resampled = resample_identity(sampler, groups, search, seed)
        samples = _samples_of(recipe, resampled, groups, tables)
    samples["is_synthetic"] = np.ones(len(samples["base"]), dtype=bool)
    drawn = groups[samples["base"]]
    raised: dict[Any, int] = dict(options["n_samples"])
    for group in wanted if draws.real_share is not None or draws.blend == "all" else ():
        rows, images = np.flatnonzero(drawn == group), np.flatnonzero(groups == group)
        copies = raised.get(group, 0)
        if draws.real_share is not None:
            total = len(images) + len(rows)
            copies = max(0, math.ceil(draws.real_share * total - 1e-9) - len(images))  # .1 * 30 is above 3
        _keep_real(samples, rows, images, copies, rng)
    return samples


def draw_counts(options: Mapping[str, Any], groups: NDArray[Any]) -> list[list[Any]]:
    """Return how many samples each class or stratum gets besides its real ones, as ``[group, count]``.

    With ``blend="all"`` a group of ``n`` real samples that the sampler raises to ``t`` gets ``t - n`` copies and, for a share
    ``s``, ``t s / (1 - s)`` blends: the sizes of the groups keep the ratios that the sampler gives them.
    """
    draws = recorded_draws(options)
    raised: list[list[Any]] = options["n_samples"]
    if draws.blend_share is None:
        return raised
    added, odds = dict(raised), draws.blend_share / (1 - draws.blend_share)
    names, counts = (part.tolist() for part in np.unique(groups, return_counts=True))
    both = ((group, n, added.get(group, 0)) for group, n in zip(names, counts, strict=True))
    return [[group, more + round((n + more) * odds)] for group, n, more in both]


def _generator(random_state: Any, seed: int | str | None) -> np.random.Generator:
    """Return the generator of what imbalanced-learn does not draw; equal seeds give equal draws."""
    if isinstance(seed, str):  # the sampler goes on with its own
        seed = int(copy.deepcopy(random_state).randint(2**31))
    return np.random.default_rng(seed)


def _any_two(
    wanted: Mapping[Any, int], groups: NDArray[Any], patients: NDArray[Any] | None, rng: np.random.Generator
) -> Samples:
    """Draw pairs of different images of each group, of two patients each, and lambda: all uniform, as SMOTE draws them.

    Where all images of a group are of one patient, they are copied.
    """
    bases, neighbors = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for group, count in wanted.items():
        images = np.flatnonzero(groups == group)
        owners = images if patients is None else patients[images]
        images = images[np.argsort(owners, kind="stable")]  # the images of a patient side by side
        _, owner, sizes = np.unique(owners, return_inverse=True, return_counts=True)
        owner, stops = np.sort(owner), np.cumsum(sizes)
        place = rng.integers(len(images), size=count)
        size, stop = sizes[owner[place]], stops[owner[place]]
        others = len(images) - size
        step = rng.integers(np.maximum(others, 1))
        partner = np.where(others > 0, (stop + step) % len(images), place)
        bases.append(images[place])
        neighbors.append(images[partner])
    base, neighbor = (np.concatenate(parts).astype(np.int32) for parts in (bases, neighbors))
    lam = np.where(base == neighbor, 0.0, rng.random(len(base)))
    return {"base": base, "neighbor": neighbor, "lam": lam.astype(np.float32)}


def _keep_real(
    samples: Samples, rows: NDArray[Any], images: NDArray[Any], count: int, rng: np.random.Generator
) -> None:
    """Make some rows of a group plain copies that stay real: of each image as many as of any other, or one more."""
    # spread evenly, since ADASYN draws base by base, and at the same places in every draw, so that flags stay
    chosen = rows[np.arange(count) * len(rows) // max(count, 1)]
    rounds = [rng.permutation(images) for _ in range(-(-count // len(images)))]
    copied = np.concatenate([*rounds, images[:0]])[:count]
    samples["base"][chosen] = samples["neighbor"][chosen] = copied
    samples["lam"][chosen], samples["is_synthetic"][chosen] = 0, False


def _samples_of(recipe: Any, resampled: NDArray[Any], groups: NDArray[Any], tables: Sequence[Table]) -> Samples:
    """Read base, neighbour and lambda of every sample off the rows of the resampled identity matrix."""
    recipe.sort_indices()
    first, last = recipe.indptr[:-1], recipe.indptr[1:] - 1
    base, neighbor = recipe.indices[first].astype(np.int32), recipe.indices[last].astype(np.int32)
    lam = np.where(base == neighbor, 0.0, recipe.data[last])
    # A row does not tell which of its two parents is the base; the neighbour is the one in the other's table.
    table_of = {groups[table[0, 0]]: table for table in tables if len(table)}  # the last search for a group counts
    for group, table in table_of.items():
        mine = np.flatnonzero(resampled == group)
        row_of = np.full(len(groups), -1)
        row_of[table[:, 0]] = np.arange(len(table))
        row = row_of[base[mine]]
        is_listed = (row >= 0) & (table[row, 1:] == neighbor[mine, None]).any(1)
        swap = mine[~is_listed & (base[mine] != neighbor[mine])]
        base[swap], neighbor[swap] = neighbor[swap], base[swap].copy()
        lam[swap] = 1 - lam[swap]
    return {"base": base, "neighbor": neighbor, "lam": lam.astype(np.float32)}
