"""The hooks of a method by default, and the step of a run."""

import numpy as np
import torch
from torch import nn

from benchmarks.methods.objective import Batch, Objective
from tests.support.benchmark_images import training_of


def test_hooks_do_nothing_by_default():
    training, objective = training_of(nn.Linear(2, 2), np.array([3, 1])), Objective()
    batch = Batch(torch.ones(1, 2), torch.ones(1), torch.ones(1))
    assert objective.begin_epoch(training) is None
    assert objective.begin_step(training, batch) is batch
    assert objective.end_epoch() == {}
    assert objective.share_capped is None


def test_an_update_is_one_step_of_the_optimizer_and_is_counted():
    model, made = nn.Linear(2, 1, bias=False), []
    training = training_of(model, np.array([3, 1]), on_steps=made.append)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(2):  # gradients do not add up
        before = model.weight.detach().clone()
        loss = training.update(model(torch.tensor([[1.0, 2.0]])).sum(), optimizer)
        assert torch.allclose(before - model.weight, torch.tensor([[0.5, 1.0]]))
        assert not loss.requires_grad
    assert training.step == 2
    assert made == [1, 1]
