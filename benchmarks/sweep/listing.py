"""``python -m benchmarks list``: suites, experiments and methods."""

from collections.abc import Mapping

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from benchmarks.data.experiments import Experiment
from benchmarks.data.source import Source
from benchmarks.methods.registry import METHODS
from benchmarks.sweep.suites import SUITES


def show_list(suites: list[str], source: Source | None, console: Console) -> None:
    """Print suites, the counts of their experiments on given data, and (without suites) methods."""
    for suite in (SUITES[name] for name in suites or SUITES):
        settings = suite.settings
        size = f"{suite.image_size} px" if suite.image_size else "the file's image size"
        rows = {
            "needs": suite.needs,
            "methods": " ".join(suite.methods),
            "experiments": suite.outline,
            "settings": f"--model {settings.model}, {size}, --steps {settings.steps}, --epochs {settings.epochs}, "
            f"--batch-size {settings.batch_size}, --augmentation {settings.augmentation}",
        }
        console.print(f"{suite.name}: {suite.title}", style="bold")
        console.print(_aligned(rows))
        if source is not None:
            found = suite.experiments(source, settings.validate)
            console.print(_aligned({experiment.name: _told(experiment, source) for experiment in found}))
    if not suites:
        console.print("Methods", style="bold")
        console.print(_aligned({method.name: method.title for method in METHODS.values()}))


def _aligned(rows: Mapping[str, str]) -> Padding:
    grid = Table.grid(padding=(0, 2))
    for name, text in rows.items():
        grid.add_row(name, text)
    return Padding(grid, (0, 0, 1, 2))


def _told(experiment: Experiment, source: Source) -> str:
    """Counts of the training images, and what there is to know about them."""
    left = source.left
    fewer = {name: left[name] for name, count in experiment.counts.items() if left[name] < count}
    text = ", ".join(f"{name} {fewer.get(name, count)}" for name, count in experiment.counts.items())
    notes = [f"{experiment.counts[name]} {name} less those for validation" for name in fewer]
    notes += [experiment.note] if experiment.note else []
    return f"{text} ({'; '.join(notes)})" if notes else text
