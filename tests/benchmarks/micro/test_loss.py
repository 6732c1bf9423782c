"""The row of the loss, on little data."""

import pytest

from benchmarks.micro.loss import loss
from tests.support.measurements import check_row


@pytest.mark.slow
def test_the_loss_is_measured_beside_three_others_and_beyond_cross_entropy():
    found = check_row(loss(shapes=[(8, 3, 16)]), ["time", "time beyond CrossEntropyLoss"])
    assert [len(measurement.values) for measurement in found] == [4, 3]
