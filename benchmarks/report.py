"""What is shown of many runs: a table, learning curves, and synthetic images beside their parents.

Made from records and arrays alone, so a report needs no network and no data set.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.methods import METHODS, Method
from benchmarks.results import Record
from clesmote_losses.files import written_whole

# Okabe and Ito's colours, which people of any colour vision tell apart; dashes and markers for print in grey
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#000000", "linestyle": (0, (1, 1.5)), "marker": "x"},
    {"color": "#56B4E9", "linestyle": "--", "marker": "s"},
    {"color": "#CC79A7", "linestyle": "-.", "marker": "^"},
    {"color": "#E69F00", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "D"},
    {"color": "#D55E00", "linestyle": "-", "marker": "o"},
    {"color": "#009E73", "linestyle": (0, (8, 2)), "marker": "v"},
)
_DPI = 110
_GALLERY_ROWS, _GALLERY_BLOCKS = 5, 2  # blocks of three images side by side


def _of(method: Method, records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record["config"]["method"]["name"] == method.name]


def auroc_table(methods: Sequence[Method], records: Sequence[Record]) -> Table:
    """Mean and variance over the seeds for each method, in the order given; no row is singled out."""
    seeds = sorted({record["config"]["seed"] for record in records})
    table = Table(
        title=f"AUROC on the test images after the last epoch; seeds {', '.join(map(str, seeds))}",
        caption="Variance over the seeds (n - 1). Capped: share of the synthetic images seen in training.",
    )
    table.add_column("Method", no_wrap=True)
    for heading in ("AUROC, mean (variance)", "capped", "seconds a run"):
        table.add_column(heading, justify="right", no_wrap=True)
    for method in methods:
        runs = _of(method, records)
        values = np.array([record["auroc"] for record in runs])
        variance = f"{values.var(ddof=1):.2e}" if len(values) > 1 else "one run"
        shares = [record["share_capped"] for record in runs]
        table.add_row(
            method.title,
            f"{values.mean():.4f} ({variance})",
            "" if None in shares else f"{np.mean(shares):.1%}",
            f"{np.mean([sum(record['seconds'].values()) for record in runs]):.1f}",
        )
    return table


def learning_curves(methods: Sequence[Method], records: Sequence[Record], path: Path) -> None:
    """Test AUROC after each epoch, the mean over seeds as a line and least to most as a band; and each seed at the end. PNG."""
    figure, (axes, end) = _figure(11, 5.4, 1, 2, width_ratios=[1.7, 1])
    for row, method in enumerate(methods):
        runs, style = _of(method, records), _STYLES[list(METHODS).index(method.name) % len(_STYLES)]
        values = np.array([[point["auroc"] for point in record["curve"]] for record in runs])
        epochs = [point["epoch"] for point in runs[0]["curve"]]
        axes.plot(epochs, values.mean(0), label=method.title, linewidth=1.8, markersize=5, **style)
        axes.fill_between(epochs, values.min(0), values.max(0), color=style["color"], alpha=0.1, linewidth=0)
        end.plot(values[:, -1], [row] * len(runs), markersize=7, **{**style, "linestyle": "none"})
        end.plot([values[:, -1].mean()] * 2, [row - 0.3, row + 0.3], color=style["color"], linewidth=1.8)
    experiment, settings = records[0]["config"]["experiment"], records[0]["config"]["settings"]
    seeds = len({record["config"]["seed"] for record in records})
    steps = records[0]["steps"] // settings["epochs"]
    several = "" if len(experiment["classes"]) == 2 else ", mean over one class against the rest"
    axes.set_xlabel(f"Epoch ({steps} optimizer steps of {settings['batch_size']} images each)")
    axes.set_ylabel(f"Test AUROC{several}")
    axes.set_title(f"Line: mean over {seeds} seed(s); band: least to most", fontsize=10)
    axes.xaxis.get_major_locator().set_params(integer=True)
    end.set_yticks(range(len(methods)), [method.title for method in methods])
    end.set_ylim(len(methods) - 0.5, -0.5)
    end.xaxis.get_major_locator().set_params(nbins=5)
    end.set_xlabel("Test AUROC")
    end.set_title("After the last epoch: each seed, and the mean", fontsize=10)
    for part in (axes, end):
        part.grid(alpha=0.3)
    figure.suptitle(f"{_task(experiment)}; {settings['model']}", fontsize=11)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=4, frameon=False)
    _save(figure, path)


def gallery(records: Sequence[Record], archives: Sequence[dict[str, NDArray[Any]]], path: Path) -> None:
    """Synthetic images between their parents, those first that use most of their cap. PNG.

    Args:
        records: Runs of one method with a capped loss.
        archives: The arrays of each.
        path: The file.
    """
    usage = [(archive["synthetic_loss"] / archive["synthetic_cap"])[archive["shown"]] for archive in archives]
    every = [(-share, run, row) for run, shares in enumerate(usage) for row, share in enumerate(shares)]
    chosen = sorted(every)[: _GALLERY_ROWS * _GALLERY_BLOCKS]
    figure, axes = _figure(
        10.5,
        1.1 + 1.4 * _GALLERY_ROWS,
        _GALLERY_ROWS,
        4 * _GALLERY_BLOCKS,
        width_ratios=[1.05, 1, 1, 1] * _GALLERY_BLOCKS,
    )
    for place in axes.flat:
        place.set_axis_off()
    for i, (_, run, row) in enumerate(chosen):
        archive, config = archives[run], records[run]["config"]
        line, block = divmod(i, _GALLERY_BLOCKS)
        text, *places = axes[line, 4 * block : 4 * block + 4]
        image = archive["shown"][row]
        lines = (
            f"class {_short(config['experiment']['classes'][archive['shown_label'][row]])}",
            f"λ = {archive['shown_lam'][row]:.2f}",
            f"CE = {archive['synthetic_loss'][image]:.3g}",
            f"cap = {archive['synthetic_cap'][image]:.3g}",
            f"seed {config['seed']}",
        )
        text.text(0.96, 0.5, "\n".join(lines), ha="right", va="center", fontsize=10, transform=text.transAxes)
        for place, name in zip(places, ("base", "synthetic", "neighbor"), strict=True):
            place.imshow(archive[f"shown_{name}"][row], interpolation="nearest")
            if line == 0:
                place.set_title(name, fontsize=10)
    total = sum(len(archive["synthetic_loss"]) for archive in archives)
    capped = sum(int((archive["synthetic_loss"] > archive["synthetic_cap"]).sum()) for archive in archives)
    if capped:
        found = (
            f"{capped} of {total} synthetic images are over their cap after training; most-capped first (by CE / cap)."
        )
    else:
        found = (
            f"None of {total} synthetic images is over its cap after training; those nearest to it first (by CE / cap)."
        )
    method = records[0]["config"]["method"]
    figure.suptitle(
        f"{_task(records[0]['config']['experiment'])}; {method['title']}, beta = {method['beta']:g}, {len(records)} run(s)\n{found}\n"
        "synthetic = (1 - λ) base + λ neighbor; CE and cap of the trained network in nats, without augmentation",
        fontsize=11,
    )
    _save(figure, path)


def _task(experiment: dict[str, Any]) -> str:
    pairs = zip(experiment["classes"], experiment["counts"], strict=True)
    return f"{experiment['name']}, training images {', '.join(f'{_short(name)}={count}' for name, count in pairs)}"


def _short(name: str, length: int = 14) -> str:
    name = name.replace("$", r"\$")  # two of them would start a formula
    return name if len(name) <= length else name[: length - 1] + "…"


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # draws into memory: no screen is asked for
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, gridspec_kw=grid or None)


def _save(figure: Any, path: Path) -> None:
    with written_whole(path) as unfinished:
        figure.savefig(unfinished, format="png")
