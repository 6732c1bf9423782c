"""Talk to the other ranks: the only file that asks ``torch.distributed``.

Without a process group, or where torch was built without ``torch.distributed``, there is one rank, and each function
returns what it was given.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


def is_distributed() -> bool:
    """Return whether a process group is running."""
    return dist.is_available() and dist.is_initialized()


def get_rank() -> int:
    """Return the rank of this process, 0 for the only one."""
    return dist.get_rank() if is_distributed() else 0


def get_world_size() -> int:
    """Return the number of ranks."""
    return dist.get_world_size() if is_distributed() else 1


def sum_over_ranks(tensor: Tensor) -> None:
    """Replace a tensor by its sum over all ranks, in place; every rank calls it."""
    if is_distributed():
        dist.all_reduce(tensor)


def gather_from_ranks(value: T) -> list[T]:
    """Return the values of all ranks, in order; every rank calls it with one that can be pickled."""
    if not is_distributed():
        return [value]
    values: list[Any] = [None] * get_world_size()
    dist.all_gather_object(values, value)
    return values


@torch.no_grad()
def copy_from_rank_0(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors by those of rank 0, in place; every rank calls it with as many of the same shapes."""
    if is_distributed():
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def average_gradients(module: nn.Module) -> None:
    """Replace each gradient by its mean over all ranks; every rank calls it.

    ``DistributedDataParallel`` would wait for parameters that have no gradient, such as those of an unused classifier.
    """
    if is_distributed():
        for parameter in module.parameters():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= get_world_size()


def from_rank_0(make: Callable[[], T]) -> T:
    """Call ``make`` on rank 0 and return its result on every rank.

    Raises:
        Exception: What ``make`` raised, on every rank: no rank waits for one that has failed.
    """
    if not is_distributed():
        return make()
    made: list[Any] = [None, None]
    if get_rank() == 0:
        try:
            made[0] = make()
        except Exception as error:
            made[1] = error
    dist.broadcast_object_list(made)
    if made[1] is not None:
        raise made[1]
    result: T = made[0]
    return result
