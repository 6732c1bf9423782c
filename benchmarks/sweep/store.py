"""What runs leave behind: one JSON line for each, and files for what a line cannot hold."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.training.run import Record
from clesmote_losses.atomic_write import atomic_write

try:
    import fcntl
except ImportError:  # Windows: one process at a time
    fcntl = None  # type: ignore[assignment]

_LINES = "runs.jsonl"


def read_records(folder: Path) -> dict[str, Record]:
    """The lines of all ``*.jsonl`` of a folder by the name of their run; nothing is written.

    Raises:
        ValueError: If there are none, or one is no record.
    """
    records: dict[str, Record] = {}
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise ValueError(f"there is no {folder / _LINES}. python -m benchmarks run writes one.")
    for path in paths:
        _read_lines(path, 0, records)
    return records


def _read_lines(path: Path, start: int, records: dict[str, Record]) -> int:
    """Add the whole lines from a place in the file on to the records; gives how many bytes that were."""
    with path.open("rb") as file:
        file.seek(start)
        lines = file.read().split(b"\n")[:-1]
    before = len(records) if start else 0
    for number, line in enumerate(lines, before + 1):
        try:
            record = json.loads(line)
            records[record["id"]] = record
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"line {number} of {path} is no record of a run ({type(error).__name__}). Take the line out, or write to "
                "another folder."
            ) from error
    return sum(len(line) + 1 for line in lines)


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
        (folder / "runs").mkdir(parents=True, exist_ok=True)
        with self.path.open("ab"):
            pass
        self.records: dict[str, Record] = {}
        self._read = 0  # bytes
        self.reload()

    def reload(self) -> None:
        """Read the lines that other processes have added."""
        self._read += _read_lines(self.path, self._read, self.records)

    def has(self, identity: str, *, with_weights: bool = False) -> bool:
        """Whether a run is done (and its network kept)."""
        record = self.records.get(identity)
        if record is None or (with_weights and not self.weights(identity).exists()):
            return False
        return not record.get("has_arrays") or self._archive(identity).exists()

    @contextmanager
    def claim(self, identity: str, *, with_weights: bool = False) -> Iterator[bool]:
        """Keep other processes from making the same run; gives ``False`` if one does already, or has done it.

        The claim ends with the process, however that ends.
        """
        with self._archive(identity).with_suffix(".lock").open("w") as file:
            try:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            self.reload()
            try:
                yield not self.has(identity, with_weights=with_weights)
            finally:
                Path(file.name).unlink(missing_ok=True)

    def add(self, record: Record, arrays: dict[str, NDArray[Any]] | None = None) -> None:
        """Keep a run. Arrays are written first, so a line stands for both."""
        if arrays is not None:
            record = {**record, "has_arrays": True}
            with atomic_write(self._archive(record["id"])) as unfinished, unfinished.open("wb") as file:
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
        self.reload()

    def arrays(self, identity: str) -> dict[str, NDArray[Any]]:
        """The arrays of a run."""
        with np.load(self._archive(identity), allow_pickle=False) as archive:
            return dict(archive)

    def weights(self, identity: str) -> Path:
        """Where the network of a run is kept."""
        return self.path.with_name("runs") / f"{identity}.safetensors"

    def _archive(self, identity: str) -> Path:
        return self.path.with_name("runs") / f"{identity}.npz"
