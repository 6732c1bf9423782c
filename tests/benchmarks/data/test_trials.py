"""What a trial trains, validates and tests on."""

from dataclasses import replace

import numpy as np

from benchmarks.data.experiments import Experiment, imbalances, of_classes
from benchmarks.data.trials import described, draw, has_spare_images
from tests.support.benchmark_images import small_source

SICK = Experiment("x", "x", {"a": 50, "b": 8, "c": 4}, {"normal": ("a",), "abnormal": ("b", "c")})


def rows(part):
    return {image.tobytes() for image in part.images}


def test_the_counts_are_drawn_and_no_image_is_in_two_parts():
    trial = draw(small_source(), SICK, 0)
    assert np.bincount(trial.train.strata).tolist() == [50, 8, 4]
    assert np.bincount(trial.train.labels).tolist() == [50, 12]
    assert np.bincount(trial.validation.strata).tolist() == [6, 6, 6]  # a tenth of 60
    assert len(rows(trial.train)) == 62
    assert not rows(trial.train) & rows(trial.validation)
    assert not rows(trial.balanced) & rows(trial.validation)
    assert not rows(trial.tests["test"]) & (rows(trial.balanced) | rows(trial.validation))
    assert rows(trial.train) < rows(trial.balanced)


def test_a_stratum_without_images_to_spare_gives_up_a_tenth():
    trial = draw(small_source(), of_classes("x", {"a": 60, "b": 5}), 0)
    assert np.bincount(trial.train.labels).tolist() == [54, 5]
    assert np.bincount(trial.balanced.labels).tolist() == [54, 54]
    assert len(trial.validation) == 12  # of the two classes that take part
    whole = draw(small_source(), of_classes("x", {"a": 60, "b": 5}), 0, validate=False)
    assert np.bincount(whole.train.labels).tolist() == [60, 5]
    assert whole.validation is None


def test_a_rare_stratum_with_images_left_out_has_some_to_spare():
    source = small_source()
    assert has_spare_images(source, of_classes("x", {"a": 60, "b": 5}), validate=False)
    assert has_spare_images(source, of_classes("x", {"a": 30, "b": 20}), validate=True)
    assert not has_spare_images(source, of_classes("x", {"a": 30, "b": 30}), validate=True)  # nothing to raise
    rest = replace(source, images=source.images[:70], stratum=source.stratum[:70])
    assert not has_spare_images(rest, of_classes("x", {"a": 60, "b": 10}), validate=False)
    assert has_spare_images(rest, of_classes("x", {"a": 60, "b": 9}), validate=False)


def test_a_seed_draws_the_training_images_and_nothing_else():
    first, again, other = (draw(small_source(), SICK, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.train.images, again.train.images)
    assert not np.array_equal(first.train.images, other.train.images)
    assert np.array_equal(first.validation.images, other.validation.images)
    assert np.array_equal(first.tests["test"].images, other.tests["test"].images)


def test_experiments_draw_independently():
    first, second = imbalances("a", ["b", "c"], {"a": 40, "b": 40, "c": 40})[1:3]
    assert first.draw != second.draw
    drawn = [rows(draw(small_source(), replace(second, draw=number), 0).train) for number in (first.draw, second.draw)]
    assert drawn[0] != drawn[1]


def test_an_official_validation_split_is_validated_on():
    source = replace(small_source(), held_out=np.arange(180) % 3 == 0)
    assert len(draw(source, SICK, 0).validation) == 60


def test_images_of_the_test_set_keep_several_sub_conditions():
    source = small_source()
    test = source.tests["test"]
    test.members[-1] = [False, True, True]
    test.members[-2] = [False, False, False]
    unfiltered = type(test)(test.images, test.members, ~test.members[:, 0])
    source = type(source)(source.name, source.strata, source.images, source.stratum, {"test": unfiltered})
    tested = draw(source, SICK, 0).tests["test"]
    assert len(tested) == 60
    assert tested.labels.tolist() == [0] * 20 + [1] * 40
    assert tested.strata[-2:].tolist() == [-1, -1]
    only_two = draw(small_source(), of_classes("x", {"c": 20, "a": 5}), 0).tests["test"]
    assert only_two.labels.tolist() == [1] * 20 + [0] * 20  # the images of b are left out


def test_the_description_tells_other_data_apart():
    source = small_source()
    trial = draw(source, SICK, 0)
    found = described(source, SICK, trial)
    assert found["counts"] == {"a": 50, "b": 8, "c": 4}
    assert found["raised_to"] == {"a": 50, "b": 25, "c": 25}
    assert found["test_counts"] == {"test": [20, 40]}
    images = source.images.copy()
    images[0, 0, 0, 0] ^= 1
    other = type(source)(source.name, source.strata, images, source.stratum, source.tests)
    assert described(other, SICK, trial)["digest"] != found["digest"]
