"""What other processes use."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks.micro import other_processes
from benchmarks.micro.other_processes import OtherProcesses


def test_what_other_processes_use_is_what_the_machine_is_busy_with_beyond_our_own(monkeypatch):
    # wall, machine, own; then a time too short for the machine's count, which is behind at first and then ahead
    counts = iter([(100.0, 50.0, 5.0), (110.0, 61.0, 8.0), (0, 0, 0), (0.01, 0, 0.01), (0, 0, 0), (0.001, 99, 0)])
    monkeypatch.setattr(other_processes, "_counts", lambda: next(counts))
    assert OtherProcesses().processors() == 0.8
    assert OtherProcesses().processors() == 0
    assert OtherProcesses().processors() == os.cpu_count()
    monkeypatch.setattr(other_processes, "_counts", lambda: None)
    assert OtherProcesses().processors() is None


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells how busy its processors are")
def test_work_of_this_process_and_of_its_ended_children_is_its_own():
    before, end = other_processes._counts(), time.process_time() + 0.5
    while time.process_time() < end:
        pass
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
    wall, machine, own = np.subtract(other_processes._counts(), before)
    assert own >= 0.9
    assert machine >= 0.8
    assert own < 2 * wall
