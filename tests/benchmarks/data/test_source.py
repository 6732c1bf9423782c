"""What a source holds, and how it is split."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.data.source import Images
from tests.support.benchmark_images import small_source


def test_images_give_pixels_and_labels_through_the_transform():
    source = small_source(count=3)
    plain = Images(source.images, source.stratum)
    assert len(plain) == 9
    assert np.array_equal(plain[4][0], source.images[4])
    assert [label for _, label in plain] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert Images(source.images, source.stratum, lambda image: image.shape)[0] == ((16, 16, 3), 0)


def test_a_stratum_without_images_counts_as_none():
    source = replace(small_source(("a", "b")), strata=("a", "b", "empty"))
    assert source.available == {"a": 60, "b": 60, "empty": 0}


def test_the_validation_set_is_a_tenth_of_each_stratum_and_the_same_each_time():
    source = small_source()
    pool, validation = source.split
    assert np.bincount(source.stratum[validation]).tolist() == [6, 6, 6]
    assert sorted([*pool, *validation]) == list(range(180))
    assert source.left == {"a": 54, "b": 54, "c": 54}
    assert np.array_equal(small_source().split[1], validation)


def test_too_few_images_for_a_split_are_refused():
    with pytest.raises(ValueError, match="no validation set can be held out of waves"):
        _ = small_source(count=1).split


def test_any_change_of_the_data_changes_the_digest():
    source = small_source()
    test = source.tests["test"]
    found = {
        source.digest,
        replace(source, stratum=source.stratum[::-1].copy()).digest,
        replace(source, patient=np.arange(180)).digest,
        replace(source, held_out=np.arange(180) < 9).digest,
        replace(source, tests={"test": replace(test, images=255 - test.images)}).digest,
        replace(source, tests={"test": replace(test, members=~test.members)}).digest,
        replace(source, tests={"test": replace(test, is_abnormal=test.members[:, 0])}).digest,
    }
    assert len(found) == 7
    assert small_source().digest == source.digest


def test_an_official_validation_split_is_kept():
    source = replace(small_source(), held_out=np.arange(180) % 3 == 0)
    assert source.split[1].tolist() == list(range(0, 180, 3))


def test_patients_never_cross_a_split():
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 70, 180)  # of several strata each
    source = small_source(patients=patients)
    pool, validation = source.split
    assert len(pool) + len(validation) == 180
    assert not set(patients[pool]) & set(patients[validation])
    assert set(source.stratum[validation]) == {0, 1, 2}
    assert 9 < len(validation) < 30


def test_a_stratum_of_one_patient_cannot_be_split():
    patients = np.arange(180)
    patients[120:] = 120
    with pytest.raises(ValueError, match="class 'c' has no image left for"):
        _ = small_source(patients=patients).split
