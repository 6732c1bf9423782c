"""Restore training modes and random number generators."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import nn


def random_states() -> tuple[object, ...]:
    """Return the states of the global generators of Python, numpy and torch (CPU), to compare."""
    name, key, *rest = np.random.get_state()
    return random.getstate(), name, np.asarray(key).tobytes(), *rest, torch.get_rng_state().numpy().tobytes()


@contextmanager
def preserved_rng(seed: int | None = None) -> Iterator[None]:
    """Run the body, then restore the global generators of Python, numpy and torch (CPU and the current GPU).

    Args:
        seed: Seed of all generators for the body; by default they continue from their current state.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


@contextmanager
def preserved_modes(module: nn.Module) -> Iterator[None]:
    """Run the body, then restore ``training`` of every submodule; some may be frozen in evaluation mode."""
    was_training = {part: part.training for part in module.modules()}
    try:
        yield
    finally:
        for part, training in was_training.items():
            part.training = training


@contextmanager
def evaluating(model: nn.Module, seed: int | None = None) -> Iterator[None]:
    """Run the body in evaluation mode, without gradients; then restore modes and generators.

    Args:
        model: Network without wrappers. One that was compiled runs eagerly, since a compiled one skips new hooks.
        seed: As in :func:`preserved_rng`.
    """
    eager = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
    with preserved_rng(seed), preserved_modes(model), torch.no_grad(), eager:
        model.eval()
        yield
