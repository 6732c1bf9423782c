"""How long runs will take, by a few steps of their network."""

import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from benchmarks.methods.networks import make_network
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
    if not runs or not isinstance(runs[0].settings, Settings):
        return ""
    seconds, step = estimate_run(runs[0], device)
    return f"about {duration((len(runs) + more) * seconds / jobs)} ({1000 * step:.0f} ms a step)"


def estimate_run(run: Run, device: torch.device) -> tuple[float, float]:
    """Return the seconds that a run of the preset ``correct`` and one of its steps will take.

    Two steps of plain cross-entropy on noise are measured. Pretraining and the search of neighbours take longer.
    """
    settings, trial, source = run.settings, run.draw(), run.source
    assert isinstance(settings, Settings)
    classes, shape = len(run.experiment.classes), (source.images.shape[3], source.image_size, source.image_size)
    with preserved_rng():
        model = make_network(settings.model, num_classes=classes, image_size=source.image_size, in_chans=shape[0])
        model.train().to(device)
        images = torch.rand(settings.batch_size, *shape, device=device)
        labels = torch.randint(classes, (settings.batch_size,), device=device)
        F.cross_entropy(model(images), labels).backward()  # the first step is slow
        started = time.perf_counter()
        for _ in range(_STEPS):
            F.cross_entropy(model(images), labels).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        step = (time.perf_counter() - started) / _STEPS
    tested = sum(len(part) for part in (*trial.tests.values(), trial.validation) if part is not None)
    passes = settings.steps + _FORWARD * settings.epochs * tested / settings.batch_size
    if settings.frozen:  # each image once
        passes = _FORWARD * (len(trial.train) + tested) / settings.batch_size
    return passes * step, step


def duration(seconds: float) -> str:
    """Write a duration: ``"12 min"``."""
    minutes = seconds / 60
    return f"{minutes / 60:.1f} h" if minutes >= 60 else f"{minutes:.0f} min" if minutes >= 1 else "a minute at most"
