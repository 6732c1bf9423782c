"""CheXpert (Irvin et al. 2019), v1.0 and v1.0-small, selected as in the paper's section 3.1."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

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

# Each step of the selection takes the rows that are left and tells which of them stay.
_SELECTION: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "frontal": lambda rows: rows["Frontal/Lateral"] == "Frontal",
    "that name a condition or are marked No Finding": lambda rows: rows[NORMAL] | (rows["conditions"] > 0),
    "that do not do both": lambda rows: ~rows[NORMAL] | (rows["conditions"] == 0),
    "with one condition at most, similar ones merged": lambda rows: rows["conditions"] <= 1,
    f"of the six classes (without {', '.join(_DROPPED)})": lambda rows: ~rows[list(_DROPPED)].any(axis=1),
    "whose image file is there": lambda rows: rows["file"].map(Path.is_file),
}


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
    rows = _read_rows(folder, "train.csv", "Frontal/Lateral")
    flow = {"images in train.csv": len(rows)}
    for step, stay in _SELECTION.items():
        rows = rows[stay(rows)]
        flow[step] = len(rows)
    if rows.empty:
        raise ValueError(
            f"no image of {folder / 'train.csv'} is left: {describe_flow(flow)}. Is {folder / 'train'}/ there?"
        )
    name, test = _read_test(folder, image_size)
    return Source(
        name=f"CheXpert ({folder.resolve().name})",
        strata=STRATA,
        images=read_images(list(rows["file"]), image_size, mode="L", title="training"),
        stratum=rows[list(STRATA)].to_numpy().argmax(1),
        tests={name: test},
        patient=np.array([patient_of(path) for path in rows["Path"]]),
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
    rows = _read_rows(folder, table.name)
    # test_labels.csv has no column for the view; the file's name has it
    is_frontal = ~rows["Path"].str.contains("lateral")
    if "Frontal/Lateral" in rows:
        is_frontal &= rows["Frontal/Lateral"] == "Frontal"
    rows = rows[is_frontal & rows["file"].map(Path.is_file)]
    if rows.empty:
        raise ValueError(f"no frontal image of {table} is there.")
    images = read_images(list(rows["file"]), image_size, mode="L", title="test")
    members = rows[list(STRATA)].to_numpy()
    return f"CheXpert {table.stem.partition('_')[0]}", TestImages(images, members, ~members[:, 0])


def _read_rows(folder: Path, name: str, *more: str) -> pd.DataFrame:
    """Read a table, and add the image ``file``, whether it names each stratum, and the number of its ``conditions``."""
    if not (folder / name).is_file():
        raise ValueError(f"there is no {folder / name}. Wanted: CheXpert's folder, with train.csv and train/.")
    stratum_of = {"No Finding": NORMAL, **_STRATUM_OF}
    rows = read_table(folder / name, ["Path", *stratum_of, *more], "CheXpert")
    # uncertain ones are -1
    is_positive = rows[list(stratum_of)].apply(lambda cells: pd.to_numeric(cells.str.strip())) == 1
    strata = is_positive.T.groupby(stratum_of).any().T
    files = [_image_file(folder, path) for path in rows["Path"]]
    kept = rows.drop(columns=list(stratum_of))
    return kept.join(strata).assign(file=files, conditions=strata.drop(columns=NORMAL).sum(axis=1))


def read_table(table: Path, columns: Iterable[str], name: str) -> pd.DataFrame:
    """Read a table of a data set as text.

    Args:
        table: CSV file.
        columns: Those that it must have.
        name: Of the data set, for messages.

    Raises:
        ValueError: If a column is missing, or it is no table.
    """
    try:
        rows = pd.read_csv(table, dtype=str, keep_default_na=False, index_col=False)
    except ValueError as error:  # empty, or no text
        raise ValueError(f"{table} cannot be read as one of {name}'s tables: {error}.") from error
    if missing := set(columns) - set(rows):
        raise ValueError(f"{table} has no column {', '.join(sorted(missing))}; it is not one of {name}'s tables.")
    return rows


def _image_file(folder: Path, path: str) -> Path:
    """Return the image file of a row. Paths begin with the official name of the folder, or with the split."""
    parts = Path(path).parts
    start = next((i for i, part in enumerate(parts) if part in ("train", "valid", "test")), 0)
    return folder.joinpath(*parts[start:])
