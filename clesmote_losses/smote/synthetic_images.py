"""Synthetic images of a plan, blended when they are asked for."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.errors import prefixed
from clesmote_losses.smote.blending import blend_alike, make_alike
from clesmote_losses.smote.decoding import DecodedImage
from clesmote_losses.smote.plan import SMOTEPlan
from clesmote_losses.smote.real_images import RealImages

_BLENDED_AT_ONCE = 2**18  # values
_LOOKED_AT = 64  # parents over all classes: 16 of each class at most, 2 at least


def blends(images: RealImages, plan: SMOTEPlan, rows: Sequence[int]) -> Iterator[Any]:
    """Yield the synthetic images of some rows of a plan, as many blended at once as fit the processor's cache.

    Args:
        images: The parents.
        plan: The recipe of each synthetic sample.
        rows: Rows of the plan, for which :func:`copied_image` is ``None``.

    Raises:
        RuntimeError: If a parent cannot be read.
        ValueError: If two parents differ in kind, size, dtype or what changes pixels; the message names them.
    """
    pairs = (_parents(images, plan, row) for row in rows)
    for _, group in itertools.groupby(pairs, key=lambda parents: parents[0][0].form):
        first = next(group)
        group = itertools.chain([first], group)
        at_once = max(1, _BLENDED_AT_ONCE // max(1, first[0][0].values.numel()))
        while chosen := list(itertools.islice(group, at_once)):
            # A plain copy too is a blend, of the image with itself: a transform that writes must not reach a kept image.
            yield from blend_alike(*zip(*chosen, strict=True))


def copied_image(plan: SMOTEPlan, row: int) -> int | None:
    """Return the real image that a row of a plan shows as it is, in its own size; ``None`` for what is blended."""
    is_copy = not plan.is_synthetic[row] or plan.options["sampler"] == "RandomOverSampler"
    return int(plan.base[row]) if is_copy else None


def some_parents(plan: SMOTEPlan, groups: NDArray[Any]) -> list[int]:
    """Choose parents of every class or stratum with blends or copies, spread over the data set; 2 to 16 of each.

    A class without any, such as the majority, needs no look: its items are those of the base data set, as without SMOTE.

    Args:
        plan: The recipe of each sample.
        groups: Class or stratum of every real sample, shape ``(N,)``.
    """
    parents = np.unique(np.concatenate([plan.base, plan.neighbor]))
    of_parents = groups[parents]
    present = np.unique(of_parents)
    at_most = min(16, max(2, _LOOKED_AT // max(1, len(present))))
    chosen: list[int] = []
    for group in present:
        part = parents[of_parents == group]
        chosen += part[np.unique(np.linspace(0, len(part) - 1, at_most).astype(int))].tolist()
    return chosen


def _parents(images: RealImages, plan: SMOTEPlan, row: int) -> tuple[tuple[DecodedImage, DecodedImage], float]:
    """Return base and neighbour of a synthetic sample, and its lambda."""
    base, neighbor, lam = plan.base[row].item(), plan.neighbor[row].item(), plan.lam[row].item()
    pair = images.decoded(base), images.decoded(neighbor)
    with prefixed(f"real images {base} and {neighbor} cannot be blended"):
        return (make_alike(*pair), pair[1]), lam
