"""What runs leave behind: one JSON line for each, and an archive of arrays for what a line cannot hold."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.files import written_whole

try:
    import fcntl
except ImportError:  # Windows: one process at a time
    fcntl = None  # type: ignore[assignment]

Record = dict[str, Any]


def run_id(config: dict[str, Any]) -> str:
    """Name of the run of a configuration: equal configurations are the same run."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    return f"{config['method']['name']}-seed{config['seed']}-{digest[:10]}"


class Results:
    """The results in a folder: ``runs.jsonl``, and ``runs/ID.npz`` for each line.

    A last line without its line feed is what a killed process left: it does not count, and the next run overwrites it.

    Args:
        folder: Made if it is not there.

    Raises:
        OSError: If the folder cannot be written to.
        ValueError: If a line is no record.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "runs.jsonl"
        (folder / "runs").mkdir(parents=True, exist_ok=True)
        with self.path.open("ab"):
            pass
        self.records: dict[str, Record] = {}
        lines = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):
            try:
                record = json.loads(line)
                self.records[record["id"]] = record
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(
                    f"line {number} of {self.path} is no record of a run ({type(error).__name__}). Take the line out, or write to "
                    "another folder."
                ) from error

    def has(self, identity: str) -> bool:
        return identity in self.records and self._archive(identity).exists()

    def add(self, record: Record, arrays: dict[str, NDArray[Any]]) -> None:
        """Keep a run. The archive is written first, so a line stands for both."""
        with written_whole(self._archive(record["id"])) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        with self.path.open("r+b") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed: other processes write here too
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
            file.seek(whole)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.records[record["id"]] = record

    def arrays(self, identity: str) -> dict[str, NDArray[Any]]:
        """The arrays of a run."""
        with np.load(self._archive(identity), allow_pickle=False) as archive:
            return dict(archive)

    def _archive(self, identity: str) -> Path:
        return self.path.with_name("runs") / f"{identity}.npz"
