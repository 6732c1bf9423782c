"""Rows of plan and neighbour search, on little data."""

import pytest

from benchmarks.micro.plans import large_plan, neighbors, plan, plan_from_files
from tests.support.measurements import check_row

SENT = "sent to a spawned worker beyond the base data set"


@pytest.mark.slow
def test_a_plan_is_measured_in_time_and_memory():
    check_row(plan(40, 10, 8, repeats=1), ["time", "extra memory"])


def test_a_plan_from_files_is_measured_beside_decoding():
    check_row(plan_from_files(40, 10), ["time"])


def test_a_large_plan_is_measured_in_size_and_time():
    check_row(large_plan(1_000, 100), ["size", "time", SENT])


def test_neighbours_are_measured_and_are_exact():
    *_, wrong = check_row(neighbors([(80, 10, 40, 1)]), ["time", "not exact"])
    assert wrong.values["clesmote_losses"] == [0.0]
