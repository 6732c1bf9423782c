"""What a folder keeps of each row: a JSON file of its own, so that one is measured again without touching the others."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.micro.measure import Measurement
from clesmote_losses.atomic_write import atomic_write


@dataclass(frozen=True)
class Row:
    """A row as it was measured.

    Attributes:
        name: Of the row, as on the command line.
        environment: Machine and versions.
        seconds: That it took.
        other_processes: Processors that others used meanwhile, on average; ``None`` where that was not recorded.
        measurements: What was measured.
    """

    name: str
    environment: Mapping[str, str | int]
    seconds: float
    other_processes: float | None
    measurements: tuple[Measurement, ...]

    @property
    def is_disturbed(self) -> bool:
        """Whether others used more than the processors that torch leaves free and a tenth of all: some work there always is."""
        cpus, threads = (int(self.environment[name]) for name in ("cpus", "threads"))
        return self.other_processes is not None and threads + self.other_processes > 1.1 * cpus

    def save(self, folder: Path) -> Path:
        """Write the row's file, in place of an earlier one."""
        values = {**asdict(self), "measurements": [measurement.to_json() for measurement in self.measurements]}
        del values["name"]
        path = folder / f"{self.name}.json"
        with atomic_write(path) as unfinished:
            unfinished.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        return path


def read_rows(folder: Path) -> list[Row]:
    """Read the rows that a folder keeps, by name.

    Raises:
        ValueError: If one of its JSON files is no row.
    """
    rows = []
    for path in sorted(folder.glob("[!.]*.json")):  # no hidden files, which systems and editors write
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            measurements = tuple(Measurement.from_json(one) for one in values["measurements"])
            environment, seconds, used = values["environment"], float(values["seconds"]), values["other_processes"]
            row = Row(path.stem, environment, seconds, None if used is None else float(used), measurements)
            row.is_disturbed  # noqa: B018 -- it fails here if cpus or threads are no numbers
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{path} is no row of micro-benchmarks ({type(error).__name__}: {error}). Take it out, or name another folder."
            ) from error
        rows.append(row)
    return rows
