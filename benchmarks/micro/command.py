"""``python -m benchmarks micro``: runs rows, prints what they measured, and keeps it with a table and a chart."""

import inspect
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.micro.centroids import refresh
from benchmarks.micro.gpu import gpu
from benchmarks.micro.growth import growth
from benchmarks.micro.items import epoch, items
from benchmarks.micro.loss import loss
from benchmarks.micro.measure import Measurement
from benchmarks.micro.other_processes import OtherProcesses
from benchmarks.micro.plans import large_plan, neighbors, plan, plan_from_files
from benchmarks.micro.report import write_report
from benchmarks.micro.rows import Row, read_rows
from benchmarks.micro.startup import startup
from benchmarks.micro.steps import compiled_step, step
from benchmarks.micro.triplets import triplets
from benchmarks.training.environment import environment

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


_READ_MEMORY = ("plan-32", "plan-64", "plan-224", "epoch", "growth")
# what rows are measured beside, or read images with
_PEERS = ("torchvision", "pillow", "faiss-cpu", "pytorch-metric-learning")


def described_rows() -> str:
    """A line for each row: its name and what it measures."""
    return "\n".join(f"  {name:16} {_summary(row)}" for name, row in ROWS.items())


def _summary(row: Callable[..., object]) -> str:
    """First line of what a row's function says of itself."""
    return (inspect.getdoc(row.func if isinstance(row, partial) else row) or "").partition("\n")[0]


def checked_rows(names: Sequence[str], folder: Path) -> list[str]:
    """The rows to run; the folder is made. All that can go wrong by a wrong option goes wrong here.

    Args:
        names: Of rows; none are all that this machine can run.
        folder: Where they will be kept.

    Raises:
        ValueError: If there is no such row, it cannot run here, the folder cannot be written to, or a JSON file of it is none.
    """
    if unknown := [name for name in names if name not in ROWS]:
        raise ValueError(f"no row {unknown[0]!r}; there are {', '.join(ROWS)}.")
    for name in names:
        if lack := _lack(name):
            raise ValueError(f"the row {name} needs {lack}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # better now than after the measuring
            pass
    except OSError as error:
        raise ValueError(f"--out {folder} cannot be written to: {error.strerror}.") from error
    read_rows(folder)
    return list(dict.fromkeys(names)) or [name for name in ROWS if not _lack(name)]


def _lack(name: str) -> str:
    """What this machine lacks for a row."""
    if name == "gpu" and not torch.cuda.is_available():
        return "a GPU that torch can use, and there is none"
    if name in _READ_MEMORY and sys.platform != "linux":
        return "Linux, where /proc tells the memory of a process"
    return ""


def run_micro(names: Sequence[str], folder: Path, console: Console, *, check: float | None = None) -> None:
    """Run rows one after the other; each replaces what the folder holds of it.

    Args:
        names: Of rows, as :func:`checked_rows` gives them.
        folder: For a JSON file of each row, and the table and the chart of all that it holds.
        console: To tell what was measured.
        check: End the process with 1 if a result is more than so many times its target.
    """
    missed: list[str] = []
    written: list[Path] = []
    try:
        for name in names:
            row = _measured(name, console)
            written.append(row.save(folder))
            for measurement in row.measurements:
                target = measurement.target
                if check is not None and target and measurement.result > check * target.at_most:
                    missed.append(f"{name}: {measurement.title}: {measurement.aim}")
    finally:  # Ctrl-C too leaves a table of the rows that were done
        if written:
            written += write_report(read_rows(folder), folder)
            console.print(f"Written: {', '.join(map(str, written))}")
    for told in missed:
        console.print(f"More than {check:g} times its target: {told}", style="bold")
    if missed:
        raise SystemExit(1)


def _measured(name: str, console: Console) -> Row:
    start, other_processes, found = time.perf_counter(), OtherProcesses(), []
    for measurement in ROWS[name]():
        console.print(f"{name}: {measurement.text}")
        found.append(measurement)
    row = Row(
        name,
        {
            "python": platform.python_version(),
            **environment(torch.device("cuda" if name == "gpu" else "cpu"), *_PEERS),
            "processor": _processor(),
        },
        round(time.perf_counter() - start, 1),
        other_processes.processors(),
        tuple(found),
    )
    if row.is_disturbed:
        console.print(
            f"{name}: other processes (or guests of the same host) used {row.other_processes:.2g} of the "
            f"{row.environment['cpus']} processors meanwhile. Even ratios may be wrong: measure again on an idle machine.",
            style="bold",
        )
    return row


def _processor() -> str:
    """Its name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
