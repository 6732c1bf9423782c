"""Two real processes that talk through gloo: a mocked collective proves nothing.

The processes start at their first use and then serve all tests, so that torch and the modules of the tests are imported once.
"""

import atexit
import multiprocessing
import os
import pickle
import random
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

TIMEOUT = 180.0  # seconds


class RankFailedError(AssertionError):
    """A rank raised an error, ended, or did not answer in time."""


def in_two_processes(work: Callable[..., Any], folder: Path, *args: Any, timeout: float = TIMEOUT) -> list[Any]:
    """Call ``work(rank, *args)`` on ranks 0 and 1 of a gloo group and return both results.

    Args:
        work: Function of a module, so that it can be pickled.
        folder: Where the ranks leave their results.
        args: Further arguments of ``work``.
        timeout: Seconds that the call may take.

    Raises:
        RankFailedError: If a rank fails. It holds the traceback of the rank. The next call starts new processes.
    """
    return launch(_in_group, folder, work, *args, timeout=timeout)


def launch(
    work: Callable[..., Any], folder: Path, *args: Any, processes: int = 2, timeout: float = TIMEOUT
) -> list[Any]:
    """Call ``work(rank, *args)`` on each rank in the environment that torchrun sets, and return the results.

    ``work`` initialises the process group itself, if it wants one. Arguments, errors and ``processes`` as in
    :func:`in_two_processes`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = [folder / f"rank{rank}.pt" for rank in range(processes)]
    calls = [
        pickle.dumps((work, (rank, *args), _torchrun(rank, processes, port), file)) for rank, file in enumerate(files)
    ]
    while len(_ranks) < processes:
        _ranks.append(_Rank())
    try:
        _call(_ranks[:processes], calls, time.monotonic() + timeout)
    except BaseException:  # Ctrl-C too leaves ranks that are busy
        _end_ranks()
        raise
    return [torch.load(file, weights_only=False) for file in files]


def _torchrun(rank: int, processes: int, port: int) -> dict[str, str]:
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
    return {"MASTER_ADDR": "127.0.0.1", **{name: str(number) for name, number in numbers.items()}}


class _Rank:
    """A process that serves calls until it is killed or this process ends."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, of_process = context.Pipe()
        # not a daemon, which could not have a DataLoader with workers
        self.process = context.Process(target=_serve, args=(of_process,))
        self.process.start()
        of_process.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


_ranks: list[_Rank] = []


@atexit.register  # before multiprocessing's own, which waits for processes that are no daemons
def _end_ranks() -> None:
    while _ranks:
        _ranks.pop().kill()


def _call(ranks: Sequence[_Rank], calls: Sequence[bytes], deadline: float) -> None:
    for rank, call in zip(ranks, calls, strict=True):
        rank.connection.send_bytes(call)
    waiting = {rank.connection: number for number, rank in enumerate(ranks)}
    while waiting:
        ready = wait(list(waiting), max(0.0, deadline - time.monotonic()))
        if not ready:
            raise RankFailedError(f"no answer in time from rank {' and '.join(map(str, waiting.values()))}.")
        for connection in ready:
            number = waiting.pop(connection)
            try:
                error = connection.recv()
            except (EOFError, OSError):
                ranks[number].process.join()
                raise RankFailedError(f"rank {number} ended with {ranks[number].process.exitcode}.") from None
            if error:
                raise RankFailedError(f"on rank {number}:\n{error}")


def _serve(connection: Connection) -> None:
    """Answer each call with the traceback of its error, or with nothing."""
    fresh = torch.get_rng_state(), dict(os.environ), list(sys.argv), list(sys.path)
    while True:
        try:
            call = connection.recv_bytes()
        except EOFError:  # the process of the tests has ended
            return
        error = ""
        try:
            if dist.is_initialized():
                time.sleep(0.1)  # torch 2.6 may wait for ever in the next line right after a broadcast
                dist.destroy_process_group()
            work, args, environment, file = pickle.loads(call)
            _restore(*fresh, environment)
            torch.save(work(*args), file)
        except BaseException:  # SystemExit of a script too
            error = traceback.format_exc()
        connection.send(error)


def _restore(
    rng: torch.Tensor, environment: dict[str, str], argv: list[str], path: list[str], torchrun: dict[str, str]
) -> None:
    """Set what a work may have changed as it is in a new process."""
    torch.set_num_threads(1)
    torch.set_rng_state(rng)
    np.random.seed()
    random.seed()
    os.environ.clear()
    os.environ.update({**environment, **torchrun})
    sys.argv[:], sys.path[:] = argv, path


def _in_group(rank: int, work: Callable[..., Any], *args: Any) -> Any:
    dist.init_process_group("gloo")
    return work(rank, *args)
