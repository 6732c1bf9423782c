"""The paper's kinds of imbalance on any 2-D data set of MedMNIST."""

from functools import partial

from benchmarks.data.medmnist import load_medmnist
from benchmarks.methods.registry import MAIN_METHODS
from benchmarks.sweep.declaration import Suite, imbalances_with_first, outline_17
from benchmarks.sweep.normal_class import NormalClass, load_normal_first
from benchmarks.training.controlled import Settings

SUITE = Suite(
    name="medmnist",
    title="The paper's kinds of imbalance on a MedMNIST file",
    needs="--data-dir: an official .npz file of 2-D images; --normal LABEL, but for ChestMNIST",
    outline=outline_17("LABEL", "as many as the labels give"),
    load=partial(load_normal_first, load_medmnist),
    experiments=imbalances_with_first,
    methods=MAIN_METHODS,
    settings=Settings(augmentation="shift"),
    image_size=None,
    options=NormalClass,
    order=50,
)
