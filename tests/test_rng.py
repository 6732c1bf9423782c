"""Random number generators left as they were found."""

import random

import numpy as np
import pytest
import torch

from clesmote_losses.rng import preserved_rng


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
