"""Training modes and random number generators are restored."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from clesmote_losses.restore import evaluating, preserved_modes, preserved_rng


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), torch.rand(1).item()


@pytest.mark.parametrize("seed", [None, 3, 2**63])
def test_the_body_draws_from_its_seed_and_leaves_no_trace(seed: int | None) -> None:
    with preserved_rng(seed=1):
        expected = [draw(), draw()]
    with preserved_rng(seed=1):
        first = draw()
        with preserved_rng(seed):
            once = draw()
        with preserved_rng(seed):
            assert draw() == once
        assert [first, draw()] == expected
    assert once != expected[0]


def test_they_are_put_back_when_the_body_fails() -> None:
    with preserved_rng(seed=1):
        expected = draw()
    with preserved_rng(seed=1):
        with pytest.raises(ZeroDivisionError), preserved_rng():
            draw(), 1 / 0
        assert draw() == expected


@pytest.mark.parametrize("fails", [False, True])
def test_each_part_gets_its_own_mode_back(fails: bool) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[1].eval()  # frozen by the user

    def body() -> None:
        with preserved_modes(model):
            model.train()
            model[0].eval()
            if fails:
                raise KeyboardInterrupt

    if fails:
        with pytest.raises(KeyboardInterrupt):
            body()
    else:
        body()
    assert [part.training for part in model.modules()] == [True, True, False]


def test_a_body_in_evaluation_mode_has_no_gradients_and_leaves_no_trace() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Linear(2, 2)).train()
    with preserved_rng(seed=1):
        expected = draw()
    with preserved_rng(seed=1):
        with evaluating(model, seed=5):
            draw()
            assert not any(part.training for part in model.modules())
            assert not model(torch.ones(1, 2)).requires_grad
        assert draw() == expected
    assert all(part.training for part in model.modules())
    assert torch.is_grad_enabled()
