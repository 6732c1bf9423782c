"""What is measured is measured right."""

import json
import time

import numpy as np
import pytest

from benchmarks.micro.measure import Measurement, Target, in_own_process, spread, take_turns
from tests.support.measurements import measured


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
