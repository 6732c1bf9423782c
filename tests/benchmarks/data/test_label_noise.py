"""Which images get a wrong label, and which do not."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.data.experiments import Experiment, of_classes
from benchmarks.data.label_noise import rare_strata
from benchmarks.data.trials import described, draw, told_counts
from tests.support.benchmark_images import small_source

# 54 of each stratum are left of 60 after validation
SICK = Experiment("x", "x", {"a": 45, "b": 20, "c": 10}, {"normal": ("a",), "abnormal": ("b", "c")})
NOISY = replace(SICK, label_noise=0.2)


def truth(source, part):
    """The true stratum of each image."""
    return source.stratum[part.indices]


def test_rare_strata_are_of_another_class_and_less_than_half_as_large():
    counts = {"a": 100, "b": 50, "c": 49, "d": 3}
    experiment = Experiment("x", "x", counts, {"one": ("a", "d"), "two": ("b", "c")})
    assert rare_strata(experiment, counts) == ("a", ["c"])


def test_the_share_of_each_rare_stratum_is_in_truth_of_the_frequent_one():
    source = small_source()
    clean, noisy = draw(source, SICK, 3).train, draw(source, NOISY, 3).train
    assert np.bincount(noisy.strata).tolist() == np.bincount(clean.strata).tolist() == [45, 20, 10]
    is_wrong = truth(source, noisy) != noisy.strata
    assert np.bincount(noisy.strata[is_wrong]).tolist() == [0, 4, 2]
    assert (truth(source, noisy)[is_wrong] == 0).all()
    assert (noisy.labels[is_wrong] == 1).all()
    assert (noisy.members.argmax(1) == noisy.strata).all()
    # no image is there twice, and the right ones are those of the clean trial
    assert len(set(noisy.indices)) == 75
    assert set(noisy.indices[~is_wrong]) < set(clean.indices)
    assert not set(noisy.indices[is_wrong]) & set(clean.indices)
    assert set(noisy.indices[noisy.strata == 0]) == set(clean.indices[clean.strata == 0])


def test_the_upper_bound_has_the_same_wrong_labels_and_no_others():
    source = small_source()
    trial = draw(source, NOISY, 0)
    balanced = trial.balanced
    assert set(trial.train.indices) < set(balanced.indices)
    assert len(set(balanced.indices)) == len(balanced)
    assert (truth(source, balanced) != balanced.strata).sum() == 6


def test_without_images_to_spare_the_frequent_stratum_trains_on_so_many_less():
    source = small_source()
    noisy = draw(source, of_classes("x", {"a": 60, "b": 10}), 0).train
    assert np.bincount(noisy.labels).tolist() == [54, 10]
    noisy = draw(source, replace(of_classes("x", {"a": 60, "b": 10}), label_noise=0.3), 0).train
    assert np.bincount(noisy.labels).tolist() == [51, 10]
    assert np.bincount(truth(source, noisy)).tolist() == [54, 7]
    assert len(set(noisy.indices)) == 61


def test_the_seed_draws_the_wrong_labels_and_a_higher_share_has_those_of_a_lower_one():
    source = small_source()
    first, other = (set(draw(source, NOISY, seed).train.indices) for seed in (0, 1))
    assert first == set(draw(source, NOISY, 0).train.indices) != other
    wrong = []
    for share in (0.1, 0.4):
        part = draw(source, replace(of_classes("x", {"a": 40, "b": 10}), label_noise=share), 0).train
        wrong.append(set(part.indices[truth(source, part) != part.strata]))
    assert len(wrong[0]) == 1
    assert wrong[0] < wrong[1]


def test_test_images_are_clean_and_validation_images_too_unless_wanted():
    source = small_source(count=100)
    clean = draw(source, SICK, 0)
    noisy = draw(source, NOISY, 0)
    both = draw(source, replace(NOISY, noisy_validation=True), 0)
    for trial in (noisy, both):
        assert np.array_equal(trial.tests["test"].labels, clean.tests["test"].labels)
    assert np.array_equal(noisy.validation.indices, clean.validation.indices)
    assert np.array_equal(noisy.validation.strata, clean.validation.strata)
    found = both.validation
    assert np.bincount(found.strata).tolist() == [6, 10, 10]  # of ten each, two of a went to b and two to c
    assert np.bincount(found.strata[truth(source, found) != found.strata]).tolist() == [0, 2, 2]
    assert len(set(found.indices)) == len(found)
    assert np.array_equal(found.indices, draw(source, replace(NOISY, noisy_validation=True), 1).validation.indices)


def test_what_is_measured_on_says_so_and_clean_experiments_say_nothing():
    source = small_source()
    clean, trial = described(source, SICK, draw(source, SICK, 0)), draw(source, NOISY, 0)
    found = described(source, NOISY, trial)
    assert found.pop("label_noise") == 0.2
    assert found.pop("noisy_validation") is False
    assert found.pop("wrong_labels") == {"b": 4, "c": 2}
    assert found.keys() == clean.keys()
    assert told_counts(source, NOISY, trial) == "a 45, b 20 (4 of them wrong), c 10 (2 of them wrong)"


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ({"a": 40, "b": 30}, {"label_noise": 0.3}, "no stratum has less than half as many images as a, in another class"),
        ({"a": 40, "b": 4}, {"label_noise": 0.1}, r"of its rare strata \(b\) it is less than one image"),
        ({"a": 60, "b": 26, "c": 26}, {"label_noise": 0.6}, "takes 32 images of a in x, which has 54: too few would be left"),
        (
            {"a": 50, "b": 20},
            {"label_noise": 0.9, "noisy_validation": True},
            "a has too few validation images in x to replace the share 0.9",
        ),
    ],
)  # fmt: skip
def test_noise_that_cannot_be_is_refused_in_words(counts, options, message):
    with pytest.raises(ValueError, match=message):
        draw(small_source(), replace(of_classes("x", counts), **options), 0)
