"""The row of a refresh, on little data."""

import pytest

from benchmarks.micro.centroids import refresh
from tests.support.measurements import check_row


@pytest.mark.slow
def test_a_refresh_is_measured_beside_an_epoch():
    check_row(refresh(majority=100, minority=20, size=32), ["time", "time, running means"])
