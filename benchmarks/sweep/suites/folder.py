"""The paper's kinds of imbalance on the user's own images."""

from pathlib import Path

from benchmarks.data.image_folder import load_image_folder
from benchmarks.data.source import Source
from benchmarks.methods.registry import MAIN_METHODS
from benchmarks.sweep.declaration import Suite, imbalances_with_first, outline_17
from benchmarks.sweep.normal_class import NormalClass, put_normal_first


def _load(folder: Path, *, image_size: int, normal: str | None) -> Source:
    return put_normal_first(load_image_folder(folder, image_size=image_size), normal)


SUITE = Suite(
    name="folder",
    title="The paper's kinds of imbalance on your own images",
    needs="--data-dir: folder with train/CLASS/* and test/CLASS/*; --normal CLASS",
    outline=outline_17("CLASS", "as many as the classes give"),
    load=_load,
    experiments=imbalances_with_first,
    methods=MAIN_METHODS,
    image_size=64,
    options=NormalClass,
    order=60,
)
