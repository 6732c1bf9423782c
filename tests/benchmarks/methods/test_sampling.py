"""Samplings: which real images are taken, and which sampler adds to them."""

from dataclasses import replace

import numpy as np
import pytest
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE

from benchmarks.data.experiments import Experiment
from benchmarks.data.trials import draw
from benchmarks.methods.registry import METHODS
from benchmarks.methods.sampling import find_sampling
from clesmote_losses.smote.samplers import SAMPLERS, Sampler
from tests.support.benchmark_images import small_source

AIMS = {1: 20, 2: 20}


@pytest.fixture(scope="module")
def trial():
    classes = {"normal": ("a",), "abnormal": ("b", "c")}
    return draw(small_source(), Experiment("x", "x", {"a": 40, "b": 12, "c": 4}, classes), 0)


def test_the_imbalanced_set_and_the_balanced_one_are_those_of_the_trial(trial):
    assert find_sampling("imbalanced")(trial, AIMS, 0) == (trial.train, None)
    assert find_sampling("balanced")(trial, AIMS, 0) == (trial.balanced, None)


def test_oversampling_repeats_images_of_the_rare_strata_with_all_that_belongs_to_them(trial):
    found, sampler = find_sampling("oversampled")(trial, AIMS, 3)
    assert sampler is None
    assert np.bincount(found.strata).tolist() == [40, 20, 20]
    rows = {int(index): i for i, index in enumerate(trial.train.indices)}
    places = [rows[int(index)] for index in found.indices]
    assert places[:56] == list(range(56))  # each once, then the repetitions
    assert np.array_equal(found.labels, trial.train.labels[places])
    assert np.array_equal(found.strata, trial.train.strata[places])
    assert np.array_equal(found.members, trial.train.members[places])
    assert np.array_equal(found.images, trial.train.images[places])
    again, other = (find_sampling("oversampled")(trial, AIMS, seed)[0].indices for seed in (3, 4))
    assert np.array_equal(found.indices, again)
    assert not np.array_equal(found.indices, other)


def test_oversampling_with_no_aim_repeats_nothing(trial):
    assert find_sampling("oversampled")(trial, {}, 0) == (trial.train, None)


@pytest.mark.parametrize(
    ("name", "kind", "option"),
    [
        ("smote", SMOTE, "k_neighbors"),
        ("borderline-smote", BorderlineSMOTE, "k_neighbors"),
        ("adasyn", ADASYN, "n_neighbors"),
    ],
)
def test_a_kind_of_smote_takes_five_neighbours(trial, name, kind, option):
    part, sampler = find_sampling(name)(trial, AIMS, 7)
    assert part is trial.train
    assert type(sampler) is kind
    assert sampler.get_params()[option] == 5
    assert (sampler.sampling_strategy, sampler.random_state) == (AIMS, 7)


def test_a_kind_of_smote_that_is_added_to_the_package_is_a_sampling(trial, monkeypatch):
    class OwnSMOTE(SMOTE):
        pass

    monkeypatch.setitem(SAMPLERS, "own", Sampler(lambda: OwnSMOTE))
    part, sampler = replace(METHODS["smote"], data="own").sample(trial, AIMS, 7)
    assert part is trial.train
    assert type(sampler) is OwnSMOTE
    assert sampler.sampling_strategy == AIMS


def test_a_sampling_that_is_not_known_is_refused_and_the_known_ones_are_named(trial):
    with pytest.raises(ValueError, match=r"no sampling 'smoted'; there are smote, .*, imbalanced, oversampled"):
        replace(METHODS["smote"], data="smoted").sample(trial, AIMS, 0)
