"""The pool of processes serves one test after another, and each finds them as new ones."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from tests.support.gloo import RankFailedError, in_two_processes, launch


def sum_of_ranks(rank):
    total = torch.tensor([rank + 1])
    dist.all_reduce(total)
    return os.getpid(), dist.get_backend(), total.item()


def test_two_other_processes_serve_call_after_call_in_a_group_of_each(tmp_path):
    first, second = in_two_processes(sum_of_ranks, tmp_path), in_two_processes(sum_of_ranks, tmp_path)
    assert first == second
    assert len({os.getpid(), *(pid for pid, _, _ in first)}) == 3
    assert [values for _, *values in first] == [["gloo", 3]] * 2


def describe_process(rank, changes):
    found = {
        "threads": torch.get_num_threads(),
        "draw": torch.rand(1).item(),
        "rank": os.environ["RANK"],
        "size": os.environ["WORLD_SIZE"],
        "left": os.environ.get("LEFT_BEHIND"),
        "argv": list(sys.argv),
        "path": list(sys.path),
        "group": dist.is_initialized(),
    }
    others = random.random(), np.random.rand()
    if changes:
        torch.set_num_threads(2)
        os.environ.update(LEFT_BEHIND="yes", RANK="7")
        sys.argv.append("--left")
        sys.path.insert(0, "left")
        random.seed(0)
        np.random.seed(0)
        dist.init_process_group("gloo", rank=rank, world_size=2)
    return found, others


def test_what_a_work_changes_is_as_new_for_the_next(tmp_path):
    first = launch(describe_process, tmp_path, True)
    (found, _), _ = second = launch(describe_process, tmp_path, False)
    assert [values for values, _ in first] == [values for values, _ in second]
    assert found["threads"] == 1
    assert not found["group"]
    (alone, _), *none = launch(describe_process, tmp_path, False, processes=1)
    assert not none
    assert {**alone, "size": "2"} == found
    draws = {draw for _, (draw, _) in [*first, *second]} | {draw for _, (_, draw) in [*first, *second]}
    assert len(draws) == 8  # as in new processes, which take these seeds from the system


def fail(rank, how):
    if rank == 1:
        if how == "raise":
            raise KeyError("a name that is not there")
        if how == "end":
            os._exit(3)
        time.sleep(60)
    dist.barrier()


@pytest.mark.slow  # each failure ends both processes
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", r"on rank 1:\n(.|\n)*line \d+, in fail\n(.|\n)*KeyError: 'a name that is not there'"),
        ("end", r"rank 1 ended with 3\."),
        ("hang", r"no answer in time from rank 0 and 1\."),
    ],
)
def test_a_rank_that_fails_is_told_and_the_next_call_works(how, message, tmp_path):
    in_two_processes(sum_of_ranks, tmp_path)
    start = time.monotonic()
    with pytest.raises(RankFailedError, match=message):
        in_two_processes(fail, tmp_path, how, timeout=5.0)
    assert time.monotonic() - start < 10
    assert [total for _, _, total in in_two_processes(sum_of_ranks, tmp_path)] == [3, 3]


SCRIPT = """
import sys, time
from pathlib import Path
from tests.support.gloo import in_two_processes
from tests.support.test_gloo import sum_of_ranks

if __name__ == "__main__":
    print(*(pid for pid, *_ in in_two_processes(sum_of_ranks, Path(sys.argv[1]))), flush=True)
    if sys.argv[2] == "killed":
        time.sleep(60)
"""


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("end", ["finished", "killed"])
def test_the_processes_end_with_the_process_of_the_tests(end, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script), str(tmp_path), end]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        if end == "killed":
            process.kill()
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, f"{pids} still run"
        time.sleep(0.05)
