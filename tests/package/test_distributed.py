"""Sums, copies and results across ranks, in two real processes and in one."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import TensorDataset

from clesmote_losses import distributed as ranks
from clesmote_losses.hosts.options import Options
from clesmote_losses.hosts.recipe import training_set
from tests.support.gloo import in_two_processes


class Counted(TensorDataset):
    def __init__(self, *tensors: torch.Tensor) -> None:
        super().__init__(*tensors)
        self.reads: list[int] = []

    def __getitem__(self, index: int) -> Any:
        self.reads.append(index)
        return super().__getitem__(index)


def exchange(rank: int) -> dict[str, Any]:
    """Call each function once, alike on every rank; also without a process group."""
    total, copied, layer = torch.tensor([1.0 + rank]), torch.tensor([5 + rank]), nn.Linear(1, 1)
    layer.weight.grad = torch.tensor([[3.0 + 2 * rank]])  # the bias has none
    ranks.sum_over_ranks(total)
    ranks.copy_from_rank_0([copied])
    ranks.average_gradients(layer)
    told = {
        "is_distributed": ranks.is_distributed(),
        "rank": ranks.get_rank(),
        "world_size": ranks.get_world_size(),
        "sum": total.item(),
        "gathered": ranks.gather_from_ranks(f"of {rank}"),
        "copied": copied.item(),
        "gradient": (layer.weight.grad.item(), layer.bias.grad),
        "made": ranks.from_rank_0(lambda: f"made on {rank}"),
    }
    try:
        ranks.from_rank_0(lambda: [][rank])
    except IndexError as error:
        told["error"] = str(error)
    return told


class Unreadable(Exception):
    """Its pickle cannot be read, as of many errors with arguments of their own."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"{name} {number}")


def fail() -> None:
    raise Unreadable("file", 3)


def error_of(call: Any) -> str:
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def errors(rank: int) -> list[str]:
    """What is told on each rank, where a rank could wait for ever."""
    return [
        error_of(lambda: ranks.from_rank_0(lambda: lambda: 0)),  # no function of a function can be pickled
        error_of(lambda: ranks.from_rank_0(fail)),
        error_of(lambda: ranks.copy_from_rank_0([torch.zeros(2 + rank)])),
        error_of(lambda: ranks.copy_from_rank_0([torch.zeros(2)] * (1 + rank))),
        error_of(lambda: ranks.copy_from_rank_0([nn.Parameter(torch.zeros(2), requires_grad=rank == 0)])),
    ]


