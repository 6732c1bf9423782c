"""Figures of a group of runs: learning curves as in the paper's Figures 3 to 5, and differences with their intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.experiments import KIND_TITLES
from benchmarks.methods.registry import MODERN, VARIANTS
from benchmarks.report.drawing import new_figure, save
from benchmarks.report.groups import Group, title_of
from benchmarks.report.statistics import differences
from benchmarks.report.tables import COMPARED, others_of
from benchmarks.training.run import Record

# Okabe and Ito's colours, which people of any colour vision tell apart; dashes and markers for print in grey. Methods that
# stand in one panel differ in all three.
_BLACK, _ORANGE, _SKY, _GREEN, _BLUE, _RED, _PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
_DOTS, _DASHES, _DOT_DASH, _LONG = (0, (1, 1.5)), (0, (4, 2)), (0, (4, 1.5, 1, 1.5)), (0, (8, 2))
_STYLES: dict[str, tuple[str, Any, str]] = {
    "none": (_BLACK, _DOTS, "x"),
    "oversampling": (_SKY, _DASHES, "s"),
    "weighted": (_PURPLE, _DOT_DASH, "^"),
    "smote": (_ORANGE, (0, (5, 1, 1, 1, 1, 1)), "D"),
    "cle-smote": (_RED, "-", "o"),
    "balanced": (_GREEN, _LONG, "v"),
    "constant-cap": (_BLUE, _DOT_DASH, "P"),
    "class-cosine-cap": (_BLUE, _LONG, "P"),
    "batch-cosine-cap": (_PURPLE, _DASHES, "^"),
    "euclidean-cap": (_BLACK, _DOTS, "x"),
    "cle-smote-v1": (_SKY, _DASHES, "s"),
}
_REST = [  # for methods of today and variants, which stand beside smote and cle-smote
    (_BLACK, _DOTS, "x"), (_SKY, _DASHES, "s"), (_PURPLE, _DOT_DASH, "^"), (_GREEN, _LONG, "v"), (_BLUE, (0, (2, 1)), "P"),
]  # fmt: skip
_FIGURE_3 = ("none", "oversampling", "weighted", "smote", "cle-smote")
_FIGURE_4 = {
    "Constant cap": ("smote", "constant-cap"),
    "Cosine and Euclidean caps": ("smote", "class-cosine-cap", "batch-cosine-cap", "euclidean-cap"),
    "With triplets": ("smote", "cle-smote-v1", "cle-smote"),
}
_FIGURE_5 = {"Baselines": ("none", "oversampling", "smote", "weighted", "cle-smote", "balanced")}
_MODERN, _VARIANTS = [method.name for method in MODERN], [method.name for method in VARIANTS]
_MORE = {
    "Losses of today": ("cle-smote", *_MODERN[:4]),
    "Sampling of today": ("cle-smote", "smote", *_MODERN[4:]),
    "Variants of the cap": ("cle-smote", *_VARIANTS[:3], *_VARIANTS[4:6]),
    "Variants of the pretraining": ("cle-smote", *_VARIANTS[6:9], "smote-triplets"),
    "Fresh draws and warm-up": ("cle-smote", "cle-smote-redraw", "cle-smote-warmup", "smote-redraw"),
}
_REFERENCES = ("smote", "cle-smote")

Panels = Mapping[str, tuple[Sequence[str], Sequence[str]]]  # methods and experiments by title


def figures_of(group: Group, folder: Path, slug: str) -> list[Path]:
    """Draw the figures of a group that it has runs for; gives their files."""
    made = []
    test = group.tests[0]
    if set(group.kinds) & set(KIND_TITLES):
        panels: Panels = {KIND_TITLES.get(kind, kind): (_FIGURE_3, names) for kind, names in group.kinds.items()}
        made += _curves(group, panels, test, _title(group), folder / f"figure-3-{slug}.png")
        panels = {panel: (methods, group.experiments) for panel, methods in _MORE.items()}
        made += _curves(group, panels, test, f"{_title(group)}; all experiments", folder / f"more-{slug}.png")
    else:
        for name in group.experiments:
            title = f"{_title(group)}; {name}"
            for figure, lines in (("figure-4", _FIGURE_4), ("figure-5", _FIGURE_5), ("more", _MORE)):
                panels = {panel: (methods, [name]) for panel, methods in lines.items()}
                made += _curves(group, panels, test, title, folder / f"{figure}-{slug}-{name}.png")
    return made + _forest(group, test, folder / f"differences-{slug}.png")


def _curves(
    group: Group,
    panels: Panels,
    test: str,
    title: str,
    path: Path,
) -> list[Path]:
    """Learning curves of methods on experiments, a panel each; one with nothing but references is left out."""
    lines = {
        panel: {method: runs for method in methods if (runs := _runs(group, method, experiments))}
        for panel, (methods, experiments) in panels.items()
    }
    lines = {panel: of_panel for panel, of_panel in lines.items() if set(of_panel) - set(_REFERENCES)}
    return [learning_curves(lines, test, title, path)] if lines else []


def _runs(group: Group, method: str, experiments: Sequence[str]) -> list[Record]:
    return [record for name in experiments for record in group.of(method, name)]


def _title(group: Group) -> str:
    settings = group.settings
    return f"{group.suite}, preset {group.preset}, {settings['model']}"


def learning_curves(panels: Mapping[str, Mapping[str, list[Record]]], test: str, title: str, path: Path) -> Path:
    """Test AUROC along the training, a panel each: mean over the runs as a line, one standard deviation as a band."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    size = max(8.5, 4.2 * columns + 0.4), (4.2 if len(panels) == 1 else 3.3) * rows + 1.2
    figure, axes = new_figure(*size, rows, columns, sharey=True)
    rest = dict.fromkeys(name for lines in panels.values() for name in lines if name not in _STYLES)
    styles = {**_STYLES}
    for lines in panels.values():
        for i, name in enumerate(name for name in lines if name in rest):
            styles.setdefault(name, _REST[i % len(_REST)])
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
                    **dict(zip(("color", "linestyle", "marker"), styles[name], strict=True)),
                )
                place.fill_between(
                    x, mean - deviation, mean + deviation, color=styles[name][0], alpha=0.12, linewidth=0
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
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    if len({str(styles[name]) for name in names}) == len(names):
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside lower center",
            ncols=min(len(handles), 4),
            handlelength=4,
            frameon=False,
        )
    else:  # styles serve again in another panel
        for place in axes.flat[: len(panels)]:
            place.legend(fontsize=8, handlelength=3.5, loc="lower right")
    save(figure, path)
    return path


