"""The paper's kinds of imbalance on the user's own images."""

from functools import partial

from benchmarks.data.image_folder import load_image_folder
from benchmarks.methods.registry import MAIN_METHODS
from benchmarks.sweep.declaration import Suite, imbalances_with_first, outline_17
from benchmarks.sweep.normal_class import NormalClass, load_normal_first

SUITE = Suite(
    name="folder",
    title="The paper's kinds of imbalance on your own images",
    needs="--data-dir: folder with train/CLASS/* and test/CLASS/*; --normal CLASS",
    outline=outline_17("CLASS", "as many as the classes give"),
    load=partial(load_normal_first, load_image_folder),
    experiments=imbalances_with_first,
    methods=MAIN_METHODS,
    image_size=64,
    options=NormalClass,
    order=60,
)
