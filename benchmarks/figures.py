"""Figures of a group of runs: learning curves as in the paper's Figures 3 to 5, and differences with their intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.comparison import differences
from benchmarks.experiments import KIND_TITLES
from benchmarks.results import Record
from benchmarks.summary import Group, title_of
from benchmarks.tables import COMPARED, baselines_of
from clesmote_losses.files import written_whole

# Okabe and Ito's colours, which people of any colour vision tell apart; dashes and markers for print in grey
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#000000", "linestyle": (0, (1, 1.5)), "marker": "x"},
    {"color": "#56B4E9", "linestyle": "--", "marker": "s"},
    {"color": "#CC79A7", "linestyle": "-.", "marker": "^"},
    {"color": "#E69F00", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "D"},
    {"color": "#D55E00", "linestyle": "-", "marker": "o"},
    {"color": "#009E73", "linestyle": (0, (8, 2)), "marker": "v"},
)
_FIGURE_3 = ("none", "oversampling", "weighted", "smote", "cle-smote")
_FIGURE_4 = {
    "Constant cap": ("smote", "constant-cap"),
    "Cosine and Euclidean caps": ("smote", "class-cosine-cap", "batch-cosine-cap", "euclidean-cap"),
    "With triplets": ("smote", "cle-smote-v1", "cle-smote"),
}
_FIGURE_5 = ("none", "oversampling", "smote", "weighted", "cle-smote", "balanced")
_DPI = 110


def figures_of(group: Group, folder: Path, slug: str) -> list[Path]:
    """Draw the figures of a group; gives their files."""
    made = []
    test = group.tests[0]
    if set(group.kinds) & set(KIND_TITLES):
        panels = {
            KIND_TITLES.get(kind, kind): {name: _runs(group, name, experiments) for name in _FIGURE_3}
            for kind, experiments in group.kinds.items()
        }
        made.append(learning_curves(panels, test, _title(group), folder / f"figure-3-{slug}.png"))
    else:
        for experiment in group.experiments:
            panels = {
                title: {name: _runs(group, name, [experiment]) for name in names} for title, names in _FIGURE_4.items()
            }
            panels = {title: lines for title, lines in panels.items() if any(lines[name] for name in list(lines)[1:])}
            title = f"{_title(group)}; {experiment}"
            if panels:
                made.append(learning_curves(panels, test, title, folder / f"figure-4-{slug}-{experiment}.png"))
            lines = {name: _runs(group, name, [experiment]) for name in _FIGURE_5}
            made.append(
                learning_curves({"Baselines": lines}, test, title, folder / f"figure-5-{slug}-{experiment}.png")
            )
    if COMPARED in group.methods and len(group.methods) > 1:
        made += _forest(group, test, folder / f"differences-{slug}.png")
    return made


def _runs(group: Group, method: str, experiments: Sequence[str]) -> list[Record]:
    return [record for name in experiments for record in group.of(method, name)]


def _title(group: Group) -> str:
    settings = group.settings
    return f"{group.suite}, preset {group.preset}, {settings['model']}"


def learning_curves(panels: Mapping[str, Mapping[str, list[Record]]], test: str, title: str, path: Path) -> Path:
    """Test AUROC along the training, a panel each: mean over the runs as a line, one standard deviation as a band."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(
        max(8.5, 4.2 * columns + 0.4), (4.2 if len(panels) == 1 else 3.3) * rows + 1.2, rows, columns
    )
    names = list(dict.fromkeys(name for lines in panels.values() for name, runs in lines.items() if runs))
    styles = {name: STYLES[i % len(STYLES)] for i, name in enumerate(names)}
    handles: dict[str, Any] = {}
    for place, (panel, lines) in zip(axes.flat, panels.items(), strict=False):
        for name, runs in lines.items():
            if runs:
                x, values = _along(runs, test)
                mean, deviation = values.mean(0), values.std(0)
                (line,) = place.plot(
                    x,
                    mean,
                    label=title_of(name),
                    linewidth=1.5,
                    markersize=4,
                    markevery=max(1, len(x) // 8),
                    **styles[name],
                )
                place.fill_between(
                    x, mean - deviation, mean + deviation, color=styles[name]["color"], alpha=0.12, linewidth=0
                )
                handles.setdefault(title_of(name), line)
        place.set_title(panel, fontsize=10)
        place.grid(alpha=0.3)
    for place in axes.flat[len(panels) :]:
        place.set_axis_off()
    runs = next(runs for lines in panels.values() for runs in lines.values() if runs)
    for place in axes[-1]:
        place.set_xlabel("Optimizer step" if "step" in runs[0]["curve"][0] else "Epoch")
    for place in axes[:, 0]:
        place.set_ylabel("Test AUROC")
    figure.suptitle(f"{title}\nline: mean over the runs; band: one standard deviation", fontsize=10)
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=min(len(handles), 4),
        handlelength=4,
        frameon=False,
    )
    save(figure, path)
    return path


def _along(runs: Sequence[Record], test: str) -> tuple[list[int], NDArray[np.float64]]:
    """Where the network was scored, and the AUROC there, shape ``(runs, points)``."""
    x = [point.get("step", point["epoch"]) for point in runs[0]["curve"]]
    return x, np.array([[point["auroc"][test] for point in record["curve"]] for record in runs])


def _forest(group: Group, test: str, path: Path) -> list[Path]:
    """Difference of CLE-SMOTE to each other method, with a 95 % interval; a panel for all, and one for each kind."""
    values = group.values(test)
    parts = {"All experiments": None, **{KIND_TITLES.get(kind, kind): names for kind, names in group.kinds.items()}}
    if len(group.kinds) == 1:
        parts = {"All experiments": None}
    found = {}
    for title, names in parts.items():
        of_part = {
            method: {pair: value for pair, value in pairs.items() if names is None or pair[0] in names}
            for method, pairs in values.items()
        }
        if rows := differences(of_part, COMPARED, baselines_of(group)):
            found[title] = rows
    if not found:
        return []
    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    most = max(map(len, found.values()))
    figure, axes = new_figure(
        4 * columns + 1.2, (0.36 * most + 1.1) * lines + 0.6, lines, columns, sharex=True, sharey=True
    )
    for place, (title, rows) in zip(axes.flat, found.items(), strict=False):
        for y, row in enumerate(rows):
            place.plot([row.low, row.high], [y, y], color="#0072B2", linewidth=2)
            face = "#000000" if row.p < 0.05 else "#FFFFFF"
            place.plot([row.mean], [y], color="#000000", marker="o", markersize=6, markerfacecolor=face)
        place.axvline(0, color="#666666", linewidth=1)
        place.set_yticks(range(len(rows)), [title_of(row.baseline) for row in rows])
        place.set_ylim(most - 0.5, -0.5)
        place.set_title(title, fontsize=10)
        place.grid(alpha=0.3, axis="x")
    for place in axes.flat[len(found) :]:
        place.set_axis_off()
    for place in axes[-1]:
        place.set_xlabel("AUROC difference")
    figure.suptitle(
        f"{_title(group)}: CLE-SMOTE less each other method\nbar: 95 % interval; filled: p < 0.05 after Holm; right of 0: CLE-SMOTE is better",
        fontsize=10,
    )
    save(figure, path)
    return [path]


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A figure and its axes, shape ``(rows, columns)``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # draws into memory: no screen is asked for
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(figure: Any, path: Path) -> None:
    """Write a PNG without the version of matplotlib in it, so that equal pictures are equal files."""
    with written_whole(path) as unfinished:
        figure.savefig(unfinished, format="png", metadata={"Software": None})
