from dataclasses import replace

import numpy as np
import pytest

from benchmarks.compare.splits import FOLDS, check_splits, split
from tests.support.benchmark_images import small_source


def own_images(counts, patients=None):
    """A source whose images are numbered by their first pixels, and without test images."""
    stratum = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(stratum), 4, 4, 3), dtype=np.uint8)
    images[:, 0, 0, :2] = np.stack(np.divmod(np.arange(len(stratum)), 256), axis=1)
    return replace(small_source(), images=images, stratum=stratum, tests={}, patient=patients)


def numbers(images):
    return images[:, 0, 0, 0].astype(int) * 256 + images[:, 0, 0, 1]


def parts(data):
    """Numbers of the images for training, validation and test."""
    own = numbers(data.images)
    return own[~data.held_out], own[data.held_out], numbers(data.tests["test"].images)


def test_each_image_is_in_one_part_and_tested_once_in_a_repetition():
    source = own_images([300, 40, 11])
    tested = []
    for number in range(FOLDS):
        found = parts(split(source, number, 0))
        assert sorted(np.concatenate(found)) == list(range(351))
        tested.append(found[2])
    assert sorted(np.concatenate(tested)) == list(range(351))


def test_classes_have_their_share_of_each_part():
    data = split(own_images([300, 50, 25]), 2, 0)
    train, validation = data.split
    assert np.bincount(data.stratum[train]).tolist() == [180, 30, 15]
    assert np.bincount(data.stratum[validation]).tolist() == [60, 10, 5]
    assert data.tests["test"].members.sum(0).tolist() == [60, 10, 5]


def test_labels_go_with_their_images():
    source = own_images([300, 40, 11])
    data = split(source, 7, 3)
    assert np.array_equal(data.stratum, source.stratum[numbers(data.images)])
    tested = source.stratum[numbers(data.tests["test"].images)]
    assert np.array_equal(data.tests["test"].members.argmax(1), tested)


def test_the_same_number_and_seed_give_the_same_split_and_others_give_another():
    source = own_images([300, 40, 11])
    tested = [parts(split(source, *which))[2].tolist() for which in ((6, 0), (6, 0), (1, 0), (6, 1))]
    assert tested[0] == tested[1]
    assert tested[0] not in tested[2:]


def test_a_group_is_in_one_part():
    rng = np.random.default_rng(0)
    source = own_images([200, 60, 60], patients=rng.integers(0, 60, 320).astype(str))
    for number in range(2 * FOLDS):
        of = [set(source.patient[part]) for part in parts(split(source, number, 0))]
        assert all(of)
        assert not of[0] & of[1] | of[0] & of[2] | of[1] & of[2]


def test_a_class_with_too_few_images_is_refused():
    check_splits(own_images([100, 50, 10]), 0)
    with pytest.raises(ValueError, match="class 'c' has 9 images; 10 are needed"):
        check_splits(own_images([100, 50, 9]), 0)


def test_a_class_with_too_few_groups_is_refused():
    patients = np.array([*map(str, range(100)), *["p"] * 10, *["q"] * 10])
    with pytest.raises(
        ValueError, match=r"class '[bc]' cannot be in training, validation and test: it has 10 images in 1 group"
    ):
        check_splits(own_images([100, 10, 10], patients), 0)
