"""The command runs rows, keeps them, and refuses what cannot be measured."""

import sys

import pytest
from rich.console import Console

import benchmarks.micro
from benchmarks.__main__ import main
from benchmarks.lookup import Lookup
from benchmarks.micro import command
from benchmarks.micro.command import checked_rows, run_micro
from benchmarks.micro.measure import Benchmark
from benchmarks.micro.other_processes import OtherProcesses
from benchmarks.micro.report import write_report
from benchmarks.micro.rows import read_rows
from tests.support.measurements import a_row, measured


@pytest.fixture
def two_rows(monkeypatch):
    first = Benchmark("first", lambda: iter([measured([1.0], [1.0], 0.5)]))
    second = Benchmark("second", lambda: iter([measured([0.1], [1.0], 0.5)]))
    rows = Lookup.by_name("row", (first, second))
    monkeypatch.setattr(command, "ROWS", rows)
    return rows


def test_a_row_replaces_itself_and_leaves_others_alone(two_rows, tmp_path):
    console = Console(quiet=True)
    other = a_row("of-another-version", measured([1.0], [1.0], 1))
    other.save(tmp_path)
    run_micro(["first", "second"], tmp_path, console)
    two_rows["first"] = Benchmark("first", lambda: iter([measured([2.0], [1.0], 0.5)]))
    run_micro(["first"], tmp_path, console)
    first, kept_other, second = read_rows(tmp_path)
    assert kept_other == other
    assert first.measurements == (measured([2.0], [1.0], 0.5),)
    assert second.measurements == (measured([0.1], [1.0], 0.5),)
    assert first.environment["torch"]
    text = (tmp_path / "micro.md").read_text()
    assert text.index("2, target <= 0.5 x theirs: missed") < text.index("0.1, target <= 0.5 x theirs: met")
    assert "of-another-version" in text
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_report(read_rows(tmp_path), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_check_ends_with_1_over_so_many_times_the_target(two_rows, tmp_path, capsys):
    main(["micro", "--check", "2", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        main(["micro", "--check", "1.9", "--out", str(tmp_path)])
    assert end.value.code == 1
    assert "More than 1.9 times its target: first: case, time: 1, target <= 0.5 x theirs\n" in capsys.readouterr().out


@pytest.mark.parametrize("factor", ["0", "-1", "nan", "inf", "abc"])
def test_a_factor_that_would_check_nothing_is_refused(factor, capsys):
    with pytest.raises(SystemExit) as end:
        main(["micro", "loss", f"--check={factor}"])
    assert end.value.code == 2
    assert "above 0" in capsys.readouterr().err


def test_rows_that_were_done_are_in_the_table_when_a_later_one_is_broken_off(two_rows, tmp_path, capsys):
    def broken_off():
        raise KeyboardInterrupt
        yield

    two_rows["second"] = Benchmark("second", broken_off)
    with pytest.raises(SystemExit, match=r"Interrupted\. Finished rows are kept\.$"):
        main(["micro", "--out", str(tmp_path)])
    assert [row.name for row in read_rows(tmp_path)] == ["first"]
    assert "1, target <= 0.5 x theirs: missed" in (tmp_path / "micro.md").read_text()


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", "null", '{"measurements": 3}', '{"measurements": [{"case": "a"}]}', "{"]
)
def test_a_file_that_is_no_row_is_named_before_anything_is_measured(content, two_rows, tmp_path):
    (tmp_path / "first.json").write_text(content)
    with pytest.raises(ValueError, match=r"first\.json is no row of micro-benchmarks .*Take it out"):
        checked_rows(["second"], tmp_path)


def test_a_row_that_is_not_there_and_a_folder_that_cannot_be_are_refused(two_rows, tmp_path):
    with pytest.raises(ValueError, match="no row 'frist'; there are first, second"):
        checked_rows(["frist"], tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file cannot be written to: File exists"):
        checked_rows([], tmp_path / "file")
    assert checked_rows([], tmp_path / "a" / "b") == ["first", "second"]
    assert checked_rows(["second", "second"], tmp_path) == ["second"]


def test_the_row_of_a_gpu_is_refused_without_one(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="the row gpu needs a GPU"):
        checked_rows(["gpu"], tmp_path)
    assert "gpu" not in checked_rows([], tmp_path)


def test_rows_that_read_memory_are_refused_where_the_system_does_not_tell_it(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ValueError, match="the row epoch needs Linux"):
        checked_rows(["loss", "epoch"], tmp_path)
    assert not {"plan-32", "epoch", "growth"} & set(checked_rows([], tmp_path))
    assert "loss" in checked_rows([], tmp_path)


def test_the_help_says_what_each_row_measures(capsys):
    with pytest.raises(SystemExit):
        main(["micro", "--help"])
    text = capsys.readouterr().out
    for name in command.ROWS:
        assert any(line.split()[0] == name and len(line.split()) > 3 for line in text.splitlines() if line), name


def test_what_other_processes_used_is_told_and_kept(two_rows, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(OtherProcesses, "processors", lambda self: 7.25)
    main(["micro", "first", "--out", str(tmp_path)])
    assert "first: other processes (or guests of the same host) used 7.2 of the" in capsys.readouterr().out
    assert read_rows(tmp_path)[0].other_processes == 7.25


def test_a_new_file_of_the_folder_adds_its_rows(monkeypatch, tmp_path):
    (tmp_path / "of_tomorrow.py").write_text(
        "from benchmarks.micro.measure import Benchmark\n\n\ndef row():\n    yield from ()\n\n\n"
        'BENCHMARKS = (Benchmark("of-tomorrow", row),)\n'
    )
    monkeypatch.setattr(benchmarks.micro, "__path__", [*benchmarks.micro.__path__, str(tmp_path)])
    found = command._find()
    assert found.keys() - command.ROWS.keys() == {"of-tomorrow"}
    monkeypatch.delitem(sys.modules, "benchmarks.micro.of_tomorrow")
