"""The rows of a machine with a GPU: overhead of the step, neighbours of large images, and that nothing waits for the GPU."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import torch

from benchmarks.micro.loss import loss
from benchmarks.micro.measure import Benchmark, Measurement, Target, take_turns
from benchmarks.micro.steps import Setting, step, training_step
from clesmote_losses.centroids import Mode
from clesmote_losses.loss_inputs import Gradient
from clesmote_losses.smote.neighbors import nearest_neighbors

_STEP = Setting("resnet50", 224, 256, 30, "cuda", amp=True, channels_last=True, at_most=1.005)
_COMPILED = Setting("resnet50", 224, 256, 30, "cuda", amp=True, compiled=True, channels_last=True, at_most=1.005)


def gpu() -> Iterator[Measurement]:
    """Measure loss and step on the GPU, waits for it, and neighbours of large images."""
    for name, row in (("loss", loss(device="cuda")), ("step", step((_STEP, _COMPILED))), ("waits", _waits())):
        for measurement in row:
            yield replace(measurement, case=f"{name}: {measurement.case}")
    rows = torch.randint(0, 256, (20_000, 150_528), dtype=torch.uint8)
    queries = torch.arange(len(rows))
    values = take_turns(
        {"clesmote_losses": lambda: nearest_neighbors(rows, queries, 5, device="cuda")}, repeats=3, at_least=0
    )
    yield Measurement("neighbors: 20,000 queries in 20,000 x 150,528", "time", "s", values, Target(10))


def _waits() -> Iterator[Measurement]:
    """Count steps that wait for the GPU, in every mode."""
    if not _does_wait(torch.ones((), device="cuda").item):
        raise RuntimeError("torch's sync debug mode does not see item() wait, so it would see nothing else either.")
    for amp, mode, gradient in itertools.product((False, True), get_args(Mode), get_args(Gradient)):
        setting = Setting("resnet18", 64, 64, 1, "cuda", amp=amp)
        run = training_step(setting, capped=True, mode=mode, gradient=gradient)
        for _ in range(3):
            run()
        torch.cuda.synchronize()
        case = f"{setting.case}, mode={mode!r}, gradient={gradient!r}"
        values = {"tracker and CappedSMOTELoss": [_does_wait(run)]}
        yield Measurement(case, "1 if a step waits for the GPU", "", values, Target(0))


def _does_wait(work: Callable[[], Any]) -> float:
    """Return 1 if torch's sync debug mode finds that the host waits for the GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        work()
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        return 1.0
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return 0.0


BENCHMARKS = (Benchmark("gpu", gpu, torch.cuda.is_available, "a GPU that torch can use, and there is none"),)
