"""The images of one trial, drawn from a source for an experiment by a seed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.experiments import Experiment
from benchmarks.data.label_noise import mislabel_training, mislabel_validation
from benchmarks.data.source import Source, TestImages

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledImages:
    """Images of an experiment.

    Attributes:
        pool: Images of the source, uint8, shape ``(M, H, W, C)``.
        indices: Places in the pool, int64, shape ``(N,)``.
        labels: Class indices, int64, shape ``(N,)``.
        strata: Indices into the experiment's strata, int64, shape ``(N,)``; -1 for an image of none or of several.
        members: Which strata an image belongs to, bool, shape ``(N, S)``.
    """

    pool: NDArray[np.uint8]
    indices: Indices
    labels: NDArray[np.int64]
    strata: NDArray[np.int64]
    members: NDArray[np.bool_]

    @property
    def images(self) -> NDArray[np.uint8]:
        """Return a copy of the images, shape ``(N, H, W, C)``."""
        return self.pool[self.indices]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Trial:
    """Images to train, validate and test on.

    Attributes:
        train: The imbalanced training set.
        balanced: As many real images of every stratum as over-sampling aims at, if there are so many: the upper bound.
        validation: Images that choices are made by; ``None`` if nothing was held out.
        tests: Test images by name.
    """

    train: LabelledImages
    balanced: LabelledImages
    validation: LabelledImages | None
    tests: dict[str, LabelledImages]


def draw(source: Source, experiment: Experiment, seed: int, *, validate: bool = True) -> Trial:
    """Draw the images of a trial.

    The training images are drawn by the seed; validation and test images are the same for every seed. A stratum without
    images to spare trains on those that the validation split leaves, so on a tenth less. With label noise, an image has the
    strata and the class of its label; test images are clean.

    Args:
        source: The data.
        experiment: What to draw.
        seed: Seed of the draw.
        validate: Hold out a validation set; else all images may be trained on.

    Raises:
        ValueError: If there are too few images, or as :func:`~benchmarks.data.label_noise.mislabel_training`.
    """
    experiment.check(source)
    pool, held_out = source.split if validate else (np.arange(len(source.stratum)), None)
    places = [source.strata.index(name) for name in experiment.counts]
    rng = np.random.default_rng([seed, experiment.draw])
    orders = [rng.permutation(pool[source.stratum[pool] == place]) for place in places]
    counts = [min(count, len(order)) for order, count in zip(orders, experiment.counts.values(), strict=True)]
    clean_counts = counts
    if experiment.label_noise:
        orders, counts = mislabel_training(experiment, orders, counts)
    raised = experiment.raised(dict(zip(experiment.counts, counts, strict=True)))

    def first(sizes: Iterable[int]) -> LabelledImages:
        parts = [order[:size] for order, size in zip(orders, sizes, strict=True)]
        strata = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return labelled(np.concatenate(parts), strata)

    def labelled(indices: Indices, strata: Indices) -> LabelledImages:
        members = strata[:, None] == np.arange(len(places))
        return _labelled(source.images, indices, members, None, experiment)

    validation = None
    if held_out is not None:
        held_out = held_out[np.isin(source.stratum[held_out], places)]
        strata = np.array([places.index(place) for place in source.stratum[held_out]])
        if experiment.label_noise and experiment.noisy_validation:
            stays, strata = mislabel_validation(experiment, strata, clean_counts)
            held_out, strata = held_out[stays], strata[stays]
        validation = labelled(held_out, strata)
    return Trial(
        first(counts),
        first(raised.values()),
        validation,
        {name: _test_images(test, places, experiment) for name, test in source.tests.items()},
    )


def has_spare_images(source: Source, experiment: Experiment, validate: bool) -> bool:
    """Return whether a rare stratum has images that the experiment leaves out; if none has, ``Trial.balanced`` is ``train``."""
    trial = draw(source, experiment, 0, validate=validate)
    return len(trial.balanced) > len(trial.train)


def _test_images(test: TestImages, places: list[int], experiment: Experiment) -> LabelledImages:
    members = test.members[:, places]
    if test.is_abnormal is not None:
        everything = np.arange(len(members))
        return _labelled(test.images, everything, members, test.is_abnormal.astype(np.int64), experiment)
    kept = np.flatnonzero(members.any(1))
    return _labelled(test.images, kept, members[kept], None, experiment)


def _labelled(
    pool: NDArray[np.uint8],
    indices: Indices,
    members: NDArray[np.bool_],
    labels: NDArray[np.int64] | None,
    experiment: Experiment,
) -> LabelledImages:
    strata = np.where(members.sum(1) == 1, members.argmax(1), -1)
    if labels is None:
        class_of = np.array([experiment.class_of[name] for name in experiment.counts])
        labels = class_of[members.argmax(1)]
    return LabelledImages(pool, indices, labels, strata, members)


def count_strata(part: LabelledImages, experiment: Experiment) -> dict[str, int]:
    """Return the number of images of each stratum."""
    return dict(zip(experiment.counts, part.members.sum(0).tolist(), strict=True))


def wrong_labels(source: Source, experiment: Experiment, trial: Trial) -> dict[str, int]:
    """Return how many training images of each stratum that has any are in truth of another."""
    names = list(experiment.counts)
    places = np.array([source.strata.index(name) for name in names])
    is_wrong = source.stratum[trial.train.indices] != places[trial.train.strata]
    counts = np.bincount(trial.train.strata[is_wrong], minlength=len(names)).tolist()
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def told_counts(source: Source, experiment: Experiment, trial: Trial) -> str:
    """Say how many images of each stratum are trained on, and how many of them have a wrong label."""
    wrong = wrong_labels(source, experiment, trial)
    return ", ".join(
        f"{name} {count}" + (f" ({wrong[name]} of them wrong)" if name in wrong else "")
        for name, count in count_strata(trial.train, experiment).items()
    )


def described(source: Source, experiment: Experiment, trial: Trial) -> dict[str, Any]:
    """Return what a result was measured on, as plain values; label noise is among them where there is any."""
    noise = (
        {}
        if not experiment.label_noise
        else {
            "label_noise": experiment.label_noise,
            "noisy_validation": experiment.noisy_validation,
            "wrong_labels": wrong_labels(source, experiment, trial),
        }
    )
    return {
        "source": source.name,
        "digest": source.digest,
        "image_size": source.image_size,
        "name": experiment.name,
        "kind": experiment.kind,
        "classes": {name: list(strata) for name, strata in experiment.classes.items()},
        "counts": count_strata(trial.train, experiment),
        "raised_to": experiment.raised(count_strata(trial.train, experiment)),
        "balanced_counts": count_strata(trial.balanced, experiment),
        "validation_counts": None if trial.validation is None else count_strata(trial.validation, experiment),
        "test_counts": {
            name: np.bincount(test.labels, minlength=len(experiment.classes)).tolist()
            for name, test in trial.tests.items()
        },
        **noise,
    }
