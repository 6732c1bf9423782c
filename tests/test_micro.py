"""The micro-benchmarks: what is measured is measured right, and rows that take sizes run on little data."""

import json
import time

import numpy as np
import pytest
from committed import RESULTS, assert_committed
from rich.console import Console

from benchmarks.micro import command
from benchmarks.micro.centroids import refresh
from benchmarks.micro.command import run_micro
from benchmarks.micro.growth import growth
from benchmarks.micro.items import epoch, items
from benchmarks.micro.loss import loss
from benchmarks.micro.measure import Measurement, Target, in_own_process, spread, take_turns
from benchmarks.micro.plans import large_plan, neighbors, plan, plan_from_files
from benchmarks.micro.report import table_of, write_report
from benchmarks.micro.startup import startup
from benchmarks.micro.steps import ADDED, Setting, step
from benchmarks.micro.triplets import triplets

SENT = "sent to a spawned worker beyond the base data set"


def measured(ours, theirs, at_most, row="row"):
    return Measurement(row, "case", "time", "s", {"ours": ours, "theirs": theirs}, Target(at_most, "theirs"))


def test_a_result_is_the_median_of_the_ratios_turn_by_turn():
    measurement = measured([1.0, 9.0, 2.0], [4.0, 4.0, 1.0], at_most=2.0)
    assert measurement.ratios("theirs") == [0.25, 2.25, 2.0]
    assert measurement.result == 2.0
    alone = Measurement("row", "case", "size", "MB", {"ours": [3.0, 5.0, 4.0]}, Target(4))
    assert alone.result == 4.0


@pytest.mark.parametrize(
    ("values", "outcome"),
    [([9.0, *[3.9] * 10], "met"), ([2.0, *[4.1] * 10], "missed"), ([*[3.9] * 5, *[4.1] * 6], "undecided"),
     ([4.0], "met"), ([4.1], "missed"), ([3.0, 3.0, 4.1], "undecided"), ([3.0, 3.0, 4.0], "met")],
)  # fmt: skip
def test_a_target_in_the_interval_of_the_median_is_undecided(values, outcome):
    measurement = Measurement("row", "case", "size", "MB", {"ours": values}, Target(4))
    assert measurement.outcome == outcome
    assert outcome in measurement.verdict
    assert Measurement("row", "case", "size", "MB", {"ours": values}).outcome is None


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
    take_turns({"a": of("a", 0)}, repeats=1, at_least=0.01)
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


def test_a_row_replaces_itself_and_leaves_others_alone(tmp_path, monkeypatch):
    value = 1.0
    rows = {"first": lambda: iter([measured([value], [1.0], 0.5, "first")]),
            "second": lambda: iter([measured([0.1], [1.0], 0.5, "second")])}  # fmt: skip
    monkeypatch.setattr(command, "ROWS", rows)
    console = Console(quiet=True)
    run_micro([], tmp_path, console)
    value = 2.0
    run_micro(["first"], tmp_path, console)
    kept = json.loads((tmp_path / "micro.json").read_text())
    assert list(kept) == ["first", "second"]
    assert kept["first"]["measurements"][0]["values"]["ours"] == [2.0]
    assert kept["first"]["environment"]["torch"]
    text = (tmp_path / "micro.md").read_text()
    assert text.index("2, target <= 0.5 x theirs: missed") < text.index("0.1, target <= 0.5 x theirs: met")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_report(kept, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    run_micro([], tmp_path, console, check=5)
    with pytest.raises(SystemExit) as end:
        run_micro([], tmp_path, console, check=3)
    assert end.value.code == 1


def test_the_committed_table_is_that_of_the_committed_measurements(tmp_path):
    folder = RESULTS / "micro"
    assert_committed(write_report(json.loads((folder / "micro.json").read_text()), tmp_path), folder)


def test_missed_targets_come_first_and_then_those_that_may_be():
    rows = [measured([0.1], [1.0], 0.5, "met"), Measurement("none", "case", "time", "s", {"ours": [1.0]}),
            measured([0.4, 0.6], [1.0, 1.0], 0.5, "undecided"), measured([0.9], [1.0], 0.5, "missed")]  # fmt: skip
    assert [row[0] for row in table_of(rows).rows] == ["missed", "undecided", "met", "none"]


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
    if found[0].row == "loss":
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
    fitted = {m.row: m.result for m in found if m.quantity == "fitted exponent"}
    assert set(fitted) == {"growth-plan", "growth-refresh"}
    assert sum(m.row == "growth-plan" and m.quantity == "extra memory" for m in found) == 2
