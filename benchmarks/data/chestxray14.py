"""The test images of ChestX-ray14 (Wang et al. 2017) with the expert labels of Nabulsi et al. 2021."""

from pathlib import Path

from benchmarks.data.chexpert import NORMAL, STRATA, read_table
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
    known = read_table(_find_table(folder, (_ENTRIES,)), ["Image Index", "Finding Labels"], "ChestX-ray14")
    table = _find_table(folder, _EXPERT)
    rows = read_table(table, ["Image ID", "Abnormal", *_STRATUM_OF], "ChestX-ray14")
    if unknown := rows["Image ID"][~rows["Image ID"].isin(known["Image Index"])].tolist():
        raise ValueError(f"image {unknown[0]} of {table} is not in {_ENTRIES}: the tables are of different data.")
    files = {file.name: file for part in folder.glob("images*") for file in part.rglob("*.png")}
    rows = rows[rows["Image ID"].isin(files)]
    if rows.empty:
        raise ValueError(f"no image of {table} is in {folder}/images*/.")
    is_yes = rows.apply(lambda cells: cells.str.strip().str.upper().isin(("YES", "1")))  # both spellings
    found = is_yes[list(_STRATUM_OF)].T.groupby(_STRATUM_OF).any().T
    found = found[is_yes["Abnormal"]].reindex(rows.index, fill_value=False)
    members = found.assign(**{NORMAL: ~is_yes["Abnormal"]}).reindex(columns=STRATA, fill_value=False)
    images = read_images([files[name] for name in rows["Image ID"]], image_size, mode="L", title="ChestX-ray14")
    return TestImages(images, members.to_numpy(), is_yes["Abnormal"].to_numpy())


def _find_table(folder: Path, patterns: tuple[str, ...]) -> Path:
    for pattern in patterns:
        if found := sorted(folder.rglob(pattern)):
            return found[0]
    raise ValueError(f"{folder} holds no {' or '.join(patterns)}.")
