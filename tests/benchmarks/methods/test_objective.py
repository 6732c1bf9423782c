"""The hooks of a method by default, and the step of a run."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.methods.objective import Batch, Objective
from benchmarks.training.training_images import TrainingData
from clesmote_losses import encode_target
from tests.support.benchmark_images import training_of


def test_hooks_do_nothing_by_default():
    training, objective = training_of(nn.Linear(2, 2), np.array([3, 1])), Objective()
    batch = Batch(torch.ones(1, 2), torch.ones(1), torch.ones(1))
    assert objective.begin_epoch(training) is None
    assert objective.begin_step(training, batch) is batch
    assert objective.end_epoch() == {}
    assert objective.share_capped is None
    assert objective.network(training) is training.model


def test_the_prior_is_how_often_each_class_is_trained_on():
    target = encode_target(torch.tensor([0, 0, 0, 1, 1, 2]), torch.arange(6) > 3)  # synthetic images count too
    training = training_of(nn.Linear(2, 3), np.array([3, 1, 1]), TrainingData(torch.empty(6), target, target))
    assert Objective().prior(training) == pytest.approx([3 / 6, 2 / 6, 1 / 6])


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
