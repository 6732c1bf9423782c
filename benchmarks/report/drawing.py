"""Figures drawn into memory, and written as equal files where pictures are equal."""

from pathlib import Path
from typing import Any

from clesmote_losses.atomic_write import atomic_write

_DPI = 110


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A figure and its axes, shape ``(rows, columns)``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # draws into memory: no screen is asked for
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(figure: Any, path: Path) -> None:
    """Write a PNG without the version of matplotlib in it, so that equal pictures are equal files."""
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished, format="png", metadata={"Software": None})
