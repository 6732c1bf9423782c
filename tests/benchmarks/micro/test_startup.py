"""The row of imports."""

import pytest

from benchmarks.micro.startup import startup


@pytest.mark.slow
def test_startup_is_timed_in_interpreters_of_its_own():
    imported, commands, beyond = startup(turns=1)
    assert 0 < imported.result < commands.result
    assert beyond.result == pytest.approx(commands.result - commands.values["import timm"][0])
