"""``python -m benchmarks list``: suites, experiments and methods."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from benchmarks.command_line import Command, Share, further_options, option
from benchmarks.data.experiments import Experiment
from benchmarks.data.source import Source
from benchmarks.data.trials import draw, told_counts
from benchmarks.methods.registry import METHODS
from benchmarks.sweep.declaration import Suite
from benchmarks.sweep.registry import SUITES, check_suite_options, suite_options


@dataclass(frozen=True, kw_only=True)
class ListCommand(Command):
    """Options of ``list``."""

    summary: ClassVar[str] = "show suites, experiments and methods"

    suite: str | None = field(
        default=None, metadata=option("(all)", is_positional=True, metavar="SUITE", choices=SUITES)
    )
    data_dir: Path | None = field(
        default=None, metadata=option("count the images of each experiment on these data", metavar="DIR")
    )
    label_noise: Share = field(
        default=0.0, metadata=option("count wrong labels too, as run --label-noise draws them", metavar="SHARE")
    )
    suite_options: dict[str, Any] = field(default_factory=dict, metadata=further_options(suite_options))

    def prepare(self, console: Console) -> Callable[[], None]:
        """Read the data if there are any; return the printing."""
        if self.suite is None:
            if self.data_dir is not None:
                raise ValueError("--data-dir needs SUITE: which suite are the data for?")
            return partial(show_all, console)
        suite = SUITES[self.suite]
        check_suite_options(suite, self.suite_options)
        if self.label_noise and self.data_dir is None:
            raise ValueError("--label-noise needs --data-dir: which images would be counted?")
        source = None
        if self.data_dir is not None:
            source = suite.read(self.data_dir, None, self.suite_options)
            source.split  # noqa: B018 -- a stratum that cannot be split fails here
        return partial(show_suite, suite, source, console, self.label_noise)


def show_all(console: Console) -> None:
    """Print all suites and all methods."""
    for suite in SUITES.values():
        show_suite(suite, None, console)
    console.print("Methods", style="bold")
    console.print(_aligned({method.name: method.title for method in METHODS.values()}))


def show_suite(suite: Suite, source: Source | None, console: Console, label_noise: float = 0.0) -> None:
    """Print a suite, and the counts of its experiments on given data, with wrong labels if any are wanted."""
    settings = suite.settings
    size = f"{suite.image_size} px" if suite.image_size else "the file's image size"
    rows = {
        "needs": suite.needs,
        "methods": " ".join(method.name for method in suite.methods),
        "experiments": suite.outline,
        "settings": f"--model {settings.model}, {size}, --steps {settings.steps}, --epochs {settings.epochs}, "
        f"--batch-size {settings.batch_size}, --augmentation {settings.augmentation}",
    }
    console.print(f"{suite.name}: {suite.title}", style="bold")
    console.print(_aligned(rows))
    if source is not None:
        found: Sequence[Experiment] = suite.experiments(source, settings.validate)
        console.print(_aligned({e.name: _describe_counts(replace(e, label_noise=label_noise), source) for e in found}))


def _aligned(rows: Mapping[str, str]) -> Padding:
    grid = Table.grid(padding=(0, 2))
    for name, text in rows.items():
        grid.add_row(name, text)
    return Padding(grid, (0, 0, 1, 2))


def _describe_counts(experiment: Experiment, source: Source) -> str:
    """Return the counts of the training images, with remarks."""
    left = source.left
    fewer = [name for name, count in experiment.counts.items() if left[name] < count]
    try:
        text = told_counts(source, experiment, draw(source, experiment, 0))
    except ValueError as error:
        return str(error)
    notes = [f"{experiment.counts[name]} {name} less those for validation" for name in fewer]
    notes += [experiment.note] if experiment.note else []
    return f"{text} ({'; '.join(notes)})" if notes else text
