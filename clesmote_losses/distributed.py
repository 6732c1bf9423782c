"""What one rank makes for all."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

T = TypeVar("T")


def is_distributed() -> bool:
    """Return whether this process is one of a group."""
    return dist.is_available() and dist.is_initialized()


def from_rank_0(make: Callable[[], T]) -> T:
    """What ``make()`` gives on rank 0, on every rank; its error too, so that no rank waits for one that has failed."""
    if not dist.is_initialized():
        return make()
    made: list[Any] = [None, None]
    if dist.get_rank() == 0:
        try:
            made[0] = make()
        except Exception as error:
            made[1] = error
    dist.broadcast_object_list(made)
    if made[1] is not None:
        raise made[1]
    result: T = made[0]
    return result
