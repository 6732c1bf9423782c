import json

import pytest

from benchmarks.__main__ import main
from benchmarks.compare.command import WORTH_TRYING, parse_duration
from benchmarks.methods.registry import METHODS
from tests.support.benchmark_images import write_folder
from tests.support.tiny_runs import lines

TINY = ["--image-size", "16", "--steps", "6", "--batch-size", "8", "--lr", "1e-3", "1e-2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of two classes, of which one is rare."""
    return write_folder(tmp_path_factory.mktemp("mine") / "waves", {"well": 30, "cough": 12}, parts=("train",))


def command(folder, out, *options):
    """Compare two methods on the images."""
    given = ["--budget", "0.01s", "--methods", "weighted", *options]
    return ["compare", "--data-dir", str(folder), "--out", str(out), *TINY, *given]


@pytest.fixture(autouse=True)
def _quick_estimate(monkeypatch):
    """Take a run for short, however busy the machine is."""
    monkeypatch.setattr("benchmarks.compare.command.measure_step", lambda run, device: 1e-6)


def refused(capsys, *arguments):
    """Return the message that the command ends with."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_comparison_ends_with_a_verdict_and_is_not_made_twice(folder, tmp_path, capsys):
    main(command(folder, tmp_path))
    out = capsys.readouterr().out
    assert out.index("cough: 12 images (1 : 2.5)") < out.index("splits of 2 runs") < out.index("Nothing differs")
    assert f"Only {folder / 'train'} is used" in out
    records = lines(tmp_path)
    assert len(records) == 8  # two learning rates of two methods on the first of three splits
    assert {record["config"]["method"]["name"] for record in records} == {"none", "weighted"}
    assert "No method" in (tmp_path / "report.html").read_text()
    main(command(folder, tmp_path))
    assert lines(tmp_path) == records
    assert f"{len(records)} runs are in" in capsys.readouterr().out


def test_what_was_interrupted_is_continued(folder, tmp_path, capsys, monkeypatch):
    from benchmarks.compare.comparison import SplitRun

    make, made = SplitRun.make, []

    def make_seven(run, device, **options):
        if len(made) == 7:
            raise KeyboardInterrupt
        made.append(run.id)
        return make(run, device, **options)

    monkeypatch.setattr(SplitRun, "make", make_seven)
    with pytest.raises(SystemExit, match=r"Interrupted\. Finished runs are kept"):
        main(command(folder, tmp_path))
    assert "2 splits" in (tmp_path / "report.md").read_text()  # those that are whole
    monkeypatch.setattr(SplitRun, "make", make)
    main(command(folder, tmp_path))
    ids = [record["id"] for record in lines(tmp_path)]
    assert ids[:7] == made
    assert len(set(ids)) == len(ids) == 8
    assert "3 splits" in (tmp_path / "report.md").read_text()


def test_other_options_in_the_same_folder_are_refused(folder, tmp_path, capsys):
    main(command(folder, tmp_path))
    kept = lines(tmp_path)
    message = refused(capsys, *command(folder, tmp_path, "--steps", "7"))
    assert "holds a comparison with other steps" in message
    assert "other methods" in refused(capsys, *command(folder, tmp_path, "--methods", "focal"))
    assert "other images" in refused(capsys, *command(folder, tmp_path, "--image-size", "18"))
    assert lines(tmp_path) == kept


def test_lines_of_another_command_are_refused(folder, tmp_path, capsys):
    (tmp_path / "runs.jsonl").write_text(json.dumps({"id": "a"}) + "\n")
    assert "holds runs of another command" in refused(capsys, *command(folder, tmp_path))


def test_a_budget_that_is_too_short_is_refused_and_leaves_the_folder_free(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.compare.command.measure_step", lambda run, device: 0.03)
    message = refused(capsys, *command(folder, tmp_path))
    assert "3 splits, the fewest, take about 3 s, and --budget is 0 s" in message
    monkeypatch.setattr("benchmarks.compare.command.measure_step", lambda run, device: 0.00015)
    main(command(folder, tmp_path, "--steps", "7"))
    assert "take about 0 s, and --budget is 0 s: they are made all the same" in capsys.readouterr().out
    assert "7 steps of 8 images" in (tmp_path / "report.md").read_text()


def test_wrong_options_are_refused(folder, tmp_path, capsys):
    assert "no method 'weihgted'" in refused(capsys, *command(folder, tmp_path, "--methods", "weihgted"))
    assert "Name another one" in refused(capsys, *command(folder, tmp_path, "--methods", "none"))
    assert "no more to spare" in refused(capsys, *command(folder, tmp_path, "--methods", "balanced"))
    assert "timm has no model" in refused(capsys, *command(folder, tmp_path, "--model", "resnett"))
    assert "--frozen needs --weights" in refused(capsys, *command(folder, tmp_path, "--frozen"))
    assert "wanted a time such as" in refused(capsys, *command(folder, tmp_path, "--budget", "30"))


def test_classes_that_are_equally_many_are_refused(tmp_path, capsys):
    data = write_folder(tmp_path / "equal", {"a": 12, "b": 12}, parts=("train",))
    assert "equally many images" in refused(capsys, *command(data, tmp_path / "out"))


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400)])
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == seconds


def test_the_methods_worth_trying_are_methods():
    assert WORTH_TRYING[0] == "none"
    assert {METHODS[name].name for name in WORTH_TRYING} == set(WORTH_TRYING)
