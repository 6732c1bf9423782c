"""Two pairs of classes of CIFAR-10, 100 : 1, with images to spare for wrong labels."""

from functools import partial

from benchmarks.data.cifar10 import load_cifar10
from benchmarks.data.experiments import of_classes
from benchmarks.methods.registry import MAIN_METHODS
from benchmarks.sweep.declaration import Suite

# of the 4500 that validation leaves of a class
_EXPERIMENTS = (
    of_classes("airplane-automobile", {"airplane": 4400, "automobile": 44}),
    of_classes("dog-cat", {"dog": 4400, "cat": 44}),
)

SUITE = Suite(
    name="cifar10-pairs",
    title="An easy and a hard pair of classes of CIFAR-10, 100 : 1",
    needs="--data-dir: root of torchvision's CIFAR10, or train/CLASS/* and test/CLASS/* of airplane, automobile, cat, dog",
    outline="airplane-automobile (airplane 4400, automobile 44), dog-cat (dog 4400, cat 44)",
    load=partial(load_cifar10, classes=("airplane", "automobile", "cat", "dog")),
    experiments=lambda source, validate: _EXPERIMENTS,
    methods=MAIN_METHODS,
    order=15,
)
