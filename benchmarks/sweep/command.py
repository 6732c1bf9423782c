"""``python -m benchmarks run``: its options, and what it makes of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from rich.console import Console

from benchmarks.command_line import AboveZero, Command, PositiveInt, Share, further_options, option
from benchmarks.data.experiments import AS_IS, Experiment
from benchmarks.data.source import Source
from benchmarks.data.trials import draw, has_spare_images, told_counts
from benchmarks.methods.pretrained import Weights
from benchmarks.methods.registry import METHODS, UPPER_BOUND, Method
from benchmarks.sweep.declaration import Suite
from benchmarks.sweep.estimate import estimate_time
from benchmarks.sweep.registry import SUITES, check_suite_options, suite_options
from benchmarks.sweep.schedule import Schedule
from benchmarks.sweep.store import Results, open_results
from benchmarks.sweep.workers import progress_bar, work, work_in_processes
from benchmarks.training.as_published import check_published
from benchmarks.training.augmentation import AUGMENTATIONS
from benchmarks.training.controlled import Settings, check_frozen
from benchmarks.training.frozen import FrozenFeatures
from clesmote_losses.restore import preserved_rng

# learning rates to choose from; the first is the one that other choices start from
LEARNING_RATES = (1e-3, 3e-3, 1e-2)
PRETRAINED_RATES = (3e-4, 1e-4, 1e-3)
FROZEN_RATES = (1e-2, 3e-2, 1e-1)
_OF_SETTINGS = ("model", "steps", "epochs", "batch_size", "augmentation")


def _told(rates: Iterable[float]) -> str:
    return " ".join(f"{rate:g}" for rate in rates)


@dataclass(frozen=True, kw_only=True)
class RunCommand(Command):
    """Options of ``run``."""

    summary: ClassVar[str] = "make the runs of a suite"

    suite: str = field(metadata=option("%(choices)s", is_positional=True, metavar="SUITE", choices=SUITES))
    preset: Literal["correct", "as_published"] = field(default="correct", metadata=option("(%(default)s)"))
    methods: tuple[str, ...] | None = field(
        default=None, metadata=option("(those of the suite; see list)", metavar="METHOD")
    )
    experiments: tuple[str, ...] | None = field(
        default=None, metadata=option("(all of the suite; see list)", metavar="NAME")
    )
    trials: PositiveInt = field(default=5, metadata=option("runs with the seeds 0, 1, ... of each (%(default)s)"))
    model: str | None = field(default=None, metadata=option("convnet, or timm's name of a network (the suite's)"))
    weights: Path | None = field(
        default=None,
        metadata=option(
            "weights of --model to start from, .safetensors or a checkpoint that timm reads, but for the classifier "
            "(random weights); inputs are scaled as timm's network wants them",
            metavar="FILE",
        ),
    )
    frozen: bool = field(
        default=False,
        metadata=option(
            "train a new linear classifier only, on the features of --weights; no augmentation, and seconds a run"
        ),
    )
    image_size: PositiveInt | None = field(
        default=None, metadata=option("images are resized to it, squashed (the suite's)", metavar="PIXELS")
    )
    steps: PositiveInt | None = field(
        default=None, metadata=option("optimizer steps of a run, whatever the method (the suite's)")
    )
    epochs: PositiveInt | None = field(
        default=None, metadata=option("parts of these steps, each ending with a test (the suite's)")
    )
    batch_size: PositiveInt | None = field(default=None, metadata=option("(the suite's)"))
    augmentation: str | None = field(
        default=None, metadata=option("of the training images (the suite's)", choices=AUGMENTATIONS)
    )
    lr: tuple[AboveZero, ...] | None = field(
        default=None,
        metadata=option(
            f"learning rates to choose from ({_told(LEARNING_RATES)}; with --weights "
            f"{_told(PRETRAINED_RATES)}; with --frozen {_told(FROZEN_RATES)})"
        ),
    )
    tune: bool = field(
        default=True, metadata=option("first learning rate, defaults of the methods", flag="--no-tuning")
    )
    validate: bool = field(
        default=True, metadata=option("train on all images; the last epoch counts", flag="--no-validation")
    )
    label_noise: Share = field(
        default=0.0,
        metadata=option(
            "share of the training images of each rare stratum that are replaced by images of the most frequent one "
            "(%(default)g); test images stay clean",
            metavar="SHARE",
        ),
    )
    noisy_validation: bool = field(
        default=False, metadata=option("--label-noise in the validation images too, as most users have it")
    )
    data_dir: Path = field(metadata=option("the data; see list", metavar="DIR"))
    device: str = field(default="auto", metadata=option("(auto: the GPU if there is one)"))
    amp: bool = field(default=False, metadata=option("train under autocast to bfloat16"))
    channels_last: bool = field(default=True, metadata=option("memory layout (yes)"))
    threads: PositiveInt = field(default=1, metadata=option("of torch on the CPU, for each job (%(default)s)"))
    jobs: PositiveInt = field(default=1, metadata=option("runs at the same time (%(default)s)"))
    save_weights: bool = field(default=False, metadata=option("keep the network of each run as .safetensors"))
    out: Path | None = field(default=None, metadata=option("output folder (runs/SUITE)", metavar="DIR"))
    suite_options: dict[str, Any] = field(default_factory=dict, metadata=further_options(suite_options))

    def prepare(self, console: Console) -> Callable[[], None]:
        """Read the data and lay out the runs; return the making of them."""
        return partial(self._make_runs, *self.lay_out(), console)

    def lay_out(self) -> tuple[Schedule, Results, torch.device]:
        """Return the runs, where they are kept and the device. Every wrong option raises here.

        Raises:
            ValueError: If an option is wrong.
        """
        suite = SUITES[self.suite]
        methods = self._methods(suite)
        settings = self._settings(suite) if self.preset == "correct" else None
        if settings is None:
            self._check_published(suite, methods)
        elif settings.frozen:
            for method in methods:
                check_frozen(method)
        check_suite_options(suite, self.suite_options)
        results = open_results(self.out or Path("runs") / self.suite)
        source = suite.read(self.data_dir, self.image_size, self.suite_options)
        experiments = self._experiments(suite, source)
        if UPPER_BOUND in methods and not any(has_spare_images(source, e, self.validate) for e in experiments):
            raise ValueError(
                f"--methods {UPPER_BOUND.name}: no class has images to spare, so it would be no method. Leave it out."
            )
        if settings is not None:
            with preserved_rng():  # an unknown network, or weights of another one, fail here
                network = settings.make_network(source.images.shape, 2)
                if settings.frozen:
                    FrozenFeatures(network, "")
        schedule = Schedule(
            suite.name,
            source,
            experiments,
            methods,
            settings,
            range(self.trials),
            self.lr or self._default_rates(),
            self.tune,
            self.experiments,
        )
        return schedule, results, pick_device(self.device)

    def _default_rates(self) -> tuple[float, ...]:
        if self.frozen:
            return FROZEN_RATES
        return LEARNING_RATES if self.weights is None else PRETRAINED_RATES

    def _methods(self, suite: Suite) -> list[Method]:
        if self.methods is None:
            return list(suite.methods)
        return [METHODS[name] for name in dict.fromkeys(self.methods)]

    def _settings(self, suite: Suite) -> Settings:
        """Return the suite's settings with those that were given in their place."""
        if self.frozen and self.weights is None:
            raise ValueError("--frozen needs --weights: the features of random weights say little.")
        if self.frozen and self.augmentation not in (None, "none"):
            raise ValueError("--frozen computes the features of each image once: leave --augmentation out.")
        given = {name: getattr(self, name) for name in _OF_SETTINGS if getattr(self, name) is not None}
        given |= {"augmentation": "none"} if self.frozen else {}
        settings = replace(
            suite.settings,
            **given,
            amp=self.amp,
            channels_last=self.channels_last,
            validate=self.validate,
            weights=None if self.weights is None else Weights.read(self.weights),
            frozen=self.frozen,
        )
        if self.tune and not self.validate:
            raise ValueError("--no-validation leaves nothing to choose by: it needs --no-tuning, and one --lr.")
        if not self.tune and len(self.lr or ()) > 1:
            raise ValueError("--no-tuning takes one --lr: there is nothing to choose.")
        if settings.batch_size < 2:
            raise ValueError("--batch-size must be 2 or more: batch normalisation needs more than one image.")
        if self.noisy_validation and not (self.label_noise and self.validate):
            raise ValueError("--noisy-validation needs --label-noise above 0, and validation images.")
        if settings.steps < settings.epochs:
            raise ValueError(f"--steps {settings.steps} must be at least --epochs {settings.epochs}.")
        return settings

    def _check_published(self, suite: Suite, methods: list[Method]) -> None:
        for name in ("label_noise", "weights", "frozen"):
            if getattr(self, name):
                raise ValueError(f"--{name.replace('_', '-')} belongs to preset correct: leave it out.")
        for name in (*_OF_SETTINGS, "image_size", "lr"):
            if getattr(self, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} is fixed by preset {self.preset}: leave it out.")
        if self.preset not in suite.presets:
            owners = " and ".join(other.name for other in SUITES.values() if self.preset in other.presets)
            raise ValueError(f"preset {self.preset} belongs to {owners}: no pipeline is published for {suite.name}.")
        for method in methods:
            check_published(method)

    def _experiments(self, suite: Suite, source: Source) -> list[Experiment]:
        validate = self.preset == "as_published" or self.validate
        experiments = list(suite.experiments(source, validate))
        known = {experiment.name for experiment in experiments}
        if unknown := [name for name in self.experiments or () if name not in known]:
            names = ", ".join(experiment.name for experiment in experiments)
            raise ValueError(f"no experiment {unknown[0]!r} in {suite.name}; there are {names}.")
        if validate:
            source.split  # noqa: B018 -- a stratum that cannot be split fails here
        as_is = self.experiments is None and getattr(suite.options(**self.suite_options), "as_is", False)
        chosen = self.experiments or ()
        experiments = [e for e in experiments if (e.name == AS_IS) == as_is or e.name in chosen]
        experiments = [
            replace(e, label_noise=self.label_noise, noisy_validation=self.noisy_validation) for e in experiments
        ]
        drawn = {e.kind for e in experiments if self.experiments is None or e.name in chosen}
        for experiment in experiments:
            experiment.check(source)
            if experiment.label_noise and experiment.kind in drawn:
                draw(source, experiment, 0, validate=validate)  # too few images for it fail here
            if experiment.name == AS_IS and experiment.raised() == experiment.counts:
                raise ValueError("the classes have equally many training images, so no method has anything to do.")
        return experiments

    def _make_runs(self, schedule: Schedule, results: Results, device: torch.device, console: Console) -> None:
        ready, waiting = schedule.ready(results.records)
        missing = [run for run in ready if not results.has(run.id, with_weights=self.save_weights)]
        if len(missing) < len(ready):
            console.print(f"{len(ready) - len(missing)} runs are in {results.path} already and are kept.")
        for step, count in schedule.source.flow.items():
            console.print(f"  {count:7} {step}")
        validate = schedule.settings is not None and schedule.settings.validate
        for experiment in schedule.experiments:
            if self.experiments is None or experiment.name in self.experiments:
                trial = draw(schedule.source, experiment, 0, validate=validate)
                counts = told_counts(schedule.source, experiment, trial)
                console.print(f"{experiment.name}: {counts}{experiment.note and f' ({experiment.note})'}")
        known = sum(run.steps for run in missing)
        steps = known + waiting * known // max(len(missing), 1)  # runs to come are like those that are known
        time = estimate_time(missing, waiting, device, self.jobs)
        console.print(
            f"{len(missing) + waiting} runs to make, on {device}, {self.jobs} at a time{time and f': {time}'}."
        )
        if self.jobs > 1:
            work_in_processes(self, self.jobs, steps)
        else:
            with progress_bar(steps) as bar:
                work(schedule, results, device, save_weights=self.save_weights, on_steps=bar.update)
        console.print(f"Written: {results.path}")


def pick_device(name: str) -> torch.device:
    """Return the device of a name; ``"auto"`` is the GPU if there is one.

    Raises:
        ValueError: If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used: {str(error).splitlines()[0]}") from error
