"""Rows of items and epochs, on little data."""

import pytest

from benchmarks.micro.items import epoch, items
from tests.support.measurements import check_row


@pytest.mark.slow
def test_items_of_files_and_of_arrays_are_measured_and_those_of_files_have_a_target():
    found = check_row(items(sizes=[8], repeats=2), ["time"] * 3)
    assert [measurement.target is not None for measurement in found] == [True, True, False]
    assert all("over-sampled real item" in measurement.values for measurement in found)


def test_an_epoch_is_measured_beside_as_many_over_sampled_items():
    quantities = ["time", "memory of the workers after 2 more epochs, over that after the first"]
    for measurement in check_row(epoch(count=64, epochs=2), quantities):
        assert list(measurement.values) == ["half synthetic", "half over-sampled"]
