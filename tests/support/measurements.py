"""Made-up measurements, and what holds for those of every row."""

import numpy as np

from benchmarks.micro.measure import Measurement, Target
from benchmarks.micro.rows import Row


def measured(ours, theirs, at_most):
    return Measurement("case", "time", "s", {"ours": ours, "theirs": theirs}, Target(at_most, "theirs"))


def a_row(name, *measurements, processors=None):
    return Row(name, {"cpus": 2, "threads": 2}, 1.0, processors, measurements)


def check_row(row, quantities):
    """Run a row and check its quantities and that all values are finite; gives its measurements."""
    found = list(row)
    assert [measurement.quantity for measurement in found] == quantities
    for measurement in found:
        assert all(np.isfinite(values).all() for values in measurement.values.values())
        if measurement.quantity.startswith("time") and "beyond" not in measurement.quantity:
            assert all(min(values) > 0 for values in measurement.values.values())
    return found
