"""The measurements as a table, those that miss their target first, and as bars."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import new_figure, save
from benchmarks.micro.measure import Measurement, spread
from benchmarks.table import Table
from clesmote_losses.files import written_whole

_MET, _MISSED = "#0072B2", "#D55E00"  # Okabe and Ito's blue and vermilion


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
    """A row for each measurement, those that miss their target first."""
    return Table(
        "micro",
        "Medians (± half the range between quartiles); missed targets first",
        ("Row", "Case", "Measured", "Ours", "Others", "Result"),
        tuple(_cells(measurement) for measurement in sorted(measurements, key=_missed_first)),
        "Result: the median, turn by turn, of ours over the other that the target names; without one, ours.",
    )


def _missed_first(measurement: Measurement) -> int:
    return {False: 0, True: 1, None: 2}[measurement.is_met]


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
    """Result over target of each measurement that has one. PNG."""
    aimed = [measurement for measurement in measurements if measurement.target and measurement.target.at_most > 0]
    shares = [[m.result / m.target.at_most] for m in aimed if m.target]
    figure, axes = new_figure(9, 1.4 + 0.26 * len(aimed), 1, 1)
    axis = axes.flat[0]
    for y, (measurement, (share,)) in enumerate(zip(aimed, shares, strict=True)):
        color, hatch = (_MET, "") if measurement.is_met else (_MISSED, "//")
        axis.barh(y, max(share, 1e-3), color=color, hatch=hatch, edgecolor="white", height=0.7)
        axis.text(max(share, 1e-3), y, f" {share:.2g}", va="center", fontsize=7)
    axis.axvline(1, color="black", linewidth=1)
    axis.set_xscale("log")
    axis.set_yticks(range(len(aimed)), [f"{m.row}: {m.case}, {m.quantity}" for m in aimed], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("Measured over target, logarithmic; hatched: missed")
    axis.margins(x=0.12, y=0.01)
    save(figure, path)
