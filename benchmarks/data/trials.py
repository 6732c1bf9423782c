"""The images of one trial, drawn from a source for an experiment by a seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.experiments import Experiment
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
    images to spare trains on those that the validation split leaves, so on a tenth less.

    Args:
        source: The data.
        experiment: What to draw.
        seed: Seed of the draw.
        validate: Hold out a validation set; else all images may be trained on.
    """
    experiment.check(source)
    pool, held_out = source.split if validate else (np.arange(len(source.stratum)), None)
    places = [source.strata.index(name) for name in experiment.counts]
    rng = np.random.default_rng([seed, experiment.draw])
    orders = [rng.permutation(pool[source.stratum[pool] == place]) for place in places]
    train = [order[:count] for order, count in zip(orders, experiment.counts.values(), strict=True)]
    raised = experiment.raised({name: len(part) for name, part in zip(experiment.counts, train, strict=True)})
    balanced = [order[: raised[name]] for order, name in zip(orders, raised, strict=True)]

    def labelled(indices: Indices) -> LabelledImages:
        members = source.stratum[indices][:, None] == places
        return _labelled(source.images, indices, members, None, experiment)

    return Trial(
        labelled(np.concatenate(train)),
        labelled(np.concatenate(balanced)),
        None if held_out is None else labelled(held_out[np.isin(source.stratum[held_out], places)]),
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


def described(source: Source, experiment: Experiment, trial: Trial) -> dict[str, Any]:
    """Return what a result was measured on, as plain values."""
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
    }
