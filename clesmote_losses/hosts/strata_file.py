"""Read the group of each image from a file: its stratum, or its patient."""

import csv
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.smote.base_dataset import image_path
from clesmote_losses.smote.columns import check_column, is_gap


def read_groups(path: str, base: Any, column: str = "stratum") -> NDArray[Any]:
    """Read one group for each sample of a data set.

    Args:
        path: ``.npy`` with one group per sample in the order of ``base``, or CSV with the columns ``filename`` and
            ``column``. A file name may be any end of the path that is unique: ``person1.jpeg``, ``virus/person1.jpeg``.
        base: Data set that knows the paths of its images.
        column: Name of the column with the groups.

    Returns:
        Numbers or strings, shape ``(N,)``.

    Raises:
        ValueError: If the file cannot be read, if a sample has no group or two, or a name fits two images.
    """
    if path.endswith(".npy"):
        try:
            given: NDArray[Any] = np.load(path)
        except (OSError, EOFError, ValueError) as error:
            raise ValueError(
                f"{path} cannot be read ({error}). Save groups as numbers or strings: array.astype(str)."
            ) from error
        return check_column(path, given, len(base))
    group_of = read_table(path, column)
    image_of: dict[str, str] = {}
    groups = []
    for index in range(len(base)):
        image = image_path(base, index)
        if image is None:
            raise ValueError(
                f"{path} names files, but image {index} of {type(base).__name__} has no known file. Use .npy with one group for "
                "each sample, in their order."
            )
        parts = _forward(image).split("/")
        ends = ("/".join(parts[start:]) for start in range(len(parts)))  # the longest first, which says most
        found = next((end for end in ends if end in group_of), None)
        if found is None or is_gap(group_of[found]):
            raise ValueError(f"{path} has no {column} for image {index} ({'/'.join(parts)}).")
        if (other := image_of.setdefault(found, image)) != image:
            raise ValueError(
                f"{path}: {found} fits {other} and {image}. Write more of the path: {'/'.join(parts[-2:])}."
            )
        groups.append(group_of[found])
    return np.array(groups)


def read_table(path: str, column: str) -> dict[str, str]:
    """Read the group of each file name from a CSV.

    Raises:
        ValueError: If it cannot be read, lacks a column, or gives a file two groups.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # Excel writes a byte-order mark
            rows = [[cell.strip() for cell in row] for row in csv.reader(file)]
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read ({error}).") from error
    header = rows[0] if rows else []
    if header.count("filename") != 1 or header.count(column) != 1 or len(rows) == 1:
        raise ValueError(
            f"{path} must be a comma-separated file with the columns filename and {column}, or .npy; found "
            f"{', '.join(header) if len(rows) > 1 else 'no rows'}."
        )
    group_of: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) > len(header):
            raise ValueError(
                f"row {number} of {path} has {len(row)} cells, and {len(header)} are wanted: {','.join(row)}."
            )
        row += [""] * (len(header) - len(row))
        name, group = _forward(row[header.index("filename")]), row[header.index(column)]
        if group_of.setdefault(name, group) != group:
            raise ValueError(f"{path} has two values of {column} for {name}: {group_of[name]!r} and {group!r}.")
    return group_of


def _forward(path: str) -> str:
    return path.replace(os.sep, "/").replace("\\", "/").removeprefix("./")
