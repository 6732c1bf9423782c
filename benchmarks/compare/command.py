"""``python -m benchmarks compare``: should I use any of this on my own images?"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from rich.console import Console

from benchmarks.command_line import AboveZero, Command, PositiveInt, Seed, option
from benchmarks.compare.comparison import Comparison
from benchmarks.compare.folder import describe_groups, images_folder, load_own_images
from benchmarks.compare.session import describe_seconds, keep_options, make_runs
from benchmarks.compare.splits import FOLDS, check_splits
from benchmarks.compare.verdict import LEAST_SPLITS, PLAIN
from benchmarks.data.source import Source
from benchmarks.methods.networks import CONVNET
from benchmarks.methods.pretrained import Weights
from benchmarks.methods.registry import METHODS, UPPER_BOUND
from benchmarks.sweep.command import LEARNING_RATES, PRETRAINED_RATES, pick_device
from benchmarks.sweep.estimate import measure_step
from benchmarks.sweep.store import Results, open_results
from benchmarks.training.augmentation import AUGMENTATIONS
from benchmarks.training.controlled import Settings, check_frozen
from benchmarks.training.frozen import FrozenFeatures
from clesmote_losses.restore import preserved_rng

# worth trying first; each with its own defaults
WORTH_TRYING = (
    PLAIN,
    "weighted",
    "oversampling",
    "smote",
    "smote-real-share",
    "smote-all",
    "cle-smote",
    "crt",
    "logit-adjustment",
)
_PASSES, _LEAST_STEPS, _MOST_STEPS = 20, 200, 1200  # passes over the training images, within these bounds
_EPOCHS = 10
_SLACK = 2.0  # how far the estimate may be over the budget: it is rough, and too long on a busy machine
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
    methods: tuple[str, ...] | None = field(
        default=None,
        metadata=option(f"beside {PLAIN} ({' '.join(WORTH_TRYING[1:])}; see list for others)", metavar="METHOD"),
    )
    model: str = field(default=CONVNET, metadata=option("convnet, or timm's name of a network (%(default)s)"))
    weights: Path | None = field(
        default=None,
        metadata=option("weights of --model to start from, as for run (random weights)", metavar="FILE"),
    )
    frozen: bool = field(
        default=False, metadata=option("train a new linear classifier only, on the features of --weights")
    )
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
    lr: tuple[AboveZero, ...] | None = field(
        default=None,
        metadata=option(f"learning rates that each method chooses from ({LEARNING_RATES[0]} {LEARNING_RATES[1]})"),
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
            network = settings.make_network(source.images.shape, len(source.strata))
            if settings.frozen:
                FrozenFeatures(network, "")
        results = open_results(self.out or Path("runs") / f"compare-{source.name}")
        lrs = self.lr or (
            LEARNING_RATES if self.frozen else PRETRAINED_RATES[:2] if self.weights else LEARNING_RATES[:2]
        )
        comparison = Comparison(source, methods, settings, lrs, self.seed, self.budget)
        keep_options(comparison, results)
        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)  # measured as it will run
        try:
            step = measure_step(comparison.first_run(), device)
        finally:
            torch.set_num_threads(threads)
        comparison.estimate(step)
        self._announce(console, folder, comparison, results, device, step)
        return partial(make_runs, comparison, results, device, console)

    def _methods(self) -> list[str]:
        default = [name for name in WORTH_TRYING if not (self.frozen and METHODS[name].needs_images)]
        methods = list(dict.fromkeys([PLAIN, *(default if self.methods is None else self.methods)]))
        for name in methods:
            if self.frozen:
                check_frozen(METHODS[name])
            if METHODS[name] == UPPER_BOUND:
                raise ValueError(f"--methods {name}: your images have no more to spare. Leave it out.")
        if len(methods) < 2:
            raise ValueError(f"--methods {PLAIN}: it is what the others are compared with. Name another one.")
        return methods

    def _settings(self, source: Source) -> Settings:
        if self.batch_size < 2:
            raise ValueError("--batch-size must be 2 or more: batch normalisation needs more than one image.")
        if self.frozen and self.weights is None:
            raise ValueError("--frozen needs --weights: the features of random weights say little.")
        trained = len(source.stratum) * (FOLDS - 2) / FOLDS
        steps = self.steps or min(max(round(_PASSES * trained / self.batch_size), _LEAST_STEPS), _MOST_STEPS)
        return Settings(
            model=self.model,
            steps=steps,
            epochs=min(_EPOCHS, steps),
            batch_size=self.batch_size,
            augmentation="none" if self.frozen else self.augmentation,
            weights=None if self.weights is None else Weights.read(self.weights),
            frozen=self.frozen,
        )

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
        for fact in describe_groups(source):
            console.print(f"  {fact}")
        console.print(
            f"{len(comparison.methods)} methods: {', '.join(METHODS[name].title for name in comparison.methods)}.\n"
            f"{settings.model} at {source.image_size}x{source.image_size}, {settings.steps} steps of {settings.batch_size} images, on "
            f"{device}: about {describe_seconds(comparison.split_seconds({}))} a split ({1000 * step:.0f} ms a {'batch of features' if settings.frozen else 'step'})."
        )
        least = comparison.least_seconds()
        if least > self.budget and not results.records:
            short = f"{LEAST_SPLITS} splits, the fewest, take about {describe_seconds(least)}, and --budget is {describe_seconds(self.budget)}"
            if least > _SLACK * self.budget:
                raise ValueError(
                    f"{short}. Give more time, fewer --methods, fewer --steps, a smaller --image-size, or a faster --device or "
                    "--model."
                )
            console.print(f"{short}: they are made all the same.")
        if results.records:
            console.print(f"{len(results.records)} runs are in {results.path} already and are kept.")
        console.print(
            f"Within {describe_seconds(self.budget)}: about {comparison.planned_splits(results.records)} splits of "
            f"{len(comparison.methods)} runs. On the first one each method has a run for each of the learning rates "
            f"{', '.join(f'{lr:g}' for lr in comparison.lrs)}."
        )
