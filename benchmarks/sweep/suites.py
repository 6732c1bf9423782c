"""The suites: which experiments, on which data, by which methods, under which settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.data.chestxray14 import load_chestxray14_test
from benchmarks.data.chexpert import NEVER_MAJORITY, load_chexpert
from benchmarks.data.cifar10 import load_cifar10
from benchmarks.data.experiments import Experiment, imbalances, of_classes
from benchmarks.data.image_folder import kermany_patient, load_image_folder
from benchmarks.data.medmnist import NORMAL, load_medmnist
from benchmarks.data.source import Source
from benchmarks.methods.registry import ABLATION, BASELINES, CLE_SMOTE, MAIN_METHODS, UPPER_BOUND, Method
from benchmarks.training.controlled import Settings

# airplane stands for normal; bird is the sub-condition that is never the majority, as Lung Lesion is in the paper
_CIFAR10_NORMAL, _CIFAR10_NEVER = "airplane", "bird"
_CIFAR10_CONDITIONS = ("automobile", "bird", "cat", "deer", "dog")


@dataclass(frozen=True)
class DataOptions:
    """What the command line says about the data.

    Attributes:
        folder: Where they lie.
        image_size: Height and width in pixels; ``None`` for those of the file, where one holds the images.
        normal: Of an image folder or a MedMNIST file, the class that all others are told from.
        external: Of CheXpert, the folder of ChestX-ray14.
    """

    folder: Path
    image_size: int | None
    normal: str | None = None
    external: Path | None = None


@dataclass(frozen=True)
class Suite:
    """Experiments that belong together.

    Attributes:
        name: On the command line.
        title: What it shows.
        needs: The data it needs, for the reader of ``list``.
        outline: Its experiments, for the reader of ``list``.
        load: Reads the data.
        experiments: Of the data, with a validation set held out or without.
        methods: That are run by default.
        settings: By default.
        image_size: By default; ``None`` for that of the file.
    """

    name: str
    title: str
    needs: str
    outline: str
    load: Callable[[DataOptions], Source]
    experiments: Callable[[Source, bool], Sequence[Experiment]]
    methods: tuple[str, ...]
    settings: Settings = field(default_factory=Settings)
    image_size: int | None = 32


def _names(*methods: Method) -> tuple[str, ...]:
    return tuple(method.name for method in methods)


CIFAR10_ABLATION = (
    of_classes("binary", {"airplane": 5000, "automobile": 50}),
    of_classes("3-class", {"airplane": 5000, "cat": 500, "automobile": 25}),
)


def _of_first(
    never_majority: str | None = None, *, is_spared: bool = True
) -> Callable[[Source, bool], list[Experiment]]:
    """The paper's kinds of imbalance between the first stratum and all others.

    Args:
        never_majority: As in :func:`imbalances`.
        is_spared: Plan with the images that the validation split, if there is one, leaves; else with all, as the paper's counts
            are.
    """

    def experiments(source: Source, validate: bool) -> list[Experiment]:
        available = source.left if is_spared and validate else source.available
        normal, *others = source.strata
        return imbalances(normal, others, available, never_majority=never_majority)

    return experiments


def _size(options: DataOptions) -> int:
    assert options.image_size is not None  # suites of image files have one
    return options.image_size


def _chexpert(options: DataOptions) -> Source:
    source = load_chexpert(options.folder, image_size=_size(options))
    if options.external is None:
        return source
    external = load_chestxray14_test(options.external, image_size=_size(options))
    return replace(source, tests={**source.tests, "ChestX-ray14": external})


def _medmnist(options: DataOptions) -> Source:
    return _with_normal(load_medmnist(options.folder, image_size=options.image_size), options)


def _folder(options: DataOptions) -> Source:
    return _with_normal(load_image_folder(options.folder, image_size=_size(options)), options)


def _with_normal(source: Source, options: DataOptions) -> Source:
    """The source with the normal stratum first."""
    normal = options.normal or (NORMAL if NORMAL in source.strata else None)
    if normal not in source.strata:
        wanted = "--normal CLASS is needed" if normal is None else f"--normal {normal} is no class"
        raise ValueError(f"{wanted}: which of {', '.join(source.strata)} are all others told from?")
    order = sorted(range(len(source.strata)), key=lambda i: source.strata[i] != normal)
    tests = {name: replace(test, members=test.members[:, order]) for name, test in source.tests.items()}
    strata = tuple(source.strata[i] for i in order)
    return replace(source, strata=strata, stratum=np.argsort(order)[source.stratum], tests=tests)


_OUTLINE_17 = "interclass, (intraclass|both)-(single|multiple)-({}); {}"
_ALL = (
    Suite(
        "cifar10-ablation",
        "The paper's Tables 3 and 4: two and three classes of CIFAR-10",
        "--data-dir: root of torchvision's CIFAR10, or train/CLASS/* and test/CLASS/* of airplane, automobile, cat",
        "binary (airplane 5000, automobile 50), 3-class (airplane 5000, cat 500, automobile 25)",
        lambda options: load_cifar10(options.folder, ("airplane", "cat", "automobile"), image_size=_size(options)),
        lambda source, validate: CIFAR10_ABLATION,
        _names(*BASELINES, *ABLATION, CLE_SMOTE, UPPER_BOUND),
    ),
    Suite(
        "cifar10-17",
        "The paper's 17 experiments on six classes of CIFAR-10: airplane is normal",
        "--data-dir: root of torchvision's CIFAR10, or train/CLASS/* and test/CLASS/* of its six classes",
        _OUTLINE_17.format("automobile|cat|deer|dog", "bird is in no majority"),
        lambda options: load_cifar10(
            options.folder, (_CIFAR10_NORMAL, *_CIFAR10_CONDITIONS), image_size=_size(options)
        ),
        _of_first(_CIFAR10_NEVER),
        _names(*MAIN_METHODS),
        Settings(steps=1000, epochs=10),
    ),
    Suite(
        "chexpert",
        "The paper's 17 experiments on CheXpert, tested on CheXpert and on ChestX-ray14",
        "--data-dir: CheXpert-v1.0 or -small; --external: ChestX-ray14 with the expert labels of Nabulsi et al. 2021",
        _OUTLINE_17.format("Pneumothorax|Fracture|...", "Lung Lesion is in no majority"),
        _chexpert,
        _of_first(NEVER_MAJORITY, is_spared=False),
        _names(*MAIN_METHODS),
        Settings(model="resnet50", steps=10_000, epochs=50, batch_size=64, augmentation="shift"),
        image_size=224,
    ),
    Suite(
        "kermany",
        "Chest X-rays of Kermany et al. 2018: normal against bacterial and viral pneumonia",
        "--data-dir: folder with train/CLASS/*, val/CLASS/*, test/CLASS/* of normal, bacteria, virus",
        "interclass, intraclass-single-(bacteria|virus), both-single-(bacteria|virus); 20 : 1 each",
        lambda options: load_image_folder(
            options.folder,
            ("normal", "bacteria", "virus"),
            image_size=_size(options),
            mode="L",
            parts=("train", "val"),
            patient_of=kermany_patient,
        ),
        _of_first(),
        _names(*MAIN_METHODS),
        Settings(batch_size=64, steps=600, epochs=12, augmentation="shift"),
        image_size=64,
    ),
    Suite(
        "medmnist",
        "The paper's kinds of imbalance on a MedMNIST file",
        "--data-dir: an official .npz file of 2-D images; --normal LABEL, but for ChestMNIST",
        _OUTLINE_17.format("LABEL", "as many as the labels give"),
        _medmnist,
        _of_first(),
        _names(*MAIN_METHODS),
        Settings(augmentation="shift"),
        image_size=None,
    ),
    Suite(
        "folder",
        "The paper's kinds of imbalance on your own images",
        "--data-dir: folder with train/CLASS/* and test/CLASS/*; --normal CLASS",
        _OUTLINE_17.format("CLASS", "as many as the classes give"),
        _folder,
        _of_first(),
        _names(*MAIN_METHODS),
        image_size=64,
    ),
)
SUITES = {suite.name: suite for suite in _ALL}