class Blocks(nn.Module):
    """Weights of several dtypes and memory formats; the last one is never used."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(rank)
        self.filters = nn.Parameter(torch.randn(2, 3, 2, 2, generator=generator).to(memory_format=torch.channels_last))
        self.scale = nn.Parameter(torch.randn(3, generator=generator, dtype=torch.float64))
        self.shift = nn.Parameter(torch.randn(4, generator=generator).half())
        self.unused = nn.Parameter(torch.randn(2, generator=generator))
        self.register_buffer("steps", torch.tensor(7 + rank))
        self.register_buffer("mask", torch.tensor([rank == 0, rank == 1]))


def average_and_copy(rank: int) -> tuple[list[Any], list[Any]]:
    """Rank 0 skips ``scale``, and rank 1 ``filters`` and ``shift``; no rank uses ``unused``."""
    blocks = Blocks(rank)
    used = [blocks.scale] if rank else [blocks.shift, blocks.filters]
    sum(part.square().sum().float() for part in used).backward()  # type: ignore[union-attr]
    ranks.average_gradients(blocks)
    gradients = [parameter.grad for parameter in blocks.parameters()]
    ranks.copy_from_rank_0([*blocks.parameters(), *blocks.buffers()])
    return gradients, [tensor.detach() for tensor in (*blocks.parameters(), *blocks.buffers())]


def steps(rank: int) -> list[tuple[list[int], list[int]]]:
    """Shapes and labels of the batches: rank 0 has none, rank 1 one of two images and one of one."""
    batches = [(torch.ones(2, 3, 4, 4), torch.tensor([0, 1])), (torch.ones(1, 3, 4, 4), torch.tensor([1]))]
    found = ranks.in_step(batches if rank else [])
    return [(list(images.shape), labels.tolist()) for images, labels in found]


def test_a_gradient_that_a_rank_lacks_counts_as_zero_and_one_that_none_has_stays_none(tmp_path: Path) -> None:
    first, second = Blocks(0), Blocks(1)
    expected = [2 * first.filters / 2, 2 * second.scale / 2, 2 * first.shift / 2, None]
    results = in_two_processes(average_and_copy, tmp_path)
    for gradients, copied in results:
        for gradient, wanted in zip(gradients, expected, strict=True):
            assert (gradient is None) == (wanted is None)
            assert wanted is None or torch.equal(gradient, wanted.detach())
        for tensor, original in zip(copied, (*first.parameters(), *first.buffers()), strict=True):
            assert torch.equal(tensor, original)
            assert tensor.dtype == original.dtype
            assert tensor.stride() == original.stride()


def test_no_rank_waits_for_one_that_has_failed_or_has_another_network(tmp_path: Path) -> None:
    first, second = in_two_processes(errors, tmp_path)
    assert first == second
    assert "pickle" in first[0]
    assert first[1] == "RuntimeError: Unreadable: file 3"
    for error in first[2:]:
        assert "ranks 0 and 1 have different networks" in error


def test_ranks_take_as_many_steps_and_the_added_ones_count_for_no_class(tmp_path: Path) -> None:
    first, second = in_two_processes(steps, tmp_path)
    assert first == [([1, 3, 4, 4], [-1])] * 2
    assert second == [([2, 3, 4, 4], [0, 1]), ([1, 3, 4, 4], [1])]


def plan(rank: int) -> tuple[int, list[float]]:
    images = torch.rand(300, 3, 4, 4, generator=torch.Generator().manual_seed(rank))
    base = Counted(images, torch.arange(300) // 200)
    base.targets = base.tensors[1]
    train_set = training_set(base, Options(smote="smote"))
    return len(base.reads), train_set.plan.lam.tolist()


def exchange_and_plan(rank: int) -> tuple[dict[str, Any], tuple[int, list[float]]]:
    return exchange(rank), plan(rank)


def test_two_ranks_add_gather_copy_and_share_what_rank_0_makes_or_its_error(tmp_path: Path) -> None:
    (first, (reads, lams)), (second, (other_reads, other_lams)) = in_two_processes(exchange_and_plan, tmp_path)
    common = {
        "is_distributed": True,
        "world_size": 2,
        "sum": 3.0,
        "gathered": ["of 0", "of 1"],
        "copied": 5,
        "gradient": (4.0, None),
        "made": "made on 0",
        "error": "list index out of range",
    }
    assert first == {**common, "rank": 0}
    assert second == {**common, "rank": 1}
    assert reads >= other_reads + 100  # rank 0 alone reads the 100 images of class 1 for the plan
    assert lams == other_lams


@pytest.mark.parametrize("is_built", [True, False], ids=["no group", "torch without distributed"])
def test_one_process_gets_back_what_it_gave(is_built: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_built:  # torch.distributed then has this one name
        for name in set(dir(dist)) - {"is_available"}:
            if not name.startswith("__"):
                monkeypatch.delattr(dist, name)
        monkeypatch.setattr(dist, "is_available", lambda: False)
    assert exchange(0) == {
        "is_distributed": False,
        "rank": 0,
        "world_size": 1,
        "sum": 1.0,
        "gathered": ["of 0"],
        "copied": 5,
        "gradient": (3.0, None),
        "made": "made on 0",
        "error": "list index out of range",
    }
