"""CheXpert, in small files of exactly the official format."""

import shutil

import pytest

from benchmarks.data.chexpert import STRATA, load_chexpert
from tests.support.official_formats import write_chexpert, write_table

# patient, view, observations; what becomes of it
TRAINING = [
    (1, "Frontal", {"No Finding": "1.0"}, "Normal"),
    (1, "Lateral", {"No Finding": "1.0"}, None),
    (2, "Frontal", {"No Finding": "1.0", "Support Devices": "1.0"}, "Normal"),  # a device is no condition
    (3, "Frontal", {"Atelectasis": "1.0"}, "Focal/Multifocal Lung Opacity"),
    (4, "Frontal", {"Lung Opacity": "1.0", "Pneumonia": "1.0"}, "Focal/Multifocal Lung Opacity"),  # merged: one
    (5, "Frontal", {"Cardiomegaly": "1.0", "Enlarged Cardiomediastinum": "1.0"}, "Enlarged Cardiac Silhouette"),
    (6, "Frontal", {"Lung Lesion": "1.0", "Edema": "-1.0"}, "Lung Lesion"),  # uncertain: not positive
    (7, "Frontal", {"Pneumothorax": "1.0", "Fracture": "0.0"}, "Pneumothorax"),
    (8, "Frontal", {"Fracture": "1.0"}, "Fracture"),
    (9, "Frontal", {}, None),  # a finding, but no condition named
    (9, "Frontal", {"Pneumonia": "-1.0"}, None),
    (9, "Frontal", {"Support Devices": "1.0"}, None),
    (10, "Frontal", {"No Finding": "1.0", "Fracture": "1.0"}, None),
    (11, "Frontal", {"Fracture": "1.0", "Pneumothorax": "1.0"}, None),
    (12, "Frontal", {"Edema": "1.0"}, None),
    (13, "Frontal", {"Fracture": "1.0"}, "missing"),
]
FLOW = [16, 15, 12, 11, 10, 9, 8]


@pytest.fixture
def chexpert(tmp_path):
    return write_chexpert(tmp_path / "chexpert-copy", TRAINING)  # whatever the user calls it


def test_chexpert_is_selected_as_section_3_1_has_it(chexpert):
    source = load_chexpert(chexpert, image_size=24)
    expected = [becomes for *_, becomes in TRAINING if becomes not in (None, "missing")]
    assert [source.strata[i] for i in source.stratum] == expected
    assert source.strata == STRATA
    assert list(source.flow.values()) == FLOW
    assert source.images.shape == (8, 24, 24, 1)
    assert source.patient.tolist() == [f"patient{i:05}" for i in range(1, 9)]


def test_chexperts_test_split_is_taken_as_it_is(chexpert):
    test = load_chexpert(chexpert, image_size=24).tests["CheXpert test"]
    assert test.is_abnormal.tolist() == [False, True, True]  # no lateral view
    found = [{name for name, is_member in zip(STRATA, row, strict=True) if is_member} for row in test.members]
    assert found == [{"Normal"}, set(), {"Fracture", "Lung Lesion"}]


def test_chexpert_without_the_test_split_is_tested_on_valid(chexpert):
    table = chexpert / "test_labels.csv"
    table.write_text(table.read_text().replace("test/", "CheXpert-v1.0-small/valid/"))
    table.rename(chexpert / "valid.csv")
    (chexpert / "test").rename(chexpert / "valid")
    assert list(load_chexpert(chexpert, image_size=24).tests) == ["CheXpert valid"]
    (chexpert / "valid.csv").unlink()
    with pytest.raises(ValueError, match="has none of test_labels"):
        load_chexpert(chexpert, image_size=24)


def test_a_chexpert_folder_that_does_not_fit_is_refused(chexpert, tmp_path):
    shutil.rmtree(chexpert / "train")
    with pytest.raises(ValueError, match=r"no image of .*train\.csv is left: 16 images in train.csv, 15 frontal"):
        load_chexpert(chexpert)
    write_table(chexpert / "train.csv", ["Path", "No Finding"], [["x", "1"]])
    with pytest.raises(ValueError, match="has no column Atelectasis"):
        load_chexpert(chexpert)
    with pytest.raises(ValueError, match=r"there is no .*train\.csv"):
        load_chexpert(tmp_path)
    for content in (b"", b"\xff\xfe\x00"):
        (chexpert / "train.csv").write_bytes(content)
        with pytest.raises(ValueError, match=r"train\.csv cannot be read as one of CheXpert's tables: "):
            load_chexpert(chexpert)
