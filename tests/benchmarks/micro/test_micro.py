"""The micro-benchmarks: what is measured is measured right, and rows that take sizes run on little data."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from benchmarks.__main__ import main
from benchmarks.micro import command, other_processes
from benchmarks.micro.centroids import refresh
from benchmarks.micro.command import checked_rows, run_micro
from benchmarks.micro.growth import growth
from benchmarks.micro.items import epoch, items
from benchmarks.micro.loss import loss
from benchmarks.micro.measure import Measurement, Target, in_own_process, spread, take_turns
from benchmarks.micro.other_processes import OtherProcesses
from benchmarks.micro.plans import large_plan, neighbors, plan, plan_from_files
from benchmarks.micro.report import numbers_of, table_of, write_report
from benchmarks.micro.rows import Row, read_rows
from benchmarks.micro.startup import startup
from benchmarks.micro.steps import ADDED, Setting, step
from benchmarks.micro.triplets import triplets
from tests.support.committed import RESULTS, assert_committed

SENT = "sent to a spawned worker beyond the base data set"


def measured(ours, theirs, at_most):
    return Measurement("case", "time", "s", {"ours": ours, "theirs": theirs}, Target(at_most, "theirs"))


def a_row(name, *measurements, processors=None):
    return Row(name, {"cpus": 2, "threads": 2}, 1.0, processors, measurements)


def test_a_result_is_the_median_of_the_ratios_turn_by_turn():
    measurement = measured([1.0, 9.0, 2.0], [4.0, 4.0, 1.0], at_most=2.0)
    assert measurement.ratios("theirs") == [0.25, 2.25, 2.0]
    assert measurement.result == 2.0
    alone = Measurement("case", "size", "MB", {"ours": [3.0, 5.0, 4.0]}, Target(4))
    assert alone.result == 4.0


@pytest.mark.parametrize(
    ("values", "outcome"),
    [([9.0, *[3.9] * 10], "met"), ([2.0, *[4.1] * 10], "missed"), ([*[3.9] * 5, *[4.1] * 6], "undecided"),
     ([4.0], "met"), ([4.1], "missed"), ([3.0, 3.0, 4.1], "undecided"), ([3.0, 3.0, 4.0], "met")],
)  # fmt: skip
def test_a_target_in_the_interval_of_the_median_is_undecided(values, outcome):
    measurement = Measurement("case", "size", "MB", {"ours": values}, Target(4))
    assert measurement.outcome == outcome
    assert outcome in measurement.verdict
    assert Measurement("case", "size", "MB", {"ours": values}).outcome is None


def test_a_measurement_survives_json():
    measurement = measured([1.0, 2.0], [3.0, 4.0], at_most=0.5)
    assert Measurement.from_json(json.loads(json.dumps(measurement.to_json()))) == measurement


@pytest.mark.parametrize(
    ("values", "unit", "text"),
    [
        ([1.0, 2.0, 3.0], "s", "2 (±0.5) s"),
        ([0.012], "s", "12 ms"),
        ([5e-6, 7e-6], "s", "6 (±0.5) µs"),
        ([0.5], "MB", "0.5 MB"),
        ([1.25], "", "1.25"),
        ([5580.0], "MB", "5,580 MB"),
        ([1400.0, 1500.0, 3400.0], "MB", "1,500 (±500) MB"),
    ],
)
def test_values_are_shown_in_a_unit_that_reads_easily(values, unit, text):
    assert spread(values, unit) == text


def test_contestants_take_turns_and_a_slow_one_takes_longer():
    order = []

    def of(name, seconds):
        return lambda: order.append(name) or time.sleep(seconds)

    values = take_turns({"slow": of("slow", 0.02), "fast": of("fast", 0.002)}, repeats=4, at_least=0, warm_up=0)
    assert order == ["slow", "fast", "fast", "slow"] * 2
    assert [len(row) for row in values.values()] == [4, 4]
    assert np.median(values["slow"]) >= 0.02 > np.median(values["fast"]) >= 0.002
    order.clear()
    take_turns({"a": of("a", 0)}, repeats=1, at_least=0.1)
    assert len(order) > 10  # too short to be timed alone


def allocation(megabytes):
    def work():
        return np.ones(megabytes * 2**17)

    return work


@pytest.mark.slow
def test_memory_is_that_of_the_work_alone_and_not_of_the_parent():
    held = np.ones(300 * 2**17)  # 300 MB of this process, whose peak a child must not take for its own
    seconds, megabytes = in_own_process(allocation, 160)
    assert 150 < megabytes < 180
    assert seconds > 0
    assert held[0] == 1


def test_a_measurement_that_is_not_over_a_peer_is_told_with_its_unit():
    alone = Measurement("case", "size", "MB", {"ours": [19.3]}, Target(25))
    assert alone.verdict == "19.3 MB, target <= 25 MB: met"
    assert measured([1.0], [2.0], 0.25).verdict == "0.5, target <= 0.25 x theirs: missed"


@pytest.fixture
def two_rows(monkeypatch):
    rows = {"first": lambda: iter([measured([1.0], [1.0], 0.5)]), "second": lambda: iter([measured([0.1], [1.0], 0.5)])}
    monkeypatch.setattr(command, "ROWS", rows)
    return rows


def test_a_row_replaces_itself_and_leaves_others_alone(two_rows, tmp_path):
    console = Console(quiet=True)
    other = a_row("of-another-version", measured([1.0], [1.0], 1))
    other.save(tmp_path)
    run_micro(["first", "second"], tmp_path, console)
    two_rows["first"] = lambda: iter([measured([2.0], [1.0], 0.5)])
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

    two_rows["second"] = broken_off
    with pytest.raises(SystemExit, match=r"Broken off\. Rows that were finished are kept\.$"):
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


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("seconds", "long"),
        ("environment", None),
        ("other_processes", "many"),
        ("measurements", [{"values": {"a": 3}}]),
        *(
            ("measurements", [{**measured([1.0], [1.0], 1).to_json(), **change}])
            for change in (
                {"values": {}},
                {"values": {"ours": [], "theirs": []}},
                {"values": {"ours": [1.0], "theirs": [1.0, 2.0]}},
                {"target": {"at_most": 1, "against": "nobody"}},
                {"target": {"at_most": "little", "against": "theirs"}},
            )
        ),
    ],
)
def test_a_row_with_values_of_another_kind_is_named(change, value, tmp_path):
    path = a_row("first", measured([1.0], [1.0], 1), processors=0.5).save(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), change: value}))
    with pytest.raises(ValueError, match=r"first\.json is no row"):
        read_rows(tmp_path)


def test_a_folder_by_the_name_of_a_row_is_named(tmp_path):
    (tmp_path / "first.json").mkdir()
    with pytest.raises(ValueError, match=r"first\.json is no row of micro-benchmarks \(IsADirectoryError"):
        read_rows(tmp_path)


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


def test_what_other_processes_use_is_what_the_machine_is_busy_with_beyond_our_own(monkeypatch):
    # wall, machine, own; then a time too short for the machine's count, which is behind at first and then ahead
    counts = iter([(100.0, 50.0, 5.0), (110.0, 61.0, 8.0), (0, 0, 0), (0.01, 0, 0.01), (0, 0, 0), (0.001, 99, 0)])
    monkeypatch.setattr(other_processes, "_counts", lambda: next(counts))
    assert OtherProcesses().processors() == 0.8
    assert OtherProcesses().processors() == 0
    assert OtherProcesses().processors() == os.cpu_count()
    monkeypatch.setattr(other_processes, "_counts", lambda: None)
    assert OtherProcesses().processors() is None


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells how busy its processors are")
def test_work_of_this_process_and_of_its_ended_children_is_its_own():
    before, end = other_processes._counts(), time.process_time() + 0.5
    while time.process_time() < end:
        pass
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
    wall, machine, own = np.subtract(other_processes._counts(), before)
    assert own >= 0.9
    assert machine >= 0.8
    assert own < 2 * wall


@pytest.mark.parametrize(("processors", "told"), [(None, False), (0.2, False), (0.3, True)])
def test_a_row_measured_beside_other_processes_says_so(processors, told, tmp_path):
    row = a_row("busy", measured([1.0], [1.0], 1), processors=processors)
    assert row.is_disturbed == told
    write_report([row], tmp_path)
    text = (tmp_path / "micro.md").read_text()
    assert ("even ratios may be wrong: busy (0.3 processors)" in text) == told
    assert ("not recorded whether other processes ran: busy" in text) == (processors is None)
    free = Row("free", {"cpus": 16, "threads": 2}, 1.0, processors, ())
    assert not free.is_disturbed


def test_what_other_processes_used_is_told_and_kept(two_rows, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(OtherProcesses, "processors", lambda self: 7.25)
    main(["micro", "first", "--out", str(tmp_path)])
    assert "first: other processes (or guests of the same host) used 7.2 of the" in capsys.readouterr().out
    assert read_rows(tmp_path)[0].other_processes == 7.25


def test_the_committed_table_is_that_of_the_committed_measurements(tmp_path):
    folder = RESULTS / "micro"
    rows = read_rows(folder)
    assert {row.name for row in rows} | {"gpu"} == set(command.ROWS)
    assert_committed(write_report(rows, tmp_path), folder)


def test_missed_targets_come_first_and_then_those_that_may_be():
    rows = [a_row("met", measured([0.1], [1.0], 0.5)),
            a_row("none", Measurement("case", "time", "s", {"ours": [1.0]})),
            a_row("undecided", measured([0.4, 0.6], [1.0, 1.0], 0.5)),
            a_row("missed", measured([0.9], [1.0], 0.5))]  # fmt: skip
    assert [row[0] for row in table_of(rows).rows] == ["missed", "undecided", "met", "none"]


def test_the_numbers_are_a_line_for_each_contestant():
    ours, theirs = numbers_of([a_row("row", measured([1.0, 2.0, 3.0], [4.0, 4.0, 4.0], 0.25))]).rows
    assert ours == ("row", "case", "time", "s", "ours", "3", "1.5", "2", "2.5", "0.5", "0.25", "theirs", "undecided")
    assert theirs == ("row", "case", "time", "s", "theirs", "3", "4", "4", "4", "", "", "", "")


@pytest.mark.parametrize(
    ("row", "quantities"),
    [
        pytest.param(lambda: plan(40, 10, 8, repeats=1), ["time", "extra memory"], marks=pytest.mark.slow),
        (lambda: plan_from_files(40, 10), ["time"]),
        (lambda: large_plan(1_000, 100), ["size", "time", SENT]),
        pytest.param(lambda: items(sizes=[8], repeats=2), ["time"] * 6, marks=pytest.mark.slow),
        (
            lambda: epoch(count=64, epochs=2),
            ["time", "memory of the workers after 2 more epochs, over that after the first"],
        ),
        (lambda: loss(shapes=[(8, 3, 16)]), ["time", "time beyond CrossEntropyLoss"]),
        (lambda: neighbors([(80, 10, 40, 1)]), ["time", "not exact"]),
        (lambda: refresh(majority=100, minority=20, size=32), ["time", "time, running means"]),
        (
            lambda: step((Setting("test_resnet", 32, 8, 2), Setting("test_resnet", 32, 8, 2, amp=True))),
            ["time", ADDED] * 2,
        ),
        (
            lambda: triplets(size=32, majority=40, minority=10),
            ["time of an anchor, sampling='dataset'", "time of an anchor, sampling='batch'"],
        ),
    ],
    ids=["plan", "plan-from-files", "large-plan", "items", "epoch", "loss", "neighbors", "refresh", "step", "triplets"],
)
def test_a_row_that_takes_sizes_runs_on_little_data(row, quantities):
    found = list(row())
    assert [measurement.quantity for measurement in found] == quantities
    for measurement in found:
        assert all(np.isfinite(values).all() for values in measurement.values.values())
        if measurement.quantity.startswith("time") and "beyond" not in measurement.quantity:
            assert all(min(values) > 0 for values in measurement.values.values())
    if "time beyond CrossEntropyLoss" in quantities:
        # the base of the second is kept in the first
        assert [len(measurement.values) for measurement in found] == [4, 3]
    if quantities[-1] == "not exact":
        assert found[-1].values["clesmote_losses"] == [0.0]


@pytest.mark.slow
def test_a_compiled_step_breaks_no_graph():
    _, _, breaks = step((Setting("test_resnet", 32, 8, 1, compiled=True),))
    assert breaks.outcome == "met"


@pytest.mark.slow
def test_startup_is_timed_in_interpreters_of_its_own():
    imported, commands, beyond = startup(turns=1)
    assert 0 < imported.result < commands.result
    assert beyond.result == pytest.approx(commands.result - commands.values["import timm"][0])


@pytest.mark.slow
def test_growth_gives_curves_and_exponents():
    found = list(growth(minority=(100, 200)))
    fitted = [m.case for m in found if m.quantity == "fitted exponent"]
    assert fitted == ["plan: n minority images of 8x8x3", "refresh: n classes, 2,000 embeddings of width 512"]
    assert [m.case for m in found if m.quantity == "extra memory"] == [
        "plan: 100 minority images of 8x8x3", "plan: 200 minority images of 8x8x3"]  # fmt: skip
