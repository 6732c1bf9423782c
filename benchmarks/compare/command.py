"""``python -m benchmarks compare``: should I use any of this on my own images?"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pandas as pd
import torch
from rich.console import Console

from benchmarks.command_line import AboveZero, Command, PositiveInt, Seed, option
from benchmarks.compare.comparison import Comparison
from benchmarks.compare.folder import images_folder, load_own_images
from benchmarks.compare.page import Page
from benchmarks.compare.scores import measure
from benchmarks.compare.splits import FOLDS, check_splits
from benchmarks.compare.verdict import LEAST_SPLITS, PLAIN
from benchmarks.data.source import Source
from benchmarks.methods.networks import CONVNET, make_network
from benchmarks.methods.registry import METHODS, UPPER_BOUND
from benchmarks.sweep.command import LEARNING_RATES, pick_device
from benchmarks.sweep.estimate import duration, estimate_run
from benchmarks.sweep.store import Results, open_results
from benchmarks.sweep.workers import progress_bar, work
from benchmarks.training.augmentation import AUGMENTATIONS
from benchmarks.training.controlled import Settings
from clesmote_losses.atomic_write import atomic_write
from clesmote_losses.restore import preserved_rng

# worth trying first; each with its own defaults
WORTH_TRYING = (PLAIN, "weighted", "oversampling", "smote", "cle-smote", "logit-adjustment")
_PASSES, _LEAST_STEPS, _MOST_STEPS = 20, 200, 1200  # passes over the training images, within these bounds
_EPOCHS = 10
_SLACK = 2.0  # how far the estimate may be over the budget: it is rough, and too long on a busy machine
_OPTIONS = "compare.json"
_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Read a duration such as ``90s``, ``30m`` or ``1.5h`` as seconds."""
    try:
        seconds = float(text[:-1]) * _UNITS[text[-1:]]
    except (ValueError, KeyError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"wanted a time such as 90s, 30m or 2h, got {text!r}")
    return seconds


