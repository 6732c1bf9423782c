"""Talk to the other ranks: the only file that asks ``torch.distributed``.

Without a process group, or where torch was built without ``torch.distributed``, there is one rank, and each function
returns what it was given.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator
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
    """Overwrite tensors by those of rank 0, in place; every rank calls it.

    Raises:
        RuntimeError: On every rank, if the ranks have tensors of different number, shape, dtype or ``requires_grad``.
    """
    if not is_distributed():
        return
    tensors = list(tensors)
    kinds = gather_from_ranks([(tuple(tensor.shape), tensor.dtype, tensor.requires_grad) for tensor in tensors])
    if other := next((rank for rank, kind in enumerate(kinds) if kind != kinds[0]), None):
        raise RuntimeError(
            f"ranks 0 and {other} have different networks: weights or buffers differ in number, shape, dtype or requires_grad. Build the "
            "same network on every rank."
        )
    for group in _alike(tensors):
        flat = torch.cat([tensor.flatten() for tensor in group])  # one message, whatever the memory format
        dist.broadcast(flat, 0)
        for tensor, part in zip(group, flat.split([tensor.numel() for tensor in group]), strict=True):
            tensor.copy_(part.view_as(tensor))


@torch.no_grad()
def average_gradients(module: nn.Module) -> None:
    """Replace each gradient by its mean over all ranks; every rank calls it.

    A gradient that a rank lacks (of a layer that it skipped) counts as 0 there. A parameter that has a gradient on no rank,
    such as one of an unused classifier, keeps none. ``DistributedDataParallel`` would wait for those.
    """
    if not is_distributed():
        return
    for group in _alike(parameter for parameter in module.parameters() if parameter.requires_grad):
        gradients = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in group]
        has_gradient = group[0].new_tensor([parameter.grad is not None for parameter in group])
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), has_gradient])
        dist.all_reduce(flat)
        *sums, counts = flat.split([*(parameter.numel() for parameter in group), len(group)])
        for parameter, gradient, total, count in zip(group, gradients, sums, counts.tolist(), strict=True):
            if count:
                parameter.grad = gradient.copy_(total.view_as(gradient) / get_world_size())


def _alike(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the tensors in groups of one dtype and device, alike on all ranks."""
    groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    yield from groups.values()


def is_sharded(module: nn.Module) -> bool:
    """Return whether FSDP has spread the weights over the ranks: every forward pass is then one of all ranks."""
    if not is_distributed():
        return False
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel  # a second to import

    return any(isinstance(part, FSDPModule | FullyShardedDataParallel) for part in module.modules())


def in_step(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield batches of images and labels as often on every rank, for forward passes of all ranks together.

    A rank that has no more gets one black image with the label -1, which counts for no class. Every rank goes on to the end.
    """
    own = iter(batches)
    while True:
        batch = next(own, None)
        shapes = gather_from_ranks(None if batch is None else tuple(batch[0].shape[1:]))
        shape = next((shape for shape in shapes if shape is not None), None)
        if shape is None:
            return
        yield (torch.zeros(1, *shape), torch.tensor([-1])) if batch is None else batch


def from_rank_0(make: Callable[[], T]) -> T:
    """Call ``make`` on rank 0 and return its result on every rank.

    Raises:
        Exception: What ``make`` raised, on every rank: no rank waits for one that has failed.
    """
    if not is_distributed():
        return make()
    made: Any = None
    sent: list[Any] = [None, None]  # pickled here, since a failure to pickle must not leave the others waiting
    if get_rank() == 0:
        try:
            made = make()
            sent[0] = pickle.dumps(made)
        except Exception as error:
            sent[1] = _as_sendable(error)
    dist.broadcast_object_list(sent)
    if sent[1] is not None:
        raise sent[1]
    result: T = made if get_rank() == 0 else pickle.loads(sent[0])
    return result


def _as_sendable(error: Exception) -> Exception:
    """Return the error, or one of its words if another process could not read it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
