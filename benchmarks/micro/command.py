"""``python -m benchmarks micro``: runs rows, prints what they measured, and keeps it with a table and a chart."""

import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.environment import environment
from benchmarks.micro.centroids import refresh
from benchmarks.micro.gpu import gpu
from benchmarks.micro.growth import growth
from benchmarks.micro.items import epoch, items
from benchmarks.micro.loss import loss
from benchmarks.micro.measure import Measurement
from benchmarks.micro.plans import large_plan, neighbors, plan, plan_from_files
from benchmarks.micro.report import write_report
from benchmarks.micro.startup import startup
from benchmarks.micro.steps import compiled_step, step
from benchmarks.micro.triplets import triplets
from clesmote_losses.files import written_whole

ROWS: dict[str, Callable[[], Iterator[Measurement]]] = {
    "plan-32": partial(plan, 20_000, 1_000, 32, repeats=2),
    "plan-64": partial(plan, 20_000, 1_000, 64, repeats=1),
    "plan-224": partial(plan, 2_000, 200, 224, repeats=1),  # once each: the peer takes half a minute
    "plan-from-files": plan_from_files,
    "large-plan": large_plan,
    "neighbors": neighbors,
    "items": items,
    "epoch": epoch,
    "loss": loss,
    "step": step,
    "compiled-step": compiled_step,
    "refresh": refresh,
    "triplets": triplets,
    "growth": growth,
    "startup": startup,
    "gpu": gpu,
}


# what rows are measured beside, or read images with
_PEERS = ("torchvision", "pillow", "faiss-cpu", "pytorch-metric-learning")


def run_micro(names: Sequence[str], folder: Path, console: Console, *, check: float | None = None) -> None:
    """Run rows one after the other; each replaces what the folder holds of it.

    Args:
        names: Of rows; none are all that this machine can run.
        folder: For ``micro.json``, the table and the chart.
        console: To tell what was measured.
        check: End the process with 1 if a result is more than so many times its target.
    """
    path = folder / "micro.json"
    rows: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    missed = []
    for name in names or [name for name in ROWS if name != "gpu" or torch.cuda.is_available()]:
        start = time.perf_counter()
        found = []
        for measurement in ROWS[name]():
            console.print(measurement.text)
            found.append(measurement)
            if check and measurement.target and measurement.result > check * measurement.target.at_most:
                missed.append(measurement)
        rows[name] = {
            "environment": {
                "python": platform.python_version(),
                **environment(torch.device("cuda" if name == "gpu" else "cpu"), *_PEERS),
                "processor": _processor(),
            },
            "seconds": round(time.perf_counter() - start, 1),
            "measurements": [measurement.to_json() for measurement in found],
        }
        rows = {key: rows[key] for key in ROWS if key in rows}
        folder.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as unfinished:
            unfinished.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    console.print(f"Written: {path}, {', '.join(map(str, write_report(rows, folder)))}")
    for measurement in missed:
        console.print(f"More than {check:g} times its target: {measurement.text}", style="bold")
    if missed:
        raise SystemExit(1)


def _processor() -> str:
    """Its name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
