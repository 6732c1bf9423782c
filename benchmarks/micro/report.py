"""The measurements as a table, those that miss their target first, and as bars."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import new_figure, save
from benchmarks.micro.measure import Measurement, Outcome, spread
from benchmarks.table import Table
from clesmote_losses.files import written_whole

_ORDER = ("missed", "undecided", "met", None)  # of the table, by outcome
# Okabe and Ito's vermilion, orange and blue, and hatches for print in grey
_LOOKS: dict[Outcome, tuple[str, str]] = {
    "missed": ("#D55E00", "//"),
    "undecided": ("#E69F00", ".."),
    "met": ("#0072B2", ""),
}


def write_report(rows: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write ``micro.md``, ``micro.csv`` and ``micro.png`` of the rows of ``micro.json``; gives the files."""
    measurements = [Measurement.from_json(values) for row in rows.values() for values in row["measurements"]]
    table = table_of(measurements)
    files = [folder / f"micro.{suffix}" for suffix in ("md", "csv", "png")]
    text = "\n".join(["# Micro-benchmarks", "", *_machines(rows), "", table.markdown(), "![targets](micro.png)", ""])
    for path, content in zip(files[:2], (text, table.csv()), strict=True):
        with written_whole(path) as unfinished:
            unfinished.write_text(content, encoding="utf-8")
    draw(measurements, files[2])
    return files


def _machines(rows: Mapping[str, Any]) -> list[str]:
    """What was measured on what."""
    names: dict[str, list[str]] = {}
    for name, row in rows.items():
        names.setdefault(", ".join(f"{key} {value}" for key, value in row["environment"].items()), []).append(name)
    total = sum(row["seconds"] for row in rows.values())
    return [*(f"- {', '.join(of_one)}: {machine}" for machine, of_one in names.items()), f"- {total:.0f} s in all"]


def table_of(measurements: Sequence[Measurement]) -> Table:
    """A row for each measurement, those that miss their target first, and then those that may."""
    return Table(
        "micro",
        "Medians (± half the range between quartiles); missed targets first",
        ("Row", "Case", "Measured", "Ours", "Others", "Result"),
        tuple(
            _cells(measurement)
            for measurement in sorted(measurements, key=lambda measurement: _ORDER.index(measurement.outcome))
        ),
        "Result: the median, turn by turn, of ours over the other that the target names; without one, ours. Undecided: the target lies in "
        "the 95 % confidence interval of the median, or, of fewer than six turns, in their range.",
    )


def _cells(measurement: Measurement) -> tuple[str, ...]:
    cells = [f"{name}: {spread(values, measurement.unit)}" for name, values in measurement.values.items()]
    return (
        measurement.row,
        measurement.case,
        measurement.quantity,
        cells[0],
        "; ".join(cells[1:]),
        measurement.verdict,
    )


def draw(measurements: Sequence[Measurement], path: Path) -> None:
    """Result over target of each measurement where both are above 0. PNG."""
    aimed = [
        (measurement, measurement.result / measurement.target.at_most, _LOOKS[measurement.outcome])
        for measurement in measurements
        if measurement.target and measurement.outcome and measurement.target.at_most > 0 and measurement.result > 0
    ]
    figure, axes = new_figure(9, 1.4 + 0.26 * len(aimed), 1, 1)
    axis = axes.flat[0]
    for y, (_, share, (color, hatch)) in enumerate(aimed):
        axis.barh(y, max(share, 1e-3), color=color, hatch=hatch, edgecolor="white", height=0.7)
        number = f"{share:.0f}" if share >= 100 else f"{share:.3g}"
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # the line at 1
        axis.annotate(
            number, (max(share, 1e-3), y), (4, 0), textcoords="offset points", va="center", fontsize=7, bbox=behind
        )
    axis.axvline(1, color="black", linewidth=1, zorder=1)
    axis.set_xscale("log")
    axis.set_yticks(range(len(aimed)), [f"{m.row}: {m.case}, {m.quantity}" for m, _, _ in aimed], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("Measured over target, logarithmic\n(hatched: missed, dotted: undecided)")
    axis.margins(x=0.08, y=0.01)
    save(figure, path)
