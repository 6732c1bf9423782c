"""The training loop calls the hooks of a method in their order, and knows nothing else of it."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.methods.objective import Batch, Objective
from benchmarks.training.loop import train_epochs
from benchmarks.training.training_images import TrainingData
from tests.support.benchmark_images import training_of


class Recorded(Objective):
    """Writes down what is called; asks for zeros."""

    def __init__(self):
        super().__init__()
        self.calls, self.seen = [], []

    def begin_epoch(self, training):
        self.calls.append(f"epoch {training.epoch} at {training.step}")

    def begin_step(self, training, batch):
        self.calls.append(f"step {training.step}")
        self.seen.append(batch)
        return Batch(2 * batch.inputs, batch.target, batch.strata)

    def forward(self, outputs, target):
        self.outputs = outputs
        return (outputs**2).mean()

    def end_epoch(self):
        return {"calls": len(self.calls)}


@pytest.fixture
def training():
    images = torch.arange(10.0).reshape(10, 1)
    data = TrainingData(images, torch.arange(10), torch.arange(10) % 3, to_input=lambda rows: rows)
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    batches = (torch.tensor([i, i + 1]) for i in range(9))
    return training_of(model, np.array([10]), data, batches=batches, steps=6, step=1)


def test_hooks_are_called_in_order_and_may_change_the_batch(training):
    objective = Recorded()
    optimizer = torch.optim.SGD(training.model.parameters(), lr=0)
    training.model.eval()
    points = list(train_epochs(training, objective, optimizer, lambda images: images + 1, ends=[3, 6]))
    assert objective.calls == [
        "epoch 0 at 1", "step 1", "step 2", "epoch 1 at 3", "step 3", "step 4", "step 5",
    ]  # fmt: skip
    assert [batch.inputs[:, 0].tolist() for batch in objective.seen] == [[i + 1.0, i + 2.0] for i in range(5)]
    assert [batch.strata.tolist() for batch in objective.seen][:2] == [[0, 1], [1, 2]]
    assert objective.outputs[:, 0].tolist() == [10, 12]  # of twice the inputs
    assert [point["calls"] for point in points] == [3, 7]
    assert points[0]["loss"] == pytest.approx(((4 + 16) / 2 + (16 + 36) / 2) / 2)
    assert training.model.training


def test_a_hook_may_replace_the_batches_to_come(training):
    class LastOnly(Recorded):
        def begin_epoch(self, training):
            if training.epoch == 1:
                training.batches = iter([torch.tensor([9])] * 3)

    objective = LastOnly()
    optimizer = torch.optim.SGD(training.model.parameters(), lr=0)
    list(train_epochs(training, objective, optimizer, lambda images: images, ends=[3, 6]))
    assert [batch.target.tolist() for batch in objective.seen] == [[0, 1], [1, 2], [9], [9], [9]]


def test_the_schedule_advances_with_every_step(training):
    optimizer = torch.optim.SGD(training.model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
    list(train_epochs(training, Recorded(), optimizer, lambda images: images, ends=[3, 6], schedule=schedule))
    assert schedule.last_epoch == 5
    assert schedule.get_last_lr() == [pytest.approx(0)]
