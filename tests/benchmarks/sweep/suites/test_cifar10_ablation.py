"""The suite ``cifar10-ablation``."""

import pytest

from benchmarks.__main__ import main
from benchmarks.sweep.registry import SUITES
from tests.support.benchmark_images import small_source, write_folder


def test_it_says_how_many_images_it_needs(tmp_path, capsys):
    folder = write_folder(tmp_path / "few", {"airplane": 8, "cat": 8, "automobile": 8}, tested=2)
    with pytest.raises(SystemExit):
        main(["run", "cifar10-ablation", "--data-dir", str(folder), "--out", str(tmp_path / "out")])
    assert "5000 training images of class 'airplane' are wanted; there are 8" in capsys.readouterr().err


def test_its_experiments_are_those_of_tables_3_and_4():
    binary, three = SUITES["cifar10-ablation"].experiments(small_source(), True)
    assert binary.counts == {"airplane": 5000, "automobile": 50}
    assert three.counts == {"airplane": 5000, "cat": 500, "automobile": 25}


def test_it_alone_has_the_preset_as_published():
    assert [suite.name for suite in SUITES.values() if "as_published" in suite.presets] == ["cifar10-ablation"]
