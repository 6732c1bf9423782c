"""Draw figures in memory and write equal pictures as equal files."""

from pathlib import Path
from typing import Any

from clesmote_losses.atomic_write import atomic_write

_DPI = 110


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """Make a figure of a size in inches, and its axes, shape ``(rows, columns)``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # draws in memory, without a screen
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(figure: Any, path: Path) -> None:
    """Write a PNG file without the version of matplotlib, so that equal pictures are equal files."""
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished, format="png", metadata={"Software": None})
