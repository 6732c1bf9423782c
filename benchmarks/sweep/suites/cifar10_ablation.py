"""The paper's Tables 3 and 4 on CIFAR-10."""

from functools import partial

from benchmarks.data.cifar10 import load_cifar10
from benchmarks.data.experiments import of_classes
from benchmarks.methods.registry import ABLATION, BASELINES, CLE_SMOTE, UPPER_BOUND
from benchmarks.sweep.declaration import Suite

_EXPERIMENTS = (
    of_classes("binary", {"airplane": 5000, "automobile": 50}),
    of_classes("3-class", {"airplane": 5000, "cat": 500, "automobile": 25}),
)

SUITE = Suite(
    name="cifar10-ablation",
    title="The paper's Tables 3 and 4: two and three classes of CIFAR-10",
    needs="--data-dir: root of torchvision's CIFAR10, or train/CLASS/* and test/CLASS/* of airplane, automobile, cat",
    outline="binary (airplane 5000, automobile 50), 3-class (airplane 5000, cat 500, automobile 25)",
    load=partial(load_cifar10, classes=("airplane", "cat", "automobile")),
    experiments=lambda source, validate: _EXPERIMENTS,
    methods=(*BASELINES, *ABLATION, CLE_SMOTE, UPPER_BOUND),
    presets=("correct", "as_published"),
    order=10,
)
