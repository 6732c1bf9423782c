"""What a suite is: which experiments, on which data, by which methods, under which settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.command_line import options_of
from benchmarks.data.experiments import RATIO, Experiment, imbalances
from benchmarks.data.source import Source
from benchmarks.methods.registry import Method
from benchmarks.training.controlled import Settings


@dataclass(frozen=True)
class NoOptions:
    """Declare no option: the suite has none of its own."""


@dataclass(frozen=True)
class Suite:
    """Experiments that belong together.

    Attributes:
        name: Name on the command line.
        title: What the suite shows.
        needs: The data that it needs, for the reader of ``list``.
        outline: Its experiments, for the reader of ``list``.
        load: Reads the data: called as ``load(folder, image_size=..., **options)``.
        experiments: Returns the experiments of the data, with a validation set held out or without.
        methods: Methods that are run by default.
        settings: Default settings.
        image_size: Default height and width in pixels; ``None`` for that of the file.
        options: Dataclass of the options that the suite has besides those of ``run``; see
            :func:`benchmarks.command_line.option`.
        presets: Presets that the suite can be run with.
        order: Place in lists of suites; those of equal order stand by name.
    """

    name: str
    title: str
    needs: str
    outline: str
    load: Callable[..., Source]
    experiments: Callable[[Source, bool], Sequence[Experiment]]
    methods: Sequence[Method]
    settings: Settings = field(default_factory=Settings)
    image_size: int | None = 32
    options: type[Any] = NoOptions
    presets: tuple[str, ...] = ("correct",)
    order: int = 100

    def read(self, folder: Path, image_size: int | None, options: Mapping[str, Any]) -> Source:
        """Read the data.

        Args:
            folder: Folder or file of the data.
            image_size: Height and width in pixels; ``None`` for the default.
            options: The suite's own options by name; those left out have their defaults.

        Raises:
            ValueError: If the data cannot be read.
        """
        return self.load(folder, image_size=image_size or self.image_size, **vars(self.options(**options)))

    @property
    def option_names(self) -> set[str]:
        """Names of the suite's own options."""
        return {declared.name for declared in options_of(self.options)}


def imbalances_with_first(
    source: Source, validate: bool, *, never_majority: str | None = None, ratio: int = RATIO
) -> list[Experiment]:
    """Return the paper's kinds of imbalance between the first stratum and all others.

    Args:
        source: The data.
        validate: Plan with the images that the validation split leaves; else with all.
        never_majority, ratio: As in :func:`benchmarks.data.experiments.imbalances`.
    """
    normal, *others = source.strata
    available = source.left if validate else source.available
    return imbalances(normal, others, available, never_majority=never_majority, ratio=ratio)


def outline_17(sub_conditions: str, remark: str) -> str:
    """Describe the paper's 17 experiments on other sub-conditions."""
    return f"interclass, (intraclass|both)-(single|multiple)-({sub_conditions}); {remark}"
