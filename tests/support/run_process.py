"""What a process of its own does that makes runs. This module imports no more than that needs."""

import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.sweep.command import RunCommand


def run_waves(data: Path, out: Path, log: Path, **options: Any) -> None:
    """Run one experiment of the suite ``folder`` on ``write_waves``; stderr goes to the file ``log``."""
    command = RunCommand(
        suite="folder",
        suite_options={"normal": "well"},
        data_dir=data,
        out=out,
        experiments=("interclass",),
        image_size=16,
        epochs=2,
        batch_size=8,
        tune=False,
        **options,
    )
    with log.open("w") as sys.stderr:
        command.prepare(Console(quiet=True))()
