"""The suite ``folder``, on a folder of small images."""

import pytest

from tests.support.suite_runs import experiments_of
from tests.support.tiny_runs import write_waves


def test_each_class_but_the_normal_one_is_a_sub_condition(tmp_path):
    data = write_waves(tmp_path / "data")
    experiments = experiments_of("folder", data, tmp_path / "out", image_size=16, normal="well")
    assert len(experiments) == 5
    assert experiments[0].classes == {"normal": ("well",), "abnormal": ("cough", "fever")}


def test_the_normal_class_must_be_named(tmp_path):
    data = write_waves(tmp_path / "data")
    with pytest.raises(
        ValueError, match="--normal CLASS is needed: which of cough, fever, well are all others compared with"
    ):
        experiments_of("folder", data, tmp_path / "out", image_size=16)
