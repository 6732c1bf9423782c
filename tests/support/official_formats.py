"""Writes small data sets in exactly the official formats."""

import csv

import numpy as np
from PIL import Image

from tests.support.benchmark_images import pictures

OBSERVATIONS = [
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
]  # fmt: skip
FINDINGS = [
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural Thickening", "Hernia",
]  # fmt: skip


def xray(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pictures([0], 40, 1, seed)[0, :, :, 0]).save(path)


def write_table(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_chexpert(folder, training):
    """``train.csv``, ``test_labels.csv`` and the images."""
    rows = []
    for i, (patient, view, found, becomes) in enumerate(training):
        path = f"train/patient{patient:05}/study1/view{i}_{view.lower()}.jpg"
        if becomes != "missing":
            xray(folder / path, i)
        rows.append(
            [f"CheXpert-v1.0-small/{path}", "Female", 60, view, "AP", *(found.get(name, "") for name in OBSERVATIONS)]
        )
    header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *OBSERVATIONS]
    write_table(folder / "train.csv", header, rows)
    tested = [{"No Finding": "1.0"}, {"Edema": "1.0"}, {"Fracture": "1.0", "Lung Lesion": "1.0"}]
    rows = []
    for i, found in enumerate(tested):
        path = f"test/patient{64741 + i}/study1/view1_frontal.jpg"
        xray(folder / path, 50 + i)
        rows.append([path, *(found.get(name, "0.0") for name in OBSERVATIONS)])
    path = "test/patient64741/study1/view2_lateral.jpg"
    xray(folder / path)
    rows.append([path, *("0.0" for _ in OBSERVATIONS)])
    write_table(folder / "test_labels.csv", ["Path", *OBSERVATIONS], rows)
    return folder


def write_nih(folder):
    """ChestX-ray14 with expert labels of four images."""
    names = [f"{i:08}_000.png" for i in range(4)]
    header = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID"]
    write_table(folder / "Data_Entry_2017.csv", header, [[name, "No Finding", 0, i] for i, name in enumerate(names)])
    rows = [[name, i, "YES" if i % 2 else "NO", *("NO" for _ in FINDINGS)] for i, name in enumerate(names)]
    write_table(folder / "test_labels.csv", ["Image ID", "Patient ID", "Abnormal", *FINDINGS], rows)
    for i, name in enumerate(names):
        xray(folder / "images" / name, i)
    return folder


def write_medmnist(path, labels, shape=(28, 28)):
    arrays = {}
    for name, part in labels.items():
        arrays[f"{name}_images"] = np.zeros((len(part), *shape), dtype=np.uint8) + np.arange(
            len(part), dtype=np.uint8
        ).reshape(-1, *[1] * len(shape))
        arrays[f"{name}_labels"] = np.array(part, dtype=np.uint8)
    np.savez(path, **arrays)
    return path
