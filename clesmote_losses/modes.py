"""Training modes left as they were found."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def preserved_modes(module: nn.Module) -> Iterator[None]:
    """Run the body, then put ``training`` of every part back: some may be frozen in evaluation mode."""
    was_training = {part: part.training for part in module.modules()}
    try:
        yield
    finally:
        for part, training in was_training.items():
            part.training = training