def _along(runs: Sequence[Record], test: str) -> tuple[list[int], NDArray[np.float64]]:
    """Where the network was scored, and the AUROC there, shape ``(runs, points)``."""
    x = [point.get("step", point["epoch"]) for point in runs[0]["curve"]]
    return x, np.array([[point["auroc"][test] for point in record["curve"]] for record in runs])


def _forest(group: Group, test: str, path: Path) -> list[Path]:
    """CLE-SMOTE less each other method, with a 95 % interval: a panel for all experiments, and one for each kind."""
    values, others = group.values(test), others_of(group)
    parts: dict[str, Sequence[str]] = {"All experiments": group.experiments}
    if len(group.kinds) > 1:
        parts |= {KIND_TITLES.get(kind, kind): names for kind, names in group.kinds.items()}
    found = {}
    for title, names in parts.items():
        of_part = {
            method: {pair: value for pair, value in pairs.items() if pair[0] in names}
            for method, pairs in values.items()
        }
        if of_title := differences(of_part, COMPARED, others):
            found[title] = {row.baseline: row for row in of_title}
    if not found:
        return []
    shown = [name for name in others if any(name in rows for rows in found.values())]
    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    size = max(8.0, 3.6 * columns + 1.6), (0.3 * len(shown) + 1.1) * lines + 0.8
    figure, axes = new_figure(*size, lines, columns, sharex=True, sharey=True)
    for place, (title, rows) in zip(axes.flat, found.items(), strict=False):
        for name, row in rows.items():
            y = shown.index(name)
            face = "#000000" if row.p < 0.05 else "#FFFFFF"
            place.plot([row.low, row.high], [y, y], color=_BLUE, linewidth=2)
            place.plot([row.mean], [y], color="#000000", marker="o", markersize=6, markerfacecolor=face)
        place.axvline(0, color="#666666", linewidth=1)
        place.set_yticks(range(len(shown)), [title_of(name) for name in shown])
        place.set_ylim(len(shown) - 0.5, -0.5)
        place.set_title(title, fontsize=10)
        place.grid(alpha=0.3, axis="x")
    for place in axes.flat[len(found) :]:
        place.set_axis_off()
    for place in axes[-1]:
        place.set_xlabel("AUROC difference")
    figure.suptitle(
        f"{_title(group)}: CLE-SMOTE less each other method\n"
        "bar: 95 % interval; filled: p < 0.05 after Holm; right of 0: CLE-SMOTE is better",
        fontsize=10,
    )
    save(figure, path)
    return [path]
