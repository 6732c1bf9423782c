"""The row of growing work, on little data."""

import pytest

from benchmarks.micro.growth import growth


@pytest.mark.slow
def test_growth_gives_curves_and_exponents():
    found = list(growth(minority=(100, 200)))
    fitted = [m.case for m in found if m.quantity == "fitted exponent"]
    assert fitted == ["plan: n minority images of 8x8x3", "refresh: n classes, 2,000 embeddings of width 512"]
    assert [m.case for m in found if m.quantity == "extra memory"] == [
        "plan: 100 minority images of 8x8x3", "plan: 200 minority images of 8x8x3"]  # fmt: skip
