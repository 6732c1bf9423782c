"""The start and the end of an epoch."""

import pytest
import timm
import torch
from imblearn.over_sampling import SMOTE
from torch.utils.data import TensorDataset

from clesmote_losses import (
    CappedSMOTELoss,
    ClassCentroidTracker,
    SMOTEDataset,
    begin_epoch,
    encode_target,
    end_epoch,
)

TARGET = encode_target(torch.tensor([0, 1]), torch.tensor([False, True]))


@pytest.fixture
def train_set():
    base = TensorDataset(torch.rand(16, 3, 32, 32), torch.tensor([0] * 10 + [1] * 6))
    return SMOTEDataset(base, sampler=SMOTE(random_state=0), redraw="epoch")


def test_an_epoch_begins_with_its_own_draw_warm_up_and_counts(train_set):
    criterion = CappedSMOTELoss(beta=0.5, distance=None, gradient="scale", warmup_epochs=1).eval()
    draws, capped = [], []
    for epoch in (0, 1, 0):
        begin_epoch(criterion, train_set, epoch)
        assert criterion.training
        draws.append(train_set.plan.lam.tolist())
        criterion(torch.zeros(2, 2), TARGET)
        stats = end_epoch(criterion)
        assert stats["synthetic"] == 1
        capped.append(stats["capped"])
    assert draws[0] == draws[2] != draws[1]
    assert capped == [0, 1, 0]


def test_a_second_end_without_a_beginning_warns(train_set):
    criterion = CappedSMOTELoss(beta=0.5, distance=None)
    for _ in range(2):  # no warning, which would be an error here
        begin_epoch(criterion, train_set, 0)
        criterion(torch.zeros(2, 2), TARGET)
        end_epoch(criterion)
        criterion.reset_stats()
        criterion(torch.zeros(2, 2), TARGET)
        end_epoch(criterion)
    criterion(torch.zeros(2, 2), TARGET)
    with pytest.warns(
        UserWarning, match=r"sums over both epochs.*Call begin_epoch\(criterion, train_set, epoch\) at the start"
    ):
        end_epoch(criterion)


@pytest.mark.parametrize("mode", ["epoch", "online"])
def test_centroids_are_made_at_the_start_or_online_at_the_end(mode, train_set):
    model = timm.create_model("test_resnet", num_classes=2)
    tracker = ClassCentroidTracker(model, 2, mode=mode)
    criterion = CappedSMOTELoss(tracker=tracker)
    seen = []

    def transform(image):
        seen.append(image)
        return image

    begin_epoch(criterion, train_set, 0, transform=transform, batch_size=3)
    assert len(seen) == (6 if mode == "epoch" else 0)
    assert (tracker.centroids is None) == (mode == "online")
    criterion(
        model(torch.rand(3, 3, 32, 32)), encode_target(torch.tensor([0, 1, 1]), torch.tensor([False, False, True]))
    )
    end_epoch(criterion)
    assert tracker.counts.tolist() == ([0, 6] if mode == "epoch" else [1, 1])
