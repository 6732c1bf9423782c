"""Two real processes that talk through gloo: a mocked collective proves nothing."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist


def in_two_processes(work: Callable[..., Any], folder: Path, *args: Any) -> list[Any]:
    """Call ``work(rank, *args)`` on ranks 0 and 1 of a group; what each returned."""
    return launch(_in_group, folder, work, *args)


def launch(work: Callable[..., Any], folder: Path, *args: Any, processes: int = 2) -> list[Any]:
    """Call ``work(rank, *args)`` on each rank, in the environment that torchrun gives; what each returned."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_rank, (port, folder, processes, work, args), nprocs=processes)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(processes)]


def _rank(rank: int, port: int, folder: Path, processes: int, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes))
    torch.set_num_threads(1)
    torch.save(work(rank, *args), folder / f"rank{rank}.pt")


def _in_group(rank: int, work: Callable[..., Any], *args: Any) -> Any:
    dist.init_process_group("gloo")
    try:
        result = work(rank, *args)
        time.sleep(0.3)  # torch 2.6 may wait for ever in destroy_process_group right after a broadcast
        return result
    finally:
        dist.destroy_process_group()
