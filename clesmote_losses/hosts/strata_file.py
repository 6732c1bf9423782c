"""Read groups of images (strata) from a file."""

import csv
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.smote.base_dataset import image_path


def read_strata(path: str, base: Any) -> NDArray[Any]:
    """Read one group for each sample of a data set.

    Args:
        path: ``.npy`` with one group per sample in the order of ``base``, or CSV with the columns ``filename`` and
            ``stratum``. A file name may be any end of the path that is unique: ``person1.jpeg``, ``virus/person1.jpeg``.
        base: Data set that knows the paths of its images.

    Returns:
        Numbers or strings, shape ``(N,)``.

    Raises:
        ValueError: If the file cannot be read, or if a sample has no group or two.
    """
    if path.endswith(".npy"):
        try:
            given: NDArray[Any] = np.load(path)
        except (OSError, EOFError, ValueError) as error:
            raise ValueError(
                f"{path} cannot be read ({error}). Save groups as numbers or strings: array.astype(str)."
            ) from error
        return given
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # Excel writes a byte-order mark
            rows = list(csv.DictReader(file))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}).") from error
    if not rows or not {"filename", "stratum"} <= rows[0].keys():
        columns = ", ".join(map(str, rows[0])) if rows else "no rows"
        raise ValueError(
            f"{path} must be a comma-separated file with the columns filename and stratum, or .npy; found {columns}."
        )
    groups: dict[str, str] = {}
    for row in rows:
        name = (row["filename"] or "").replace(os.sep, "/").removeprefix("./")
        if groups.setdefault(name, row["stratum"]) != row["stratum"]:
            raise ValueError(f"{path} puts {name} into two strata, {groups[name]!r} and {row['stratum']!r}.")
    strata = []
    for index in range(len(base)):
        parts = (image_path(base, index) or "").replace(os.sep, "/").split("/")
        ends = ("/".join(parts[-n:]) for n in range(1, len(parts) + 1))
        found = next((end for end in ends if end in groups), None)
        if found is None:
            raise ValueError(f"{path} has no stratum for image {index} ({'/'.join(parts)}).")
        strata.append(groups[found])
    return np.array(strata)
