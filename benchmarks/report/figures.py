"""Figures of a group of runs: learning curves as in the paper's Figures 3 to 5, and differences with their intervals."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from benchmarks.data.experiments import KIND_TITLES
from benchmarks.methods.registry import CLE_SMOTE
from benchmarks.report.groups import Group, baselines_of, title_of
from benchmarks.report.statistics import differences
from benchmarks.training.run import Record
from clesmote_losses.drawing import new_figure, plain_text, save

_Content = TypeVar("_Content")
# Okabe and Ito's colours, which readers of any colour vision can tell apart; dashes and markers for print in grey. Methods
# in one panel differ in all three.
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
_REST = [  # for later methods and variants, beside smote and cle-smote
    (_BLACK, _DOTS, "x"), (_SKY, _DASHES, "s"), (_PURPLE, _DOT_DASH, "^"), (_GREEN, _LONG, "v"), (_BLUE, (0, (2, 1)), "P"),
]  # fmt: skip
_FIGURE_3 = ("none", "oversampling", "weighted", "smote", "cle-smote")
_FIGURE_4 = {
    "Constant cap": ("smote", "constant-cap"),
    "Cosine and Euclidean caps": ("smote", "class-cosine-cap", "batch-cosine-cap", "euclidean-cap"),
    "With triplets": ("smote", "cle-smote-v1", "cle-smote"),
}
_FIGURE_5 = {"Baselines": ("none", "oversampling", "smote", "weighted", "cle-smote", "balanced")}
_MORE = {
    "Later losses": ("cle-smote", "logit-adjustment", "balanced-softmax", "ldam-drw", "focal", "crt"),
    "Later sampling": ("cle-smote", "smote", "borderline-smote", "adasyn", "strong-augmentation"),
    "Variants of the cap": (
        "cle-smote",
        "cle-smote-scale",
        "cle-smote-flow",
        "cle-smote-share",
        "cle-smote-stratum",
        "cle-smote-online",
    ),
    "Variants of the pretraining": (
        "cle-smote",
        "cle-smote-margin",
        "cle-smote-in-batch",
        "cle-smote-supcon",
        "smote-triplets",
    ),
    "What is blended": ("cle-smote", "smote", "smote-real-share", "smote-all", "smote-all-any", "cle-smote-real-share"),
    "Mixed images": ("cle-smote", "mixup", "balanced-mixup", "remix", "cmo", "mixup-balanced-softmax"),
    "Against wrong labels": (
        "cle-smote",
        "label-smoothing",
        "gce",
        "small-loss",
        "cap-oversampled",
        "cap-oversampled-warmup",
    ),
    "Fresh draws and warm-up": ("cle-smote", "cle-smote-redraw", "cle-smote-warmup", "smote-redraw"),
}
_REFERENCES = ("smote", "cle-smote")
_DRAWN = {name for panels in (_FIGURE_4, _FIGURE_5, _MORE) for names in panels.values() for name in names}

Panels = Mapping[str, tuple[Sequence[str], Sequence[str]]]  # methods and experiments by title


def figures_of(group: Group, folder: Path, slug: str) -> list[Path]:
    """Draw the figures of a group that it has runs for, and return their files."""
    title = f"{group.suite}, preset {group.preset}, {group.settings['model']}"
    figures: dict[str, tuple[str, Panels]] = {}  # title and panels by the name of the file
    others = [name for name in group.methods if name not in _DRAWN]
    more = {**_MORE, "Other methods": (*_REFERENCES, *others)}
    if set(group.kinds) & set(KIND_TITLES):
        kinds: Panels = {KIND_TITLES.get(kind, kind): (_FIGURE_3, names) for kind, names in group.kinds.items()}
        figures[f"figure-3-{slug}"] = title, kinds
        panels: Panels = {panel: (methods, group.experiments) for panel, methods in more.items()}
        figures[f"more-{slug}"] = f"{title}; all experiments", panels
    else:
        for name in group.experiments:
            for figure, shown in (("figure-4", _FIGURE_4), ("figure-5", _FIGURE_5), ("more", more)):
                panels = {panel: (methods, [name]) for panel, methods in shown.items()}
                figures[f"{figure}-{slug}-{name}"] = f"{title}; {name}", panels
    test, made = group.tests[0], []
    for file, (title_of_figure, panels) in figures.items():
        if lines := _lines(group, panels):
            made.append(learning_curves(lines, test, title_of_figure, folder / f"{file}.png"))
    return made + _difference_figure(group, test, title, folder / f"differences-{slug}.png")


def _lines(group: Group, panels: Panels) -> dict[str, dict[str, list[Record]]]:
    """Collect the runs of each method of a panel. A panel with nothing but references is left out."""
    lines: dict[str, dict[str, list[Record]]] = {}
    for panel, (methods, experiments) in panels.items():
        runs = group.trials[group.trials["experiment"].isin(experiments)]
        of_panel = {name: list(runs["record"][runs["method"] == name]) for name in methods}
        of_panel = {name: records for name, records in of_panel.items() if records}
        if of_panel.keys() - _REFERENCES:
            lines[panel] = of_panel
    return lines


def learning_curves(panels: Mapping[str, Mapping[str, list[Record]]], test: str, title: str, path: Path) -> Path:
    """Draw test AUROC during training, a panel each: the mean over the runs as a line, one standard deviation as a band."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    size = max(8.5, 4.2 * columns + 0.4), (4.2 if len(panels) == 1 else 3.3) * rows + 1.2
    figure, axes = new_figure(*size, rows, columns, sharey=True)
    styles = _styles_of(panels)
    handles: dict[str, Any] = {}
    step = "Epoch"
    for axis, (_, lines) in _titled(axes, panels):
        for name, runs in lines.items():
            if not runs:
                continue
            step = "Optimizer step" if "step" in runs[0]["curve"][0] else "Epoch"
            x = [point.get("step", point["epoch"]) for point in runs[0]["curve"]]
            values = np.array([[point["auroc"][test] for point in record["curve"]] for record in runs], dtype=float)
            mean, deviation = values.mean(0), values.std(0)
            color, dashes, marker = styles[name]
            options = {"linestyle": dashes, "marker": marker, "linewidth": 1.5, "markersize": 4}
            every = max(1, len(x) // 8)
            (line,) = axis.plot(x, mean, label=title_of(name), color=color, markevery=every, **options)
            axis.fill_between(x, mean - deviation, mean + deviation, color=color, alpha=0.12, linewidth=0)
            handles.setdefault(title_of(name), line)
        axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel(step)
    for axis in axes[:, 0]:
        axis.set_ylabel("Test AUROC")
    title = plain_text(title)
    figure.suptitle(f"{title}\nline: mean over the runs; band: one standard deviation", fontsize=10)
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    if len({str(styles[name]) for name in names}) == len(names):
        place = {"loc": "outside lower center", "ncols": min(len(handles), 4)}
        figure.legend(handles.values(), handles.keys(), handlelength=4, frameon=False, **place)
    else:  # two panels use one style for different methods
        for axis in axes.flat[: len(panels)]:
            axis.legend(fontsize=8, handlelength=3.5, loc="lower right")
    save(figure, path)
    return path


def _styles_of(panels: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, Any, str]]:
    """Return the style of each method: its own, or the next of the rest in the first panel that has it."""
    styles = dict(_STYLES)
    for names in panels.values():
        for i, name in enumerate(name for name in names if name not in _STYLES):
            styles.setdefault(name, _REST[i % len(_REST)])
    return styles


