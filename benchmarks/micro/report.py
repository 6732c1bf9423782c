"""Show measurements as a table, with missed targets first, and as bars."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.micro.measure import Measurement, Outcome, spread
from benchmarks.micro.rows import Row
from benchmarks.report.tables import Table
from clesmote_losses.atomic_write import atomic_write
from clesmote_losses.drawing import new_figure, save

_ORDER = ("missed", "undecided", "met", None)  # of the table, by outcome
# Okabe and Ito's vermilion, orange and blue, and hatches for print in grey
_LOOKS: dict[Outcome, tuple[str, str]] = {
    "missed": ("#D55E00", "//"),
    "undecided": ("#E69F00", ".."),
    "met": ("#0072B2", ""),
}


def write_report(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write ``micro.md``, ``micro.csv`` and ``micro.png``, and return these files."""
    files = [folder / f"micro.{suffix}" for suffix in ("md", "csv", "png")]
    text = "\n".join(
        ["# Micro-benchmarks", "", *_header(rows), "", table_of(rows).markdown(), "![targets](micro.png)", ""]
    )
    for path, content in zip(files[:2], (text, numbers_of(rows).to_csv(index=False, lineterminator="\n")), strict=True):
        with atomic_write(path) as unfinished:
            unfinished.write_text(content, encoding="utf-8")
    draw(rows, files[2])
    return files


def _header(rows: Sequence[Row]) -> Iterator[str]:
    """Say what was measured on which machine, for how long, and beside which other processes."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(", ".join(f"{key} {value}" for key, value in row.environment.items()), []).append(row.name)
    for machine, measured in names.items():
        yield f"- {', '.join(measured)}: {machine}"
    seconds = ", ".join(f"{row.name} {row.seconds:.0f}" for row in rows)
    yield f"- {sum(row.seconds for row in rows):.0f} s in all; of each row: {seconds}"
    if disturbed := [f"{row.name} ({row.other_processes:.2g} processors)" for row in rows if row.is_disturbed]:
        yield f"- beside other processes, so that even ratios may be wrong: {', '.join(disturbed)}"
    if unknown := [row.name for row in rows if row.other_processes is None]:
        yield f"- not recorded whether other processes ran: {', '.join(unknown)}"


def _by_outcome(rows: Sequence[Row]) -> list[tuple[str, Measurement]]:
    """Sort all measurements, each with the name of its row: missed targets first, then undecided ones."""
    pairs = [(row.name, measurement) for row in rows for measurement in row.measurements]
    return sorted(pairs, key=lambda pair: _ORDER.index(pair[1].outcome))


def table_of(rows: Sequence[Row]) -> Table:
    """Make the table for readers: one line for each measurement."""
    return Table(
        "micro",
        "Medians (± half the range between quartiles); missed targets first",
        pd.DataFrame(_cells(name, measurement) for name, measurement in _by_outcome(rows)),
        "Result: the median, turn by turn, of ours over the peer that the target names; without one, ours. Undecided: the target lies in "
        "the 95 % confidence interval of the median, or, of fewer than six turns, in their range; a single turn has none.",
    )


def _cells(name: str, measurement: Measurement) -> dict[str, str]:
    ours, *peers = (f"{who}: {spread(values, measurement.unit)}" for who, values in measurement.values.items())
    return {
        "Row": name,
        "Case": measurement.case,
        "Measured": measurement.quantity,
        "Turns": str(len(measurement.values[measurement.ours])),
        "Ours": ours,
        "Peers": "; ".join(peers),
        "Result": measurement.verdict,
    }


def numbers_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Make the table for programs: one line for each contestant, with the result on the line of ours."""
    lines = []
    for name, measurement in _by_outcome(rows):
        for who, values in measurement.values.items():
            low, middle, high = (f"{value:.5g}" for value in np.quantile(values, (0.25, 0.5, 0.75)))
            target = measurement.target if who == measurement.ours else None
            lines.append(
                {
                    "row": name,
                    "case": measurement.case,
                    "quantity": measurement.quantity,
                    "unit": measurement.unit,
                    "contestant": who,
                    "turns": len(values),
                    "lower quartile": low,
                    "median": middle,
                    "upper quartile": high,
                    "result": f"{measurement.result:.5g}" if target else "",
                    "target": f"{target.at_most:.5g}" if target else "",
                    "against": target.against if target else "",
                    "outcome": measurement.outcome if target else "",
                }
            )
    return pd.DataFrame(lines)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw result over target of each measurement where both are above 0, into a PNG file."""
    aimed = [
        (
            f"{name}: {measurement.title}",
            measurement.result / measurement.target.at_most,
            _LOOKS[measurement.outcome],
        )
        for name, measurement in _by_outcome(rows)
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
    axis.set_yticks(range(len(aimed)), [label for label, _, _ in aimed], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel(
        "Measured over target, logarithmic\nhatched: missed, dotted: undecided\nnot drawn: targets and results <= 0"
    )
    axis.margins(x=0.12, y=0.01)
    save(figure, path)
