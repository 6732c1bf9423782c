"""How long runs will take, by a few steps of their network."""

import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from benchmarks.data.trials import count_strata
from benchmarks.training.controlled import Settings
from benchmarks.training.run import Run
from clesmote_losses.restore import preserved_rng

_STEPS = 2
_FORWARD = 1 / 3  # of the time of a step


def estimate_time(runs: Sequence[Run], more: int, device: torch.device, jobs: int = 1) -> str:
    """Say how long the runs will take: ``"about 12 min (30 ms a step)"``; nothing where there is nothing to measure.

    Args:
        runs: Runs of the preset ``correct``, which differ in experiment, method and seed only.
        more: Number of runs to come that are like them.
        device: Where they run.
        jobs: Number of runs at the same time.
    """
    if not runs or not isinstance(settings := runs[0].settings, Settings):
        return ""
    seconds = measure_step(runs[0], device)
    told = duration(count_passes(runs[0], len(runs) + more, jobs) * seconds / jobs)
    unit = "batch of features" if settings.frozen else "step"
    return f"about {told} ({1000 * seconds:.0f} ms a {unit})"


def measure_step(run: Run, device: torch.device) -> float:
    """Return the seconds of an optimizer step of a run of the preset ``correct``.

    Two steps of plain cross-entropy on noise are measured; of a frozen network two batches of features. Pretraining and the
    search of neighbours take longer.
    """
    settings, source, classes = run.settings, run.source, len(run.experiment.classes)
    assert isinstance(settings, Settings)
    shape = (source.images.shape[3], source.image_size, source.image_size)
    with preserved_rng():
        model = settings.make_network(source.images.shape, classes)
        model.train(not settings.frozen).to(device)
        images = torch.rand(settings.batch_size, *shape, device=device)
        labels = torch.randint(classes, (settings.batch_size,), device=device)

        def step() -> None:
            with torch.set_grad_enabled(not settings.frozen):
                loss = F.cross_entropy(model(images), labels)
            if not settings.frozen:
                loss.backward()

        step()  # the first one is slow
        started = time.perf_counter()
        for _ in range(_STEPS):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - started) / _STEPS


def count_passes(run: Run, count: int = 1, jobs: int = 1) -> float:
    """Return how many times the time of :func:`measure_step` so many runs like this one take."""
    settings, trial = run.settings, run.draw()
    assert isinstance(settings, Settings)
    tested = sum(len(part) for part in (*trial.tests.values(), trial.validation) if part is not None)
    if settings.frozen:  # the features of each image once; those that runs share are counted for each
        raised = run.experiment.raised(count_strata(trial.train, run.experiment))
        return (count * sum(raised.values()) + jobs * tested) / settings.batch_size
    return count * (settings.steps + _FORWARD * settings.epochs * tested / settings.batch_size)


def duration(seconds: float) -> str:
    """Write a duration: ``"12 min"``."""
    minutes = seconds / 60
    return f"{minutes / 60:.1f} h" if minutes >= 60 else f"{minutes:.0f} min" if minutes >= 1 else "a minute at most"
