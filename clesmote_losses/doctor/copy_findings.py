"""What is there twice: images inside training, in training and validation, under two labels; patients on both sides."""

from collections.abc import Collection, Sequence
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.doctor.duplicates import Duplicates, find_duplicates
from clesmote_losses.doctor.findings import Finding, Severity, counted
from clesmote_losses.doctor.part import Part


def find_copies(train: Part, validation: Part | None, blended: Collection[int]) -> list[Finding]:
    """Find images that are there twice.

    Args:
        train, validation: The parts.
        blended: Classes whose images are blended: SMOTE takes copies for neighbours.
    """
    parts = [train] if validation is None else [train, validation]
    names = [name for part in parts for name in part.names]
    labels = np.concatenate([part.labels for part in parts])
    held_out = np.repeat([part is validation for part in parts], [len(part) for part in parts])
    found = find_duplicates([facts for part in parts for facts in part.facts], held_out)
    return [
        *_exact(found, names, labels, held_out, blended),
        *_near(found, names, labels, held_out, blended),
    ]


def _exact(
    found: Duplicates, names: Sequence[str], labels: NDArray[Any], held_out: NDArray[Any], blended: Collection[int]
) -> list[Finding]:
    def add(severity: Severity, groups: Sequence[list[int]], message: str, remedy: str) -> None:
        if groups:
            lines = tuple(" = ".join(names[i] for i in group) for group in groups)
            findings.append(
                Finding(severity, "duplicates", message.format(counted(len(groups), "image")), lines, remedy)
            )

    findings: list[Finding] = []
    across = [group for group in found.exact if len(set(held_out[group])) > 1]
    add(
        "error",
        across,
        "In training and in validation, with the same pixels: {}. The validation score is too good.",
        "remove them from training.",
    )
    torn = [group for group in found.exact if len(_known(labels[group])) > 1]
    add("error", torn, "With the same pixels and different labels: {}.", "look at them: one of the labels is wrong.")
    by_class = (
        [i for i in group if not held_out[i] and labels[i] == label]
        for group in found.exact
        for label in np.unique(labels[group])
    )
    trained = [group for group in by_class if len(group) > 1]
    is_rare = [labels[group[0]] in blended for group in trained]
    add(
        "warning",
        list(compress(trained, is_rare)),
        "More than once in a class that is blended: {}. Copies take the place of neighbours, and a blend of two is the same "
        "image again.",
        "keep one of each.",
    )
    add(
        "note",
        [group for group, rare in zip(trained, is_rare, strict=True) if not rare],
        "More than once in a training class that is not blended: {}.",
        "keep one of each.",
    )
    validated = [kept for group in found.exact if len(kept := [i for i in group if held_out[i]]) > 1]
    add(
        "note",
        validated,
        "More than once in validation: {}. Each copy counts in the score.",
        "keep one of each.",
    )
    return findings


def _near(
    found: Duplicates, names: Sequence[str], labels: NDArray[Any], held_out: NDArray[Any], blended: Collection[int]
) -> list[Finding]:
    def add(severity: Severity, pairs: Sequence[tuple[int, int, int]], message: str, remedy: str) -> None:
        if pairs:
            pairs = sorted(pairs, key=lambda pair: pair[2])
            lines = tuple(f"{names[a]} ~ {names[b]} ({bits} of 256 bits differ)" for a, b, bits in pairs)
            findings.append(
                Finding(severity, "near duplicates", message.format(counted(len(pairs), "pair")), lines, remedy)
            )

    findings: list[Finding] = []
    across = [pair for pair in found.near if held_out[pair[0]] != held_out[pair[1]]]
    add(
        "warning",
        across,
        "Look the same, one in training and one in validation: {} (compressed, resized, or taken a moment later).",
        "look at them; keep the pair on one side.",
    )
    is_torn = [len(_known(labels[list(pair[:2])])) > 1 for pair in found.near]
    add(
        "warning",
        list(compress(found.near, is_torn)),
        "Look the same and have different labels: {}.",
        "look at them: is one label wrong?",
    )
    trained = [
        pair
        for pair, torn in zip(found.near, is_torn, strict=True)
        if not (torn or held_out[pair[0]] or held_out[pair[1]])
    ]
    is_rare = np.isin(labels[[pair[0] for pair in trained]], list(blended))
    add(
        "warning",
        list(compress(trained, is_rare)),
        "Look the same in classes that are blended: {}. A blend of the two is nearly the same image.",
        "look at them; keep one of each, or give both one group (groups=), since images of one group are not blended.",
    )
    add(
        "note",
        list(compress(trained, ~is_rare)),
        "Look the same in training classes that are not blended: {}.",
        "",
    )
    return findings


def _known(labels: NDArray[Any]) -> set[int]:
    return {int(label) for label in labels if label >= 0}


def find_shared_groups(train: NDArray[Any], validation: NDArray[Any]) -> list[Finding]:
    """Find groups, such as patients, that have images in training and in validation.

    Args:
        train: Group of each training image, shape ``(N,)``.
        validation: Group of each validation image, shape ``(M,)``.

    Raises:
        ValueError: If one has numbers and the other strings.
    """
    if len({array.dtype.kind in "US" for array in (train, validation)}) > 1:
        raise ValueError(
            f"the groups of training and validation must both be numbers or both strings; got {train[0]!r} and {validation[0]!r}. "
            "Write them in one way: [str(g) for g in groups]."
        )
    shared = np.intersect1d(train, validation)
    if not len(shared):
        return []
    images = int(np.isin(validation, shared).sum())
    lines = tuple(
        f"{group}: {counted(int((train == group).sum()), 'image')} in training, {(validation == group).sum()} in validation"
        for group in shared.tolist()
    )
    return [
        Finding(
            "error",
            "groups",
            f"In training and in validation: {counted(len(shared), 'group')} (patients), with {images:,} of the {len(validation):,} "
            "validation images. The validation score is too good.",
            lines,
            "split again by group (scikit-learn's StratifiedGroupKFold), or remove the training images of these groups.",
        )
    ]
