"""The user's own images, as they are or cut to the paper's kinds of imbalance."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.command_line import option
from benchmarks.data.experiments import AS_IS, Experiment, of_classes
from benchmarks.data.image_folder import load_image_folder
from benchmarks.data.source import Source
from benchmarks.methods.registry import MAIN_METHODS
from benchmarks.sweep.declaration import Suite, imbalances_with_first, outline_17
from benchmarks.sweep.normal_class import NormalClass, put_normal_first


@dataclass(frozen=True)
class FolderOptions(NormalClass):
    """Options of this suite alone."""

    as_is: bool = field(
        default=True,
        metadata=option(
            "train on all images (yes); --no-as-is cuts the classes to the paper's ratios, and needs --normal"
        ),
    )


def _load(folder: Path, *, image_size: int, normal: str | None, as_is: bool) -> Source:
    source = load_image_folder(folder, image_size=image_size)
    if as_is and normal is None and "normal" not in source.strata:
        return source
    return replace(put_normal_first(source, normal), normal=normal)


def _experiments(source: Source, validate: bool) -> Sequence[Experiment]:
    """Return the paper's kinds, if there is a normal class, and the data as they are: two classes if it was named."""
    first, *others = source.strata
    as_is = of_classes(AS_IS, source.left if validate else source.available)
    if source.normal is not None:
        as_is = replace(as_is, classes={"normal": (first,), "abnormal": tuple(others)})
    return [*(imbalances_with_first(source, validate) if first in (source.normal, "normal") else []), as_is]


SUITE = Suite(
    name="folder",
    title="Your own images, as they are or in the paper's kinds of imbalance",
    needs="--data-dir: folder with train/CLASS/* and test/CLASS/*; --normal CLASS for all but as-is",
    outline=f"{AS_IS} (all images, the default), {outline_17('CLASS', 'as many as the classes give')}",
    load=_load,
    experiments=_experiments,
    methods=MAIN_METHODS,
    image_size=64,
    options=FolderOptions,
    order=60,
)
