"""CheXpert (Irvin et al. 2019), v1.0 and v1.0-small, selected as in the paper's section 3.1."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.data.image_files import read_images
from benchmarks.data.source import Source, TestImages

NORMAL = "Normal"
# Stratum of each of CheXpert's observations. Support Devices are no condition.
_STRATUM_OF = {
    "Atelectasis": "Focal/Multifocal Lung Opacity",
    "Lung Opacity": "Focal/Multifocal Lung Opacity",
    "Pneumonia": "Focal/Multifocal Lung Opacity",
    "Consolidation": "Focal/Multifocal Lung Opacity",
    "Cardiomegaly": "Enlarged Cardiac Silhouette",
    "Enlarged Cardiomediastinum": "Enlarged Cardiac Silhouette",
    "Lung Lesion": "Lung Lesion",
    "Pneumothorax": "Pneumothorax",
    "Fracture": "Fracture",
    "Edema": "Edema",
    "Pleural Effusion": "Pleural Effusion",
    "Pleural Other": "Pleural Other",
}
_DROPPED = ("Edema", "Pleural Effusion", "Pleural Other")
STRATA = (
    NORMAL,
    "Lung Lesion",
    "Pneumothorax",
    "Fracture",
    "Focal/Multifocal Lung Opacity",
    "Enlarged Cardiac Silhouette",
)
NEVER_MAJORITY = "Lung Lesion"
# the official test split has two names; old downloads have none, and valid.csv was tested on
_TEST_TABLES = ("test_labels.csv", "test.csv", "valid.csv")

Row = Mapping[str, str]


def load_chexpert(folder: Path, *, image_size: int = 224) -> Source:
    """Read CheXpert's training images after the selection, and its test split unfiltered.

    Blank (not mentioned), negative and uncertain observations all count as not positive: an image whose only conditions
    are uncertain names none, and is left out.

    Args:
        folder: Folder with ``train.csv``, ``train/`` and ``test/`` (or ``valid/``).
        image_size: Height and width in pixels.

    Raises:
        ValueError: If a table is missing or not one of CheXpert's, or no image is left.
    """
    flow: dict[str, int] = {}
    rows = _read_rows(folder / "train.csv", "Frontal/Lateral")
    flow["images in train.csv"] = len(rows)
    rows = [row for row in rows if row["Frontal/Lateral"] == "Frontal"]
    flow["frontal"] = len(rows)
    rows = [row for row in rows if _is_normal(row) or _conditions(row)]
    flow["that name a condition or are marked No Finding"] = len(rows)
    rows = [row for row in rows if not (_is_normal(row) and _conditions(row))]
    flow["that do not do both"] = len(rows)
    rows = [row for row in rows if len(_conditions(row)) <= 1]
    flow["with one condition at most, similar ones merged"] = len(rows)
    rows = [row for row in rows if not _conditions(row) & set(_DROPPED)]
    flow[f"of the six classes (without {', '.join(_DROPPED)})"] = len(rows)
    rows = [row for row in rows if _image_file(folder, row).is_file()]
    flow["whose image file is there"] = len(rows)
    if not rows:
        raise ValueError(
            f"no image of {folder / 'train.csv'} is left: {describe_flow(flow)}. Is {folder / 'train'}/ there?"
        )
    stratum = [STRATA.index(next(iter(_conditions(row)), NORMAL)) for row in rows]
    name, test = _read_test(folder, image_size)
    return Source(
        name=f"CheXpert ({folder.resolve().name})",
        strata=STRATA,
        images=read_images([_image_file(folder, row) for row in rows], image_size, mode="L", title="training"),
        stratum=np.array(stratum),
        tests={name: test},
        patient=np.array([patient_of(row["Path"]) for row in rows]),
        flow=flow,
    )


def describe_flow(flow: Mapping[str, int]) -> str:
    """Return the steps of a selection as one line."""
    return ", ".join(f"{count} {step}" for step, count in flow.items())


def patient_of(path: str) -> str:
    """Return the patient in a path of CheXpert.

    Example:
        >>> patient_of("CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg")
        'patient00001'
    """
    found = re.search(r"patient\d+", path)
    if found is None:
        raise ValueError(
            f"there is no patient in the path {path!r}; CheXpert's are .../patient00001/study1/view1_frontal.jpg."
        )
    return found.group()


def _read_test(folder: Path, image_size: int) -> tuple[str, TestImages]:
    table = next((folder / name for name in _TEST_TABLES if (folder / name).is_file()), None)
    if table is None:
        raise ValueError(f"{folder} has none of {', '.join(_TEST_TABLES)}: nothing to test on.")
    rows = [row for row in _read_rows(table) if _image_file(folder, row).is_file()]
    # test_labels.csv has no column for the view; the file's name has it
    rows = [row for row in rows if row.get("Frontal/Lateral", "Frontal") == "Frontal" and "lateral" not in row["Path"]]
    if not rows:
        raise ValueError(f"no frontal image of {table} is there.")
    members = np.array([[name in (_conditions(row) or {NORMAL}) for name in STRATA] for row in rows])
    is_abnormal = np.array([not _is_normal(row) for row in rows])
    members[:, 0] = ~is_abnormal
    images = read_images([_image_file(folder, row) for row in rows], image_size, mode="L", title="test")
    return f"CheXpert {table.stem.partition('_')[0]}", TestImages(images, members, is_abnormal)


def _read_rows(table: Path, *more: str) -> list[Row]:
    if not table.is_file():
        raise ValueError(f"there is no {table}. Wanted: CheXpert's folder, with train.csv and train/.")
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        wanted = {"Path", "No Finding", *_STRATUM_OF, *more}
        if missing := wanted - set(reader.fieldnames or ()):
            raise ValueError(f"{table} has no column {', '.join(sorted(missing))}; it is not one of CheXpert's tables.")
        return list(reader)


def _image_file(folder: Path, row: Row) -> Path:
    """Return the image file of a row. Paths begin with the official name of the folder, or with the split."""
    parts = Path(row["Path"]).parts
    start = next((i for i, part in enumerate(parts) if part in ("train", "valid", "test")), 0)
    return folder.joinpath(*parts[start:])


def _is_positive(row: Row, observation: str) -> bool:
    cell = (row[observation] or "").strip()
    return cell != "" and float(cell) == 1


def _is_normal(row: Row) -> bool:
    return _is_positive(row, "No Finding")


def _conditions(row: Row) -> set[str]:
    return {stratum for observation, stratum in _STRATUM_OF.items() if _is_positive(row, observation)}
