"""The row of an inspection, on little data."""

from benchmarks.micro.inspection import inspect
from tests.support.measurements import check_row


def test_an_inspection_is_measured_beside_its_forward_passes():
    (found,) = check_row(inspect(majority=40, minority=15, model="test_resnet", size=32), ["time"])
    assert found.case == "test_resnet, 25 synthetic and 55 real images of 32 px"
