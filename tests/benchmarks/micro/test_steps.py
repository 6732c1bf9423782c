"""Rows of training steps, on little data."""

import pytest

from benchmarks.micro.steps import ADDED, Setting, step
from tests.support.measurements import check_row


@pytest.mark.slow
def test_a_compiled_step_breaks_no_graph():
    _, _, breaks = step((Setting("test_resnet", 32, 8, 1, compiled=True),))
    assert breaks.outcome == "met"


def test_a_step_is_measured_with_what_tracker_and_loss_add():
    check_row(step((Setting("test_resnet", 32, 8, 2), Setting("test_resnet", 32, 8, 2, amp=True))), ["time", ADDED] * 2)
