"""The over-sampled classes: their rows, and a mask that is no state of the loss."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from clesmote_losses import CappedSMOTELoss
from clesmote_losses.oversampled_classes import OversampledClasses
from tests.support.gloo import in_two_processes


@pytest.mark.parametrize("classes", [[3, 1, 3], (1, 3), np.array([1, 3]), torch.tensor([3, 1]), {1, 3}])
def test_rows_are_those_whose_label_is_raised(classes: list[int]) -> None:
    raised = OversampledClasses()
    raised.update(classes)
    labels = torch.tensor([0, 1, 2, 3, 4, 3, 1])
    assert raised.rows(labels, 5).tolist() == [label in (1, 3) for label in labels]
    assert raised.rows(labels.clamp(max=3), 4).sum() == 5  # another network, with fewer classes
    raised.update([])
    assert not raised.rows(labels, 5).any()


def test_the_mask_stays_while_the_classes_are_the_same_and_follows_the_labels_to_their_device() -> None:
    raised = OversampledClasses()
    raised.update([1])
    raised.rows(torch.zeros(2, dtype=torch.int64, device="meta"), 3)
    raised.update([1])
    mask = raised.mask(3, torch.device("meta"))
    assert mask is raised.mask(3, torch.device("meta"))
    assert OversampledClasses().mask(3, torch.device("cpu")) is None


def test_the_classes_are_copied_and_pickled_with_the_loss_and_are_no_state_of_it() -> None:
    criterion = CappedSMOTELoss(beta=0.01, distance=None, capped="oversampled")
    criterion.set_oversampled_classes([1])
    assert list(criterion.state_dict()) == ["_extra_state"]  # the history
    assert not list(criterion.buffers())
    expected = criterion(torch.zeros(2, 3), torch.tensor([0, 1]))
    for other in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion)), criterion.to(torch.float64)):
        assert other(torch.zeros(2, 3), torch.tensor([0, 1])) == expected


class Whole(nn.Module):
    """Network and loss in one module; each rank has its own class raised, which a broadcast would change."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.network = nn.Linear(2, 2)
        self.criterion = CappedSMOTELoss(beta=0.01, distance=None, capped="oversampled")
        self.criterion.set_oversampled_classes([rank])

    def forward(self, images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = self.criterion(self.network(images), target)
        return loss


def capped_on_rank(rank: int) -> float:
    whole = DistributedDataParallel(Whole(rank))
    for _ in range(2):
        whole(torch.zeros(3, 2), torch.tensor([0, 0, 1])).backward()
    return float(whole.module.criterion.stats["capped"])


def test_ddp_does_not_send_the_classes_of_rank_0(tmp_path: Path) -> None:
    assert in_two_processes(capped_on_rank, tmp_path) == [4, 2]
