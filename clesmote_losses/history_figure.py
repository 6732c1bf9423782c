"""Draw the history of a loss: four small panels, one line a class."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from clesmote_losses.drawing import new_figure, plain_text

# of Okabe and Ito, for the colour-blind; marker and dashes tell the lines apart in black and white
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    {"color": "#009E73", "marker": "^", "linestyle": "-."},
    {"color": "#CC79A7", "marker": "D", "linestyle": ":"},
    {"color": "#56B4E9", "marker": "v", "linestyle": (0, (6, 1))},
    {"color": "#E69F00", "marker": "P", "linestyle": (0, (3, 1, 1, 1))},
    {"color": "#000000", "marker": "X", "linestyle": (0, (1, 1))},
)
_GREY = {"color": "#BBBBBB", "linewidth": 0.6, "alpha": 0.7, "zorder": 1}
_PANELS = {
    "share_capped": "Share of samples over their cap",
    "mean_cap": "Mean cap (nats)",
    "loss_synthetic": "Mean loss of synthetic samples (nats)",
    "loss_real": "Mean loss of real samples (nats)",
}
_MARKERS = 8  # on a line
_LONGEST_NAME = 32


def draw_history(epochs: Sequence[dict[str, Any]], class_names: Sequence[str] | Mapping[int, str] | None) -> Any:
    """Draw epochs of a :class:`LossHistory`; arguments, result and errors as of :meth:`LossHistory.plot`."""
    if not epochs:
        raise ValueError(
            "the history has no epoch yet: call end_epoch(criterion), or criterion.reset_stats(), after the first one."
        )
    if class_names is not None and not isinstance(class_names, Mapping):
        count = 1 + max(label for row in epochs for label in row["classes"])
        if len(class_names) < count or isinstance(class_names, str):
            raise ValueError(f"class_names must hold {count} names, one for each class; got {class_names!r}.")
    chosen, others = _chosen_classes(epochs)
    figure, panels = new_figure(8.5, 6.2, 2, 2, sharex=True)
    panels[1, 0].sharey(panels[1, 1])
    for axes, (key, title) in zip(panels.flat, _PANELS.items(), strict=True):
        _draw_panel(axes, epochs, key, chosen, others)
        axes.set_title(title, fontsize="medium")
    for axes in panels[1]:
        axes.set_xlabel("Epoch")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    names = [_name(label, class_names) for label in chosen] + labels[len(chosen) :]
    columns = max(1, min(4, 90 // (max(map(len, names)) + 8)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, handlelength=4)
    return figure


def _chosen_classes(epochs: Sequence[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """Return the classes to draw in colour, and those in grey."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in epochs:
        for label, numbers in row["classes"].items():
            found.setdefault(label, []).append(numbers)
    blended = [label for label in found if any(numbers["synthetic"] for numbers in found[label])]
    share = {label: sum(numbers["share_capped"] or 0 for numbers in found[label]) for label in found}
    ranked = sorted(blended or found, key=lambda label: (-share[label], label))
    return sorted(ranked[: len(_STYLES)]), ranked[len(_STYLES) :]


def _draw_panel(
    axes: Any, epochs: Sequence[dict[str, Any]], key: str, chosen: Sequence[int], others: Sequence[int]
) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    numbers = [row["epoch"] for row in epochs]
    lines = {label: _values(epochs, label, key) for label in (*chosen, *others)}
    for i, (label, values) in enumerate(lines.items()):
        if label in chosen:
            step = -(-len(numbers) // _MARKERS)
            every = (i * step // len(chosen), step)  # markers of lines that coincide are not on top of each other
            axes.plot(numbers, values, label=str(label), markevery=every, markersize=4.5, linewidth=1.4, **_STYLES[i])
        else:
            is_first = label == others[0]
            name = f"{len(others)} other class{'es' * (len(others) > 1)}"
            axes.plot(numbers, values, label=name if is_first else None, marker="." * (len(numbers) == 1), **_GREY)
    known = [value for values in lines.values() for value in values if not math.isnan(value)]
    if not known:
        axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes, color="#555555")
        axes.tick_params(left=False, labelleft=False)
    elif key == "share_capped":
        top = max(0.02, *known)
        axes.set_ylim(-0.04 * top, 1.06 * top)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    elif key == "mean_cap" and min(known) > 0 and max(known) > 50 * min(known):
        axes.set_yscale("log")
    if len(numbers) == 1:
        axes.set_xlim(numbers[0] - 0.5, numbers[0] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _values(epochs: Sequence[dict[str, Any]], label: int, key: str) -> list[float]:
    """Return a number of a class in each epoch, NaN where there is none."""
    found = (row["classes"].get(label, {}).get(key) for row in epochs)
    return [math.nan if value is None else value for value in found]


def _name(label: int, class_names: Sequence[str] | Mapping[int, str] | None) -> str:
    try:
        name = f"class {label}" if class_names is None else str(class_names[label])
    except LookupError:
        name = f"class {label}"
    name = plain_text(name.lstrip("_"))  # matplotlib hides a name that begins with it
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