def _titled(axes: Any, panels: Mapping[str, _Content]) -> Iterator[tuple[Any, tuple[str, _Content]]]:
    """Yield an axis for each panel, titled; hide the axes that are left."""
    for axis, panel in zip_longest(axes.flat, panels.items()):
        if panel is None:
            axis.set_axis_off()
        else:
            axis.set_title(panel[0], fontsize=10)
            yield axis, panel


def _difference_figure(group: Group, test: str, title: str, path: Path) -> list[Path]:
    """Draw the difference of CLE-SMOTE to each other method: a panel for all experiments, and one for each kind."""
    results, baselines = group.results(test), baselines_of(group)
    parts: dict[str, Sequence[str]] = {"All experiments": group.experiments}
    if len(group.kinds) > 1:
        parts |= {KIND_TITLES.get(kind, kind): names for kind, names in group.kinds.items()}
    found = {
        part: differences(results[results["experiment"].isin(names)], CLE_SMOTE.name, baselines)
        for part, names in parts.items()
    }
    found = {part: rows for part, rows in found.items() if not rows.empty}
    if not found:
        return []
    compared = pd.concat(found.values())["baseline"].tolist()
    shown = [name for name in baselines if name in compared]
    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    size = max(8.0, 3.6 * columns + 1.6), (0.3 * len(shown) + 1.1) * lines + 0.8
    figure, axes = new_figure(*size, lines, columns, sharex=True, sharey=True)
    for axis, (_, rows) in _titled(axes, found):
        for row in rows.to_dict("records"):
            y = shown.index(row["baseline"])
            face = "#000000" if row["p"] < 0.05 else "#FFFFFF"
            axis.plot([row["low"], row["high"]], [y, y], color=_BLUE, linewidth=2)
            axis.plot([row["mean"]], [y], color="#000000", marker="o", markersize=6, markerfacecolor=face)
        axis.axvline(0, color="#666666", linewidth=1)
        axis.set_yticks(range(len(shown)), [title_of(name) for name in shown])
        axis.set_ylim(len(shown) - 0.5, -0.5)
        axis.grid(alpha=0.3, axis="x")
    for axis in axes[-1]:
        axis.set_xlabel("AUROC difference")
    figure.suptitle(
        f"{title}: difference of CLE-SMOTE to each other method\n"
        "bar: 95 % interval; filled: p < 0.05 after Holm; right of 0: CLE-SMOTE is better",
        fontsize=10,
    )
    save(figure, path)
    return [path]
