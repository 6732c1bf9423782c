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
    reads = 0

    def __getitem__(self, index: int) -> Any:
        self.reads += 1
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


def plan(rank: int) -> tuple[int, list[float]]:
    images = torch.rand(300, 3, 4, 4, generator=torch.Generator().manual_seed(rank))
    base = Counted(images, torch.arange(300) // 200)
    base.targets = base.tensors[1]
    train_set = training_set(base, Options(smote="smote"))
    return base.reads, train_set.plan.lam.tolist()


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
    assert reads >= 100 > other_reads  # only rank 0 reads images for the plan
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
