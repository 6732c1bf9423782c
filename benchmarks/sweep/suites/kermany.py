"""Chest X-rays of Kermany et al. 2018."""

from collections.abc import Sequence
from functools import partial

from benchmarks.data.experiments import Experiment
from benchmarks.data.image_folder import kermany_patient, load_image_folder
from benchmarks.data.source import Source
from benchmarks.methods.registry import MAIN_METHODS
from benchmarks.sweep.declaration import Suite, imbalances_with_first
from benchmarks.training.controlled import Settings

_RARER = 100  # normal images to an abnormal one, beside the paper's 20


def _experiments(source: Source, validate: bool) -> Sequence[Experiment]:
    return [*imbalances_with_first(source, validate), *imbalances_with_first(source, validate, ratio=_RARER)]


SUITE = Suite(
    name="kermany",
    title="Chest X-rays of Kermany et al. 2018: normal against bacterial and viral pneumonia",
    needs="--data-dir: folder with train/CLASS/*, val/CLASS/*, test/CLASS/* of normal, bacteria, virus",
    outline="interclass, intraclass-single-(bacteria|virus), both-single-(bacteria|virus); 20 : 1 each; "
    "interclass-100, both-single-(bacteria|virus)-100: 100 : 1 between the classes",
    load=partial(
        load_image_folder,
        classes=("normal", "bacteria", "virus"),
        mode="L",
        parts=("train", "val"),
        patient_of=kermany_patient,
    ),
    experiments=_experiments,
    methods=MAIN_METHODS,
    settings=Settings(batch_size=64, steps=600, epochs=12, augmentation="shift"),
    image_size=64,
    order=40,
)
