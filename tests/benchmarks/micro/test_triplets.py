"""The row of the pretraining, on little data."""

import pytest

from benchmarks.micro.triplets import triplets
from tests.support.measurements import check_row


@pytest.mark.slow
def test_both_kinds_of_sampling_are_measured():
    quantities = ["time of an anchor, sampling='dataset'", "time of an anchor, sampling='batch'"]
    check_row(triplets(size=32, majority=40, minority=10), quantities)
