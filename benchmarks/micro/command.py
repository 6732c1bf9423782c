"""``python -m benchmarks micro``: runs rows, prints what they measured, and keeps it with a table and a chart."""

import pkgutil
import platform
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from rich.console import Console

import benchmarks.micro
from benchmarks.lookup import Lookup
from benchmarks.micro.measure import Benchmark
from benchmarks.micro.other_processes import OtherProcesses
from benchmarks.micro.report import write_report
from benchmarks.micro.rows import Row, read_rows
from benchmarks.training.environment import environment

# what rows are measured beside, or read images with
_PEERS = ("torchvision", "pillow", "faiss-cpu", "pytorch-metric-learning")


def _find() -> Lookup[Benchmark]:
    """Collect the rows that the files of this folder declare."""
    names = (module.name for module in pkgutil.iter_modules(benchmarks.micro.__path__, "benchmarks.micro."))
    modules = (import_module(name) for name in names if name != __name__)
    return Lookup.by_name("row", (row for module in modules for row in getattr(module, "BENCHMARKS", ())))


ROWS = _find()


def described_rows() -> str:
    """Give a line for each row: its name and what it measures."""
    return "\n".join(f"  {name:16} {row.summary}" for name, row in ROWS.items())


def checked_rows(names: Sequence[str], folder: Path) -> list[str]:
    """Return the rows to run, and create the folder. Every wrong option raises here.

    Args:
        names: Of rows; none are all that this machine can run.
        folder: Where they will be kept.

    Raises:
        ValueError: If there is no such row, it cannot run here, the folder cannot be written to, or a JSON file of it is none.
    """
    for row in [ROWS[name] for name in names]:
        if not row.is_possible():
            raise ValueError(f"the row {row.name} needs {row.needs}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # better now than after the measuring
            pass
    except OSError as error:
        raise ValueError(f"--out {folder} cannot be written to: {error.strerror}.") from error
    read_rows(folder)
    return list(dict.fromkeys(names)) or [name for name, row in ROWS.items() if row.is_possible()]


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
    for result in missed:
        console.print(f"More than {check:g} times its target: {result}", style="bold")
    if missed:
        raise SystemExit(1)


def _measured(name: str, console: Console) -> Row:
    start, other_processes, found = time.perf_counter(), OtherProcesses(), []
    for measurement in ROWS[name].measure():
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
    """Return the name of the processor, if the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
