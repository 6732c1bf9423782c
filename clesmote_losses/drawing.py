"""Draw figures in memory and write equal pictures as equal files."""

import os
from pathlib import Path
from typing import Any

from clesmote_losses.atomic_write import atomic_write

_DPI = 110
_UNDATED = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """Make a figure of a size in inches, and its axes, shape ``(rows, columns)``.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # draws in memory, without a screen
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('a figure needs matplotlib: pip install "clesmote-losses[report]".') from error
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def plain_text(text: str) -> str:
    """Return text that matplotlib draws as it is: two dollar signs would begin a formula."""
    return text.replace("$", r"\$")


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a file of the kind that its ending names (PNG without one), without date and version of matplotlib."""
    kind = Path(path).suffix.lower().lstrip(".") or "png"
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished, format=kind, metadata=_UNDATED.get(kind))
