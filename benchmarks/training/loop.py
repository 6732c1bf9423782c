"""The training loop of both presets. What is special about a method is in its objective and its training set."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.methods.objective import Batch, Objective, Training
from benchmarks.training.evaluation import take


def train_epochs(
    training: Training,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    augment: Callable[[Tensor], Tensor],
    *,
    ends: Iterable[int],
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    amp: bool = False,
) -> Iterator[dict[str, Any]]:
    """Train epoch by epoch.

    Args:
        training: The run; its steps and epochs are counted.
        objective: The loss and the hooks of the method.
        optimizer: Updates the network.
        augment: Makes the network's input of a batch of images.
        ends: The number of steps at which each epoch ends.
        schedule: Advanced after each step.
        amp: Train under autocast to bfloat16.

    Yields:
        For each epoch the mean loss and what the objective says of the epoch.
    """
    data, device = training.data, training.data.target.device
    for training.epoch, end in enumerate(ends):
        data.begin_epoch(training.epoch)
        objective.begin_epoch(training)
        training.model.train()
        losses = []
        while training.step < end:
            chosen = next(training.batches).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=amp):
                batch = Batch(augment(take(data.images, chosen)), data.target[chosen], data.strata[chosen])
                batch = objective.begin_step(training, batch)
                loss = objective(training.model(batch.inputs), batch.target)
            losses.append(training.update(loss, optimizer))
            if schedule is not None:
                schedule.step()
        yield {"loss": torch.stack(losses).mean().item(), **objective.end_epoch()}
