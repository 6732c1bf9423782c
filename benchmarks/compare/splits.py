"""Repeated splits of a data set into training, validation and test images, the same for every method."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from benchmarks.data.source import Source, TestImages

Indices = NDArray[np.int64]
FOLDS = 5  # one to test on, one for validation, the others to train on
LEAST_IMAGES = 2 * FOLDS  # of a class
_ATTEMPTS = 20  # draws of the folds, where groups leave a part without a class


def split(source: Source, number: int, seed: int) -> Source:
    """Return the data of one split.

    The splits ``FOLDS * r`` to ``FOLDS * r + FOLDS - 1`` are the folds of repetition ``r``: each image is tested on once in a
    repetition. Classes have their share of each part. Images of a group are in one part.

    Args:
        source: All images; ``source.patient`` is the group of each.
        number: Number of the split, from 0.
        seed: Seed of all splits.

    Returns:
        Images for training and validation, the latter as ``held_out``, and ``"test"`` images.

    Raises:
        ValueError: If a part has no image of a class.
    """
    repeat, fold = divmod(number, FOLDS)
    folds = _folds(source, repeat, seed)
    test, validation, *others = folds[fold:] + folds[:fold]
    pool = np.concatenate([*others, validation])
    members = source.stratum[test][:, None] == np.arange(len(source.strata))
    return replace(
        source,
        images=source.images[pool],
        stratum=source.stratum[pool],
        tests={"test": TestImages(source.images[test], members)},
        patient=None if source.patient is None else source.patient[pool],
        held_out=np.arange(len(pool)) >= len(pool) - len(validation),
    )


def check_splits(source: Source, seed: int) -> None:
    """Raise a ``ValueError`` if a class has too few images, or groups, to be in every part of the splits."""
    for name, count in source.available.items():
        if count < LEAST_IMAGES:
            raise ValueError(
                f"class {name!r} has {count} images; {LEAST_IMAGES} are needed, so that training, validation and test each "
                "have some. Add images, or leave the class out."
            )
    _folds(source, 0, seed)


def _folds(source: Source, repeat: int, seed: int) -> list[Indices]:
    """Return the images of each fold of a repetition."""
    problem = ""
    for attempt in range(_ATTEMPTS):
        state = int(np.random.SeedSequence([seed, repeat, attempt]).generate_state(1)[0])
        kind = StratifiedKFold if source.patient is None else StratifiedGroupKFold
        folds = kind(FOLDS, shuffle=True, random_state=state)
        try:
            found = [fold for _, fold in folds.split(source.stratum, source.stratum, source.patient)]
        except ValueError as error:
            raise ValueError(f"the images cannot be split: {error}") from error
        problem = next((text for fold in found for text in _missing(source, fold)), "")
        if not problem:
            return found
    raise ValueError(problem)


def _missing(source: Source, fold: Indices) -> Iterator[str]:
    """Describe each class that has no image in a fold."""
    for index, name in enumerate(source.strata):
        if not (source.stratum[fold] == index).any():
            assert source.patient is not None
            held = source.stratum == index
            yield (
                f"class {name!r} cannot be in training, validation and test: it has {held.sum()} images in "
                f"{len(np.unique(source.patient[held]))} group(s), and a group is on one side of a split. Add images, or leave the "
                "class out."
            )