@dataclass(frozen=True, kw_only=True)
class CompareCommand(Command):
    """Options of ``compare``."""

    summary: ClassVar[str] = "find out what helps on your own images"
    description: ClassVar[str] = (
        "Train a few methods on repeated splits of your own images, and say in words which of them helps.\n\n"
        "Repeat the command to continue after an interruption; a larger --budget adds splits. The verdict is in report.html\n"
        "and report.md of the output folder."
    )

    data_dir: Path = field(
        metadata=option("folder with CLASS/*, or one with train/CLASS/*, of which train alone is used", metavar="DIR")
    )
    groups: Path | None = field(
        default=None,
        metadata=option(
            "CSV with the columns filename and group, such as the patient: a group is on one side of every split",
            metavar="FILE",
        ),
    )
    budget: Annotated[float, parse_duration] = field(
        default=1800.0, metadata=option("time for all runs, such as 90s, 30m or 2h (30m)", metavar="TIME")
    )
    methods: tuple[str, ...] = field(
        default=WORTH_TRYING, metadata=option(f"beside {PLAIN} ({' '.join(WORTH_TRYING)})", metavar="METHOD")
    )
    model: str = field(default=CONVNET, metadata=option("convnet, or timm's name of a network (%(default)s)"))
    image_size: PositiveInt = field(
        default=64, metadata=option("images are resized to it, squashed (%(default)s)", metavar="PIXELS")
    )
    steps: PositiveInt | None = field(
        default=None,
        metadata=option(
            f"optimizer steps of a run ({_PASSES} passes over the images, {_LEAST_STEPS} to {_MOST_STEPS} steps)"
        ),
    )
    batch_size: PositiveInt = field(default=64, metadata=option("(%(default)s)"))
    augmentation: str = field(
        default="shift",
        metadata=option("shift_flip also mirrors images: only where left and right are alike (%(default)s)",
                        choices=AUGMENTATIONS),
    )  # fmt: skip
    lr: tuple[AboveZero, ...] = field(
        default=LEARNING_RATES,
        metadata=option(f"learning rates to choose from ({' '.join(map(str, LEARNING_RATES))})"),
    )
    seed: Seed = field(default=0, metadata=option("of the splits and the runs (%(default)s)"))
    device: str = field(default="auto", metadata=option("(auto: the GPU if there is one)"))
    threads: PositiveInt = field(default=1, metadata=option("of torch on the CPU (%(default)s)"))
    out: Path | None = field(default=None, metadata=option("output folder (runs/compare-NAME)", metavar="DIR"))

    def prepare(self, console: Console) -> Callable[[], None]:
        """Read the images and lay out the runs; return the making of them.

        Raises:
            ValueError: If an option is wrong, or the images do not suffice.
        """
        methods = self._methods()
        device = pick_device(self.device)
        folder = images_folder(self.data_dir)
        source = load_own_images(folder, image_size=self.image_size, groups=self.groups)
        if len(set(source.available.values())) == 1:
            raise ValueError("the classes have equally many images, so no method has anything to do.")
        check_splits(source, self.seed)
        settings = self._settings(source)
        with preserved_rng():  # an unknown network fails here
            make_network(settings.model, num_classes=len(source.strata), image_size=self.image_size)
        results = open_results(self.out or Path("runs") / f"compare-{source.name}")
        self._keep_options(source, settings, methods, results)
        comparison = Comparison(source, methods, settings, self.lr, self.seed, self.budget)
        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)  # measured as it will run
        try:
            comparison.run_seconds, step = estimate_run(comparison.tuning_runs()[0], device)
        finally:
            torch.set_num_threads(threads)
        self._announce(console, folder, comparison, results, device, step)
        return partial(_compare, comparison, results, device, console)

    def _methods(self) -> list[str]:
        methods = list(dict.fromkeys([PLAIN, *self.methods]))
        for name in methods:
            if METHODS[name] == UPPER_BOUND:
                raise ValueError(f"--methods {name}: your images have no more to spare. Leave it out.")
        if len(methods) < 2:
            raise ValueError(f"--methods {PLAIN}: it is what the others are compared with. Name another one.")
        return methods

    def _settings(self, source: Source) -> Settings:
        if self.batch_size < 2:
            raise ValueError("--batch-size must be 2 or more: batch normalisation needs more than one image.")
        trained = len(source.stratum) * (FOLDS - 2) / FOLDS
        steps = self.steps or min(max(round(_PASSES * trained / self.batch_size), _LEAST_STEPS), _MOST_STEPS)
        return Settings(
            model=self.model,
            steps=steps,
            epochs=min(_EPOCHS, steps),
            batch_size=self.batch_size,
            augmentation=self.augmentation,
        )

    def _keep_options(self, source: Source, settings: Settings, methods: list[str], results: Results) -> None:
        """Write down what the runs of the folder are about, or check that they are about the same."""
        options: dict[str, Any] = {
            "images": source.digest,
            "methods": {name: METHODS[name].chosen() for name in methods},
            "lr": self.lr,
            "seed": self.seed,
            **asdict(settings),
        }
        options = json.loads(json.dumps(options))
        path = results.path.with_name(_OPTIONS)
        if results.records:
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"{path.parent} holds runs of another command ({path.name}: {error}). Choose another folder: --out."
                ) from error
            if other := [name for name in {**kept, **options} if kept.get(name) != options.get(name)]:
                raise ValueError(
                    f"{path.parent} holds a comparison with other {' and '.join(other)}. Repeat its own command to continue it, "
                    "or choose another folder: --out."
                )
        with atomic_write(path) as unfinished:
            unfinished.write_text(json.dumps(options, indent=1), encoding="utf-8")

    def _announce(
        self,
        console: Console,
        folder: Path,
        comparison: Comparison,
        results: Results,
        device: torch.device,
        step: float,
    ) -> None:
        """Say what will be done before the first training.

        Raises:
            ValueError: If the time is too short for the fewest splits, and none was begun.
        """
        source, settings = comparison.source, comparison.settings
        if folder != self.data_dir:
            console.print(f"Only {folder} is used: it is split into training, validation and test images here.")
        largest = max(source.available.values())
        for name, count in source.available.items():
            console.print(f"  {name}: {count} images (1 : {largest / count:.3g})")
        if source.patient is not None:
            console.print(f"  {len(set(source.patient.tolist()))} groups; a group is on one side of every split.")
        console.print(
            f"{len(comparison.methods)} methods: {', '.join(METHODS[name].title for name in comparison.methods)}.\n"
            f"{settings.model} at {source.image_size}x{source.image_size}, {settings.steps} steps of {settings.batch_size} images, on "
            f"{device}: about {_seconds(comparison.run_seconds)} a run ({1000 * step:.0f} ms a step)."
        )
        least = comparison.least_seconds()
        if least > self.budget and not results.records:
            short = f"{LEAST_SPLITS} splits, the fewest, take about {_seconds(least)}, and --budget is {_seconds(self.budget)}"
            if least > _SLACK * self.budget:
                raise ValueError(
                    f"{short}. Give more time, fewer --methods, fewer --steps, a smaller --image-size, or a faster --device or "
                    "--model."
                )
            console.print(f"{short}: they are made all the same.")
        if results.records:
            console.print(f"{len(results.records)} runs are in {results.path} already and are kept.")
        console.print(
            f"Within {_seconds(self.budget)}: about {comparison.planned_splits(results.records)} splits of {len(comparison.methods)} runs, after "
            f"{len(comparison.lrs)} runs for the learning rate."
        )


