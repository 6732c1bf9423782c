"""What ``run`` is told on the command line, and what it makes of it."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.methods.networks import make_network
from benchmarks.methods.registry import METHODS, Method
from benchmarks.sweep.schedule import Schedule
from benchmarks.sweep.store import Results
from benchmarks.sweep.suites import SUITES, DataOptions
from benchmarks.training.as_published import PUBLISHED_SUITE, check_published
from clesmote_losses.restore import preserved_rng

LEARNING_RATES = (1e-3, 3e-3, 1e-2)  # the first is the one that other choices start from


@dataclass(frozen=True)
class RunOptions:
    """What ``run`` was told on the command line."""

    suite: str
    preset: str
    methods: list[str] | None
    experiments: list[str] | None
    trials: int
    model: str | None
    image_size: int | None
    steps: int | None
    epochs: int | None
    batch_size: int | None
    augmentation: str | None
    lr: list[float] | None
    tune: bool
    validate: bool
    data_dir: Path
    normal: str | None
    external: Path | None
    device: str
    amp: bool
    channels_last: bool
    threads: int
    jobs: int
    save_weights: bool
    out: Path

    def prepare(self) -> tuple[Schedule, Results, torch.device]:
        """Read the data and lay out the runs. All that can go wrong by a wrong option goes wrong here.

        Raises:
            ValueError: If an option is wrong.
        """
        suite = SUITES[self.suite]
        names = suite.methods if self.methods is None else self.methods
        if unknown := [name for name in names if name not in METHODS]:
            raise ValueError(f"no method {unknown[0]!r}; there are {', '.join(METHODS)}.")
        methods: list[Method] = [METHODS[name] for name in dict.fromkeys(names)]
        settings = None
        if self.preset == "correct":
            given = {name: getattr(self, name) for name in ("model", "steps", "epochs", "batch_size", "augmentation")}
            given = {name: value for name, value in given.items() if value is not None}
            settings = replace(suite.settings, **given, amp=self.amp, channels_last=self.channels_last)
            settings = replace(settings, validate=self.validate)
            if self.tune and not self.validate:
                raise ValueError("--no-validation leaves nothing to choose by: it needs --no-tuning, and one --lr.")
            if not self.tune and len(self.lr or ()) > 1:
                raise ValueError("--no-tuning takes one --lr: there is nothing to choose.")
            if settings.batch_size < 2:
                raise ValueError("--batch-size must be 2 or more: batch normalisation needs more than one image.")
            if settings.steps < settings.epochs:
                raise ValueError(f"--steps {settings.steps} must be at least --epochs {settings.epochs}.")
        else:
            ignored = ("model", "image_size", "steps", "epochs", "batch_size", "augmentation", "lr")
            if named := [name for name in ignored if getattr(self, name) is not None]:
                raise ValueError(f"--{named[0].replace('_', '-')} is fixed by preset as_published: leave it out.")
            if suite.name != PUBLISHED_SUITE:
                raise ValueError(
                    f"preset as_published is of {PUBLISHED_SUITE}: of {suite.name} no pipeline is published."
                )
            for method in methods:
                check_published(method)
        for option, suites in (("external", ("chexpert",)), ("normal", ("folder", "medmnist"))):
            if getattr(self, option) is not None and suite.name not in suites:
                raise ValueError(
                    f"--{option} is of {' and '.join(suites)}, and {suite.name} has no use for it: leave it out."
                )
        try:
            results = Results(self.out)
        except OSError as error:
            raise ValueError(f"--out {self.out} cannot be written to: {error.strerror}.") from error
        image_size = self.image_size or suite.image_size
        source = suite.load(DataOptions(self.data_dir, image_size, self.normal, self.external))
        experiments = list(suite.experiments(source, settings is None or settings.validate))
        if self.experiments is not None:
            known = {experiment.name: experiment for experiment in experiments}
            if unknown := [name for name in self.experiments if name not in known]:
                raise ValueError(f"no experiment {unknown[0]!r} in {suite.name}; there are {', '.join(known)}.")
        for experiment in experiments:
            experiment.check(source)
        if settings is None or settings.validate:
            source.split  # noqa: B018 -- it fails here if it fails
        if settings is not None:
            with preserved_rng():
                make_network(
                    settings.model, num_classes=2, image_size=source.image_size, in_chans=source.images.shape[3]
                )
        schedule = Schedule(
            suite.name,
            source,
            experiments,
            methods,
            settings,
            range(self.trials),
            self.lr or LEARNING_RATES,
            self.tune,
            self.experiments,
        )
        return schedule, results, pick_device(self.device)


def pick_device(name: str) -> torch.device:
    """The device of a name; ``"auto"`` is the GPU if there is one.

    Raises:
        ValueError: If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used: {str(error).splitlines()[0]}") from error
