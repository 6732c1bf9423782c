"""The test images of ChestX-ray14 (Wang et al. 2017) with the expert labels of Nabulsi et al. 2021."""

import csv
from pathlib import Path

import numpy as np

from benchmarks.data.chexpert import NORMAL, STRATA
from benchmarks.data.image_files import read_images
from benchmarks.data.source import TestImages

_ENTRIES = "Data_Entry_2017*.csv"
_EXPERT = ("all_findings_expert_labels_test_labels.csv", "test_labels.csv")
# Stratum of each finding; the others (Effusion, Edema, ...) make an image abnormal and belong to no stratum
_STRATUM_OF = {
    "Mass": "Lung Lesion",
    "Nodule": "Lung Lesion",
    "Pneumothorax": "Pneumothorax",
    "Atelectasis": "Focal/Multifocal Lung Opacity",
    "Consolidation": "Focal/Multifocal Lung Opacity",
    "Infiltration": "Focal/Multifocal Lung Opacity",
    "Pneumonia": "Focal/Multifocal Lung Opacity",
    "Cardiomegaly": "Enlarged Cardiac Silhouette",
}


def load_chestxray14_test(folder: Path, *, image_size: int = 224) -> TestImages:
    """Read the images with expert labels, unfiltered: some have several findings, some belong to no stratum.

    Args:
        folder: Folder with ``Data_Entry_2017*.csv``, the table of expert labels (at any depth) and the images
            (``images_001/images/*.png`` or ``images/*.png``).
        image_size: Height and width in pixels.

    Raises:
        ValueError: If a table or all images are missing, or the tables do not match.
    """
    known = {
        row["Image Index"] for row in _read_rows(_find_table(folder, (_ENTRIES,)), {"Image Index", "Finding Labels"})
    }
    table = _find_table(folder, _EXPERT)
    rows = _read_rows(table, {"Image ID", "Abnormal", *_STRATUM_OF})
    if unknown := [row["Image ID"] for row in rows if row["Image ID"] not in known]:
        raise ValueError(f"image {unknown[0]} of {table} is not in {_ENTRIES}: the tables are of different data.")
    files = {file.name: file for part in folder.glob("images*") for file in part.rglob("*.png")}
    rows = [row for row in rows if row["Image ID"] in files]
    if not rows:
        raise ValueError(f"no image of {table} is in {folder}/images*/.")
    members = np.zeros((len(rows), len(STRATA)), dtype=bool)
    is_abnormal = np.array([_is_yes(row["Abnormal"]) for row in rows])
    members[:, STRATA.index(NORMAL)] = ~is_abnormal
    for i, row in enumerate(rows):
        for finding, stratum in _STRATUM_OF.items():
            members[i, STRATA.index(stratum)] |= bool(is_abnormal[i]) and _is_yes(row[finding])
    images = read_images([files[row["Image ID"]] for row in rows], image_size, mode="L", title="ChestX-ray14")
    return TestImages(images, members, is_abnormal)


def _find_table(folder: Path, patterns: tuple[str, ...]) -> Path:
    for pattern in patterns:
        if found := sorted(folder.rglob(pattern)):
            return found[0]
    raise ValueError(f"{folder} holds no {' or '.join(patterns)}.")


def _read_rows(table: Path, columns: set[str]) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        if missing := columns - set(reader.fieldnames or ()):
            raise ValueError(f"{table} has no column {', '.join(sorted(missing))}.")
        return list(reader)


def _is_yes(cell: str) -> bool:
    """Read both spellings of the expert labels."""
    return cell.strip().upper() in ("YES", "1")
