"""The table of samplings: what a method trains on. A new sampling is one entry of :data:`SAMPLINGS`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE, RandomOverSampler

from benchmarks.data.trials import LabelledImages, Trial
from benchmarks.lookup import Lookup

Aims = Mapping[int, int]  # images wanted of each stratum that has fewer
Sampled = tuple[LabelledImages, Any]  # real images, and imbalanced-learn's sampler that adds synthetic ones, or None

SMOTE_KINDS: Lookup[Any] = Lookup(
    "kind of SMOTE",
    {
        "smote": partial(SMOTE, k_neighbors=5),
        "borderline": partial(BorderlineSMOTE, k_neighbors=5),
        "adasyn": partial(ADASYN, n_neighbors=5),
    },
)


def add_synthetic(kind: str, trial: Trial, aims: Aims, seed: int) -> Sampled:
    """Add synthetic images of a kind of SMOTE to the imbalanced set."""
    return trial.train, SMOTE_KINDS[kind](sampling_strategy=dict(aims), random_state=seed)


def repeat_rare(trial: Trial, aims: Aims, seed: int) -> Sampled:
    """Repeat images of the rare strata of the imbalanced set, drawn at random."""
    part = trial.train
    if not aims:
        return part, None
    sampler = RandomOverSampler(sampling_strategy=dict(aims), random_state=seed)
    places = sampler.fit_resample(np.arange(len(part))[:, None], part.strata)[0][:, 0]
    names = ("indices", "labels", "strata", "members")
    return replace(part, **{name: getattr(part, name)[places] for name in names}), None


# Each entry takes the images of a trial, the aims of over-sampling and a seed.
SAMPLINGS: Lookup[Callable[[Trial, Aims, int], Sampled]] = Lookup(
    "sampling",
    {
        "imbalanced": lambda trial, aims, seed: (trial.train, None),
        "oversampled": repeat_rare,
        "balanced": lambda trial, aims, seed: (trial.balanced, None),
        "smote": partial(add_synthetic, "smote"),
        "borderline-smote": partial(add_synthetic, "borderline"),
        "adasyn": partial(add_synthetic, "adasyn"),
    },
)
