"""The suite ``folder``, on a folder of small images."""

import pytest

from benchmarks.__main__ import main
from benchmarks.sweep.store import read_records
from tests.support.benchmark_images import write_folder
from tests.support.suite_runs import TINY, experiments_of
from tests.support.tiny_runs import write_waves


def test_each_class_but_the_normal_one_is_a_sub_condition(tmp_path):
    data = write_waves(tmp_path / "data")
    experiments = experiments_of("folder", data, tmp_path / "out", image_size=16, normal="well", as_is=False)
    assert len(experiments) == 5
    assert experiments[0].classes == {"normal": ("well",), "abnormal": ("cough", "fever")}


@pytest.mark.parametrize(
    ("options", "classes"),
    [
        ({}, {"cough": ("cough",), "fever": ("fever",), "well": ("well",)}),
        ({"normal": "well"}, {"normal": ("well",), "abnormal": ("cough", "fever")}),
    ],
)
def test_no_image_is_cut_away_unasked(options, classes, tmp_path):
    data = write_folder(tmp_path / "data", {"cough": 30, "fever": 20, "well": 60})
    (experiment,) = experiments_of("folder", data, tmp_path / "out", image_size=16, **options)
    assert experiment.counts == {"cough": 27, "fever": 18, "well": 54}  # a tenth is for validation
    assert experiment.classes == classes


def test_a_run_says_what_it_trains_on_and_how_long_it_takes_before_it_begins(tmp_path, capsys):
    data = write_folder(tmp_path / "data", {"few": 6, "many": 120})
    main(["run", "folder", "--data-dir", str(data), "--out", str(tmp_path / "out"), "--image-size", "16", *TINY,
          "--no-validation"])  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "as-is: few 6, many 120"
    assert lines[1].startswith("2 runs to make, on cpu, 1 at a time: about a minute at most (")
    assert [r["config"]["experiment"]["counts"] for r in read_records(tmp_path / "out").values()] == [
        {"few": 6, "many": 120}
    ] * 2


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ({"a": 20, "b": 20}, [], "equally many training images, so no method has anything to do"),
        ({"a": 60, "b": 10}, ["--methods", "balanced"], "no class has images to spare, so it would be no method"),
        ({"a": 60, "b": 10}, ["--experiments", "interclass"], "no experiment 'interclass' in folder; there are as-is"),
    ],
)
def test_what_could_show_nothing_is_refused(counts, options, message, tmp_path, capsys):
    data = write_folder(tmp_path / "data", counts)
    with pytest.raises(SystemExit):
        main(["run", "folder", "--data-dir", str(data), "--out", str(tmp_path / "out"), "--image-size", "16", *options])
    assert message in capsys.readouterr().err


def test_the_normal_class_must_be_named_for_the_papers_kinds(tmp_path):
    data = write_waves(tmp_path / "data")
    with pytest.raises(
        ValueError, match="--normal CLASS is needed: which of cough, fever, well are all others compared with"
    ):
        experiments_of("folder", data, tmp_path / "out", image_size=16, as_is=False)
