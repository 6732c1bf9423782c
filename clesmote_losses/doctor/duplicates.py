"""Find images that are there twice: with the same pixels, or the same picture after compression or resizing."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.doctor.image_facts import ImageFacts

# Bits of 256 that differ, and least correlation of the thumbnails; either rule will do. Measured on 5,856 X-rays of 224 px
# and 18,000 photos of 32 px (CIFAR-10), and copies of them in JPEG of quality 50, of 60 % or of twice the size. X-rays: copies
# differ in 14 bits at most and correlate above .999; two different X-rays differ in 36 bits or more, and those with a similar
# hash correlate below .985. Photos: pairs up to 32 bits are the same picture, by eye. The second rule is for smooth images,
# whose fine bits are noise; it finds nothing more in the two sets.
RULES = ((24, 0.95), (64, 0.998))
_NEAREST = 5


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """Images that are there more than once, by index.

    Attributes:
        exact: Groups of images with the same pixels.
        near: Pairs of images that look the same, and of how many bits of 256 their hashes differ.
    """

    exact: list[list[int]]
    near: list[tuple[int, int, int]]


def find_duplicates(facts: Sequence[ImageFacts], is_validation: NDArray[np.bool_]) -> Duplicates:
    """Find images that are there twice.

    Each image is compared with its nearest five, and each validation image with the nearest of training. Of images with the
    same pixels, one in each part takes part. Constant images have no duplicates.

    Args:
        facts: Of the images.
        is_validation: Whether an image is of the validation set, shape ``(N,)``.
    """
    same: dict[bytes, list[int]] = defaultdict(list)
    for index, fact in enumerate(facts):
        if fact.digest and fact.largest_share < 1:
            same[fact.digest].append(index)
    first = {(digest, bool(is_validation[i])): i for digest, group in same.items() for i in reversed(group)}
    chosen = [i for i in sorted(first.values()) if facts[i].hash]
    near = sorted(_near_pairs(facts, np.array(chosen, dtype=np.int64), is_validation)) if len(chosen) > 1 else []
    return Duplicates(exact=[group for group in same.values() if len(group) > 1], near=near)


def _near_pairs(
    facts: Sequence[ImageFacts], chosen: NDArray[np.int64], is_validation: NDArray[np.bool_]
) -> set[tuple[int, int, int]]:
    """Return pairs of different pixels, the smaller index first."""
    hashes = np.frombuffer(b"".join(facts[i].hash for i in chosen), dtype=np.uint8).reshape(len(chosen), -1)
    bits = np.unpackbits(hashes, axis=1).astype(np.float32)
    grey = np.frombuffer(b"".join(facts[i].thumbnail for i in chosen), dtype=np.uint8).reshape(len(chosen), -1)
    grey = grey - grey.mean(axis=1, keepdims=True)
    grey /= np.linalg.norm(grey, axis=1, keepdims=True) + 1e-9
    held_out = is_validation[chosen]
    everything, trained, validated = np.arange(len(chosen)), np.flatnonzero(~held_out), np.flatnonzero(held_out)
    pairs = set()
    for queries, pool, k in ((everything, everything, _NEAREST + 1), (validated, trained, 1)):
        for a, b, distance in _nearest(bits, queries, pool, k):
            one, other = sorted((int(chosen[a]), int(chosen[b])))
            correlation = grey[a] @ grey[b]
            is_copy = any(distance <= at_most and correlation >= least for at_most, least in RULES)
            if is_copy and facts[one].digest != facts[other].digest:
                pairs.add((one, other, distance))
    return pairs


def _nearest(
    bits: NDArray[np.float32], queries: NDArray[np.int64], pool: NDArray[np.int64], k: int
) -> Iterator[tuple[int, int, int]]:
    """Yield query, neighbour and the number of bits that differ, of the nearest of the pool that are near enough."""
    from sklearn.neighbors import NearestNeighbors

    if not len(queries) or not len(pool):
        return
    # of bits, the squared Euclidean distance is the number that differ; a product of matrices finds it fastest
    search = NearestNeighbors(n_neighbors=min(k, len(pool)), algorithm="brute").fit(bits[pool])
    found, neighbors = search.kneighbors(bits[queries])
    distances = np.rint(found**2).astype(int)
    for row, column in np.argwhere(distances <= max(at_most for at_most, _ in RULES)).tolist():
        a, b = int(queries[row]), int(pool[neighbors[row, column]])
        if a != b:
            yield a, b, int(distances[row, column])
