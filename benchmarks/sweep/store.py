"""What runs leave behind: one JSON line for each, and files for what a line cannot hold."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from benchmarks.training.run import Record
from clesmote_losses.atomic_write import atomic_write

_LINES = "runs.jsonl"


def read_records(folder: Path) -> dict[str, Record]:
    """Return the lines of all ``*.jsonl`` of a folder that are not hidden, by the name of their run; nothing is written.

    Raises:
        ValueError: If there are none, or a line is no record.
    """
    paths = sorted(folder.glob("[!.]*.jsonl"))
    if not paths:
        raise ValueError(f"there is no {folder / _LINES}. python -m benchmarks run writes one.")
    return {name: record for path in paths for name, record in _read_lines(path).items()}


def _read_lines(path: Path) -> dict[str, Record]:
    """Return the records of a file by name. A last line without line feed does not count."""
    records: dict[str, Record] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            record = json.loads(line)
            records[record["id"]] = record
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"line {number} of {path} is no record of a run ({type(error).__name__}). Remove the line, or write to "
                "another folder."
            ) from error
    return records


def open_results(folder: Path) -> "Results":
    """Open the folder that the option ``--out`` names.

    Raises:
        ValueError: If it cannot be written to, or a line in it is no record.
    """
    try:
        return Results(folder)
    except OSError as error:
        raise ValueError(f"--out {folder} cannot be written to: {error.strerror}.") from error


class Results:
    """The results in a folder: ``runs.jsonl``, and ``runs/ID.npz`` for the arrays of a run.

    A last line without its line feed is what a killed process left: it does not count, and the next run overwrites it.

    Args:
        folder: Made if it is not there.

    Raises:
        OSError: If the folder cannot be written to.
        ValueError: If a line is no record.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / _LINES
        self._files = folder / "runs"
        self._files.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab"):
            pass
        self.reload()

    def reload(self) -> None:
        """Read the lines again: other processes may have added some."""
        self.records = _read_lines(self.path)

    def has(self, identity: str, *, with_weights: bool = False) -> bool:
        """Return whether a run is done (and its network kept)."""
        record = self.records.get(identity)
        if record is None or (with_weights and not self.weights(identity).exists()):
            return False
        return not record.get("has_arrays") or self._archive(identity).exists()

    @contextmanager
    def claim(self, identity: str, *, with_weights: bool = False) -> Iterator[bool]:
        """Keep other processes from making the same run; yield ``False`` if one makes it already, or has made it.

        The claim ends with the process, however that ends.
        """
        lock = FileLock(self._files / f"{identity}.lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            self.reload()
            yield not self.has(identity, with_weights=with_weights)
        finally:
            with suppress(OSError):  # Windows removes no open file: an empty one stays
                os.unlink(lock.lock_file)
            lock.release()

    def add(self, record: Record, arrays: dict[str, NDArray[Any]] | None = None) -> None:
        """Keep a run. Arrays are written first, so a line stands for both."""
        if arrays is not None:
            record = {**record, "has_arrays": True}
            with atomic_write(self._archive(record["id"])) as unfinished, unfinished.open("wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        # other processes write to the file too
        with FileLock(self._files / "append.lock"), self.path.open("r+b") as file:
            end = file.read().rfind(b"\n") + 1
            file.truncate(end)
            file.seek(end)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.reload()

    def arrays(self, identity: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of a run."""
        with np.load(self._archive(identity), allow_pickle=False) as archive:
            return dict(archive)

    def weights(self, identity: str) -> Path:
        """Return the file for the network of a run."""
        return self._files / f"{identity}.safetensors"

    def _archive(self, identity: str) -> Path:
        return self._files / f"{identity}.npz"
