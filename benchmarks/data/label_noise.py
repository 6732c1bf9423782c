"""Wrong labels: images of the most frequent stratum that are labelled as a rare one."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.experiments import LEAST, Experiment

Indices = NDArray[np.int64]
_VALIDATION_SEED = 0  # validation images are the same for every trial


def rare_strata(experiment: Experiment, counts: Mapping[str, int]) -> tuple[str, list[str]]:
    """Return the most frequent stratum, and the rare ones: those of other classes with less than half as many images."""
    frequent, class_of = max(counts, key=lambda name: counts[name]), experiment.class_of
    rare = [
        name for name, count in counts.items() if class_of[name] != class_of[frequent] and 2 * count < counts[frequent]
    ]
    return frequent, rare


def mislabel_training(
    experiment: Experiment, orders: Sequence[Indices], counts: Sequence[int]
) -> tuple[list[Indices], list[int]]:
    """Replace the share ``experiment.label_noise`` of the training images of each rare stratum by images of the frequent one.

    These are images that are not trained on. Where there are too few, the frequent stratum trains on so many less: no
    image has two labels.

    Args:
        experiment: Names the strata and the share.
        orders: Images of each stratum in the order of their draw, indices into the source.
        counts: How many of them are trained on: the first ones.

    Returns:
        Both, with the wrong labels.

    Raises:
        ValueError: If no stratum is rare, the share is less than one image, or the frequent stratum has too few images.
    """
    names, share = list(experiment.counts), experiment.label_noise
    frequent, rare = rare_strata(experiment, dict(zip(names, counts, strict=True)))
    wrong = {name: round(share * counts[names.index(name)]) for name in rare}
    needed, place = sum(wrong.values()), names.index(frequent)
    if not needed:
        raise ValueError(
            f"--label-noise {share:g} gives no wrong label in {experiment.name}: "
            + (
                f"of its rare strata ({', '.join(rare)}) it is less than one image. Take a higher share."
                if rare
                else f"no stratum has less than half as many images as {frequent}, in another class. Leave it out."
            )
        )
    order = orders[place]
    left = min(counts[place], len(order) - needed)
    if left <= max(counts[i] for i in range(len(names)) if i != place):
        raise ValueError(
            f"--label-noise {share:g} takes {needed} images of {frequent} in {experiment.name}, which has {len(order)}: too "
            "few would be left for it to be the most frequent. Take a lower share."
        )
    spare = order[left : left + needed]
    mislabelled, trained = list(orders), list(counts)
    mislabelled[place], trained[place] = np.delete(order, np.s_[left : left + needed]), left
    for name, count in wrong.items():
        i = names.index(name)
        # those that are replaced come last: the upper bound may have them
        mislabelled[i] = np.concatenate([spare[:count], orders[i][count:], orders[i][:count]])
        spare = spare[count:]
    return mislabelled, trained


def mislabel_validation(
    experiment: Experiment, strata: Indices, counts: Sequence[int]
) -> tuple[NDArray[np.bool_], Indices]:
    """Replace the share of the validation images of each rare stratum by validation images of the frequent one.

    Args:
        experiment: Names the strata and the share.
        strata: Stratum of each validation image, an index into those of the experiment.
        counts: Training images of each stratum before any was replaced, which say what is rare.

    Returns:
        Which images stay, and the stratum of each image by its label, both of the shape of ``strata``.

    Raises:
        ValueError: If too few images of the frequent stratum would be left.
    """
    names = list(experiment.counts)
    frequent, rare = rare_strata(experiment, dict(zip(names, counts, strict=True)))
    rng = np.random.default_rng([_VALIDATION_SEED, experiment.draw])
    stays, labelled = np.ones(len(strata), dtype=bool), strata.copy()
    free = rng.permutation(np.flatnonzero(strata == names.index(frequent)))
    for name in rare:
        own = rng.permutation(np.flatnonzero(strata == names.index(name)))
        count = round(experiment.label_noise * len(own))
        if len(free) < count + LEAST:
            raise ValueError(
                f"--noisy-validation: {frequent} has too few validation images in {experiment.name} to replace the share "
                f"{experiment.label_noise:g} of those of {', '.join(rare)}. Take a lower share, or clean validation images."
            )
        stays[own[:count]] = False
        labelled[free[:count]] = names.index(name)
        free = free[count:]
    return stays, labelled
