"""What a folder keeps of each row: a JSON file of its own, so that processes that measure different rows do not meet."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.micro.measure import Measurement
from clesmote_losses.files import written_whole


@dataclass(frozen=True)
class Row:
    """A row as it was measured.

    Attributes:
        name: Of the row, as on the command line.
        environment: Machine and versions.
        seconds: That it took.
        others: Processors that other processes used meanwhile, in the mean; ``None`` where that was not recorded.
        measurements: What was measured.
    """

    name: str
    environment: Mapping[str, str | int]
    seconds: float
    others: float | None
    measurements: tuple[Measurement, ...]

    @property
    def is_disturbed(self) -> bool:
        """Whether others used processors that this row's threads wanted."""
        cpus, threads = (int(self.environment[name]) for name in ("cpus", "threads"))
        return self.others is not None and threads + self.others > cpus + 0.25

    def save(self, folder: Path) -> Path:
        """Write the row's file, in place of an earlier one."""
        values = {
            "environment": self.environment,
            "seconds": self.seconds,
            "others": self.others,
            "measurements": [measurement.to_json() for measurement in self.measurements],
        }
        path = folder / f"{self.name}.json"
        with written_whole(path) as unfinished:
            unfinished.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        return path


def read_rows(folder: Path) -> list[Row]:
    """The rows that a folder keeps, by name.

    Raises:
        ValueError: If one of its JSON files is no row.
    """
    rows = []
    for path in sorted(folder.glob("*.json")):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            measurements = tuple(Measurement.from_json(one) for one in values["measurements"])
            row = Row(path.stem, values["environment"], float(values["seconds"]), values["others"], measurements)
            row.is_disturbed  # noqa: B018 -- it fails here if its values are of another kind
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{path} is no row of micro-benchmarks ({type(error).__name__}). Take the file out, or name another folder."
            ) from error
        rows.append(row)
    return rows