def _compare(comparison: Comparison, results: Results, device: torch.device, console: Console) -> None:
    """Make the runs, and write the report of the splits that are whole, also after an interruption."""
    steps = comparison.settings.steps

    def steps_left(planned: int) -> int:
        return steps * max(planned * len(comparison.methods) + len(comparison.lrs) - 1 - len(results.records), 0)

    try:
        with progress_bar(steps_left(comparison.planned_splits(results.records))) as bar:

            def begin_split(number: int, planned: int) -> None:
                bar.set_description(f"split {number} of {planned}")
                bar.total = bar.n + steps_left(planned)

            comparison.on_split = begin_split
            work(comparison, results, device, save_weights=False, on_steps=bar.update)
    finally:
        results.reload()
        if len(comparison.whole_splits(results.records)) > 1:
            page = _page(comparison, results)
            files = page.write(results.path.parent)
            console.print("", *(f"- {sentence}" for sentence in page.verdict), sep="\n")
            console.print(f"Written: {', '.join(map(str, files))}")


def _page(comparison: Comparison, results: Results) -> Page:
    """Make the page of all whole splits."""
    splits = comparison.whole_splits(results.records)
    rows = [
        {"split": number, "method": method, **measure(results.arrays(record["id"]))}
        for number, of_methods in enumerate(splits)
        for method, record in of_methods.items()
    ]
    experiments = [record["config"]["experiment"] for of_methods in splits for record in of_methods.values()]
    tested, trained = (
        sum(sum(counts) for counts in found)
        for found in (
            [experiment["test_counts"]["test"] for experiment in experiments],
            [experiment["counts"].values() for experiment in experiments],
        )
    )
    settings, first = comparison.settings, splits[0][PLAIN]
    grouped = "; images of a group are on one side" if comparison.source.patient is not None else ""
    seconds = sum(sum(record["seconds"].values()) for record in results.records.values())
    sizes = "; ".join(
        f"{part} {', '.join(map(str, counts))}"
        for part, counts in (
            ("training", first["config"]["experiment"]["counts"].values()),
            ("validation", first["config"]["experiment"]["validation_counts"].values()),
            ("test", first["config"]["experiment"]["test_counts"]["test"]),
        )
    )
    facts = [
        f"{len(splits)} splits, folds of repeated stratified {FOLDS}-fold splits{grouped}. Every method on the same splits. "
        f"Images of each class in the first split: {sizes}.",
        f"Network: {settings.model} from random weights, {comparison.source.image_size}x{comparison.source.image_size} pixels; {settings.steps} steps of "
        f"{settings.batch_size} images for every method; AdamW, cosine schedule, augmentation {settings.augmentation}; the last epoch counts.",
        f"Learning rate {comparison.learning_rate(results.records):g} for all methods, the best of {', '.join(map(str, comparison.lrs))} for plain "
        "training on validation images of the first split. Each method has its own defaults; nothing else is tuned.",
        f"{_seconds(seconds)} on {first['environment']['device']}; seed {comparison.seed}; torch {first['environment']['torch']}, "
        f"clesmote-losses {first['environment']['clesmote-losses']}.",
    ]
    titles = {name: METHODS[name].title for name in comparison.methods}
    return Page(
        comparison.source.name, pd.DataFrame(rows), tested / trained, titles, comparison.source.available, facts
    )


def _seconds(seconds: float) -> str:
    return duration(seconds) if seconds >= 120 else f"{seconds:.0f} s"
