"""The paper's 17 experiments on six classes of CIFAR-10."""

from functools import partial

from benchmarks.data.cifar10 import load_cifar10
from benchmarks.methods.registry import MAIN_METHODS
from benchmarks.sweep.declaration import Suite, imbalances_with_first, outline_17
from benchmarks.training.controlled import Settings

SUITE = Suite(
    name="cifar10-17",
    title="The paper's 17 experiments on six classes of CIFAR-10: airplane is normal",
    needs="--data-dir: root of torchvision's CIFAR10, or train/CLASS/* and test/CLASS/* of its six classes",
    outline=outline_17("automobile|cat|deer|dog", "bird is in no majority"),
    load=partial(load_cifar10, classes=("airplane", "automobile", "bird", "cat", "deer", "dog")),
    # bird is never the majority, as Lung Lesion is in the paper
    experiments=partial(imbalances_with_first, never_majority="bird"),
    methods=MAIN_METHODS,
    settings=Settings(steps=1000, epochs=10),
    order=20,
)
