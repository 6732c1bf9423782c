"""The table of samplings: what a method trains on.

A new sampling is one entry of :data:`SAMPLINGS`; each of :data:`clesmote_losses.smote.samplers.SAMPLERS` is one by its name.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from imblearn.over_sampling import RandomOverSampler

from benchmarks.data.trials import LabelledImages, Trial
from benchmarks.lookup import Lookup
from clesmote_losses.smote.samplers import SAMPLERS, make_sampler

Aims = Mapping[int, int]  # images wanted of each stratum that has fewer
Sampled = tuple[LabelledImages, Any]  # real images, and imbalanced-learn's sampler that adds synthetic ones, or None


def add_synthetic(kind: str, trial: Trial, aims: Aims, seed: int) -> Sampled:
    """Add synthetic images of a kind of SMOTE to the imbalanced set, each made with one of five neighbours."""
    return trial.train, make_sampler(kind, 5, sampling_strategy=dict(aims), random_state=seed)


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
Sampling = Callable[[Trial, Aims, int], Sampled]
SAMPLINGS: dict[str, Sampling] = {
    "imbalanced": lambda trial, aims, seed: (trial.train, None),
    "oversampled": repeat_rare,
    "balanced": lambda trial, aims, seed: (trial.balanced, None),
    "borderline-smote": partial(add_synthetic, "borderline"),
}


def find_sampling(name: str) -> Sampling:
    """Return an entry of :data:`SAMPLINGS`, or the sampling that adds synthetic images of a kind of SMOTE.

    Raises:
        ValueError: If there is neither.
    """
    kinds: dict[str, Sampling] = {kind: partial(add_synthetic, kind) for kind in SAMPLERS}
    return Lookup("sampling", kinds | SAMPLINGS)[name]
