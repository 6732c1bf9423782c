"""Draw the images that a pretraining step reads, and its anchors, positives and negatives among them."""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.errors import check_choice

Anchors = Literal["all", "real"]
Sampling = Literal["dataset", "batch"]
Indices = NDArray[np.int64]
_REAL_OF_EACH_CLASS = 2  # in a batch, since one may be the anchor itself


class TripletBatch(NamedTuple):
    """Samples to read, and the positions of anchors, positives and negatives among them, each int64, shape ``(N,)``."""

    indices: Indices
    anchors: Indices
    positives: Indices
    negatives: Indices


def draw_batches(
    labels: Indices,
    is_synthetic: NDArray[np.bool_],
    *,
    anchors: Anchors,
    sampling: Sampling,
    batch_size: int,
    seed: list[int],
    source: Indices | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> list[TripletBatch]:
    """Draw the triplets of one epoch: each sample is an anchor once, positives and negatives are random real samples.

    Args:
        labels: Class index of every sample, int64, shape ``(N,)``.
        is_synthetic: Bool, shape ``(N,)``.
        anchors: ``"all"`` samples, or the ``"real"`` ones.
        sampling: ``"dataset"``: positives and negatives come from the whole set. ``"batch"``: they come from the real samples
            of the batch, and real samples are added for an anchor's class that has fewer than two.
        batch_size: Anchors in a batch.
        seed: Seed of the epoch.
        source: Index of the sample itself, or of the real sample that a real copy repeats, shape ``(N,)``; by default there
            are no copies. No copy makes a pair with its original, of which the distance says nothing.
        rank, world_size: Share of the anchors to take; all shares have the same size.

    Raises:
        ValueError: If an option is unknown, or the real samples are of only one class, so that there is no negative.
    """
    check_choice("anchors", anchors, get_args(Anchors))
    check_choice("sampling", sampling, get_args(Sampling))
    own = np.arange(len(labels))
    source = own if source is None else source
    real = np.flatnonzero(~is_synthetic & (source == own))  # positives and negatives: each real image once
    if len(np.unique(labels[real])) < 2:
        raise ValueError(
            "triplets need real samples of at least two classes: an anchor's negative is of another class."
        )
    order = np.random.default_rng(seed).permutation(own if anchors == "all" else own[~is_synthetic])
    order = order[: len(order) // world_size * world_size][rank::world_size]
    rng = np.random.default_rng([*seed, 1 + rank])
    chunks = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if sampling == "dataset":
        return [_from_dataset(chunk, labels, real, source, rng) for chunk in chunks]
    return [_from_batch(chunk, labels, is_synthetic, source, rng) for chunk in chunks]


def _from_dataset(
    anchors: Indices, labels: Indices, real: Indices, source: Indices, rng: np.random.Generator
) -> TripletBatch:
    by_class = real[np.argsort(labels[real], kind="stable")]
    start = np.searchsorted(labels[by_class], labels[anchors], side="left")
    stop = np.searchsorted(labels[by_class], labels[anchors], side="right")
    own = np.full(len(labels), len(by_class))  # position of a real anchor among the real samples
    own[by_class] = np.arange(len(by_class))
    own = own[source]
    # an anchor is its own positive only if its class has no other real sample
    has_twin = (own[anchors] < len(by_class)) & (stop - start > 1)
    positive = start + rng.integers(0, stop - start - has_twin)
    positive += has_twin & (positive >= own[anchors])
    negative = rng.integers(0, len(by_class) - (stop - start))
    negative += np.where(negative >= start, stop - start, 0)
    n = np.arange(len(anchors))
    indices = np.concatenate([anchors, by_class[positive], by_class[negative]])
    return TripletBatch(indices, n, n + len(anchors), n + 2 * len(anchors))


def _from_batch(
    anchors: Indices, labels: Indices, is_synthetic: NDArray[np.bool_], source: Indices, rng: np.random.Generator
) -> TripletBatch:
    added: list[Indices] = []
    for label in np.unique(labels[anchors]):
        present = np.unique(source[anchors[(labels[anchors] == label) & ~is_synthetic[anchors]]])
        others = np.setdiff1d(source[(labels == label) & ~is_synthetic], present)
        wanted = min(max(0, _REAL_OF_EACH_CLASS - len(present)), len(others))
        added.append(rng.choice(others, wanted, replace=False))
    if len(added) == 1:  # the batch has no negative
        added.append(rng.choice(np.flatnonzero((labels != labels[anchors[0]]) & ~is_synthetic), 1))
    indices = np.concatenate([anchors, *added])
    n = np.arange(len(anchors))
    same = labels[anchors][:, None] == labels[indices]
    is_real = ~is_synthetic[indices]
    is_positive, is_negative = same & is_real, ~same & is_real
    is_positive &= source[anchors][:, None] != source[indices]
    positives, negatives = _pick(is_positive, rng), _pick(is_negative, rng)
    complete = is_positive.any(1)  # false for the one real sample of its class
    return TripletBatch(indices, n[complete], positives[complete], negatives[complete])


def _pick(allowed: NDArray[np.bool_], rng: np.random.Generator) -> Indices:
    """Draw one allowed column for each row, uniformly."""
    column: Indices = np.where(allowed, rng.random(allowed.shape), -1.0).argmax(1)
    return column
