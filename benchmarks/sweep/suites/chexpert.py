"""The paper's 17 experiments on CheXpert, tested on ChestX-ray14 too if there is a folder of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.command_line import option
from benchmarks.data.chestxray14 import load_chestxray14_test
from benchmarks.data.chexpert import NEVER_MAJORITY, load_chexpert
from benchmarks.data.experiments import Experiment
from benchmarks.data.source import Source
from benchmarks.methods.registry import MAIN_METHODS
from benchmarks.sweep.declaration import Suite, imbalances_with_first, outline_17
from benchmarks.training.controlled import Settings


@dataclass(frozen=True)
class CheXpertOptions:
    """Options of this suite alone."""

    external: Path | None = field(
        default=None, metadata=option("folder of ChestX-ray14, to test on it too", metavar="DIR")
    )


def _load(folder: Path, *, image_size: int, external: Path | None) -> Source:
    source = load_chexpert(folder, image_size=image_size)
    if external is None:
        return source
    test = load_chestxray14_test(external, image_size=image_size)
    return replace(source, tests={**source.tests, "ChestX-ray14": test})


def _experiments(source: Source, validate: bool) -> Sequence[Experiment]:
    # with all images, those of the validation set too, as the paper's counts are
    return imbalances_with_first(source, False, never_majority=NEVER_MAJORITY)


SUITE = Suite(
    name="chexpert",
    title="The paper's 17 experiments on CheXpert, tested on CheXpert and on ChestX-ray14",
    needs="--data-dir: CheXpert-v1.0 or -small; --external: ChestX-ray14 with the expert labels of Nabulsi et al. 2021",
    outline=outline_17("Pneumothorax|Fracture|...", "Lung Lesion is in no majority"),
    load=_load,
    experiments=_experiments,
    methods=MAIN_METHODS,
    settings=Settings(model="resnet50", steps=10_000, epochs=50, batch_size=64, augmentation="shift"),
    image_size=224,
    options=CheXpertOptions,
    order=30,
)
