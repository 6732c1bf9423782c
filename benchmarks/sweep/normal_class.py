"""The option ``--normal`` of suites whose data do not say which class all others are compared with."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.command_line import option
from benchmarks.data.source import Source


@dataclass(frozen=True)
class NormalClass:
    """Options of a suite that must be told its normal class."""

    normal: str | None = field(
        default=None, metadata=option("the normal class, which all others are compared with", metavar="CLASS")
    )


def load_normal_first(
    load: Callable[..., Source], folder: Path, *, image_size: int | None, normal: str | None
) -> Source:
    """Read data by ``load(folder, image_size=...)``, and put the normal stratum first."""
    return put_normal_first(load(folder, image_size=image_size), normal)


def put_normal_first(source: Source, normal: str | None) -> Source:
    """Return the source with the normal stratum first.

    Args:
        source: The data.
        normal: Its name; by default a stratum called "normal", if there is one.

    Raises:
        ValueError: If no stratum or an unknown one is named.
    """
    if normal is None and "normal" in source.strata:
        normal = "normal"
    if normal not in source.strata:
        wanted = "--normal CLASS is needed" if normal is None else f"--normal {normal} is no class"
        raise ValueError(f"{wanted}: which of {', '.join(source.strata)} are all others compared with?")
    order = sorted(range(len(source.strata)), key=lambda i: source.strata[i] != normal)
    return replace(
        source,
        strata=tuple(source.strata[i] for i in order),
        stratum=np.argsort(order)[source.stratum],
        tests={name: replace(test, members=test.members[:, order]) for name, test in source.tests.items()},
    )
