"""The test images of ChestX-ray14, in small files of exactly the official format."""

import pytest

from benchmarks.data.chestxray14 import load_chestxray14_test
from benchmarks.data.chexpert import STRATA
from tests.support.official_formats import FINDINGS, write_table, xray


@pytest.fixture(params=["NO/YES", "0/1"])
def nih(request, tmp_path):
    no, yes = request.param.split("/")
    names = [f"{i:08}_000.png" for i in range(4)]
    write_table(
        tmp_path / "Data_Entry_2017_v2020.csv",
        [
            "Image Index",
            "Finding Labels",
            "Follow-up #",
            "Patient ID",
            "Patient Age",
            "Patient Gender",
            "View Position",
        ],
        [[name, "No Finding", 0, i, 50, "F", "PA"] for i, name in enumerate(names)],
    )
    found = [{}, {"Mass", "Infiltration"}, {"Effusion"}, {"Cardiomegaly"}]
    rows = [
        [name, i, yes if findings else no, *("YES" if f in findings else "NO" for f in FINDINGS), "NO"]
        for i, (name, findings) in enumerate(zip(names, found, strict=True))
    ]
    table = tmp_path / "all_findings_expert_labels" / "test_labels.csv"
    write_table(table, ["Image ID", "Patient ID", "Abnormal", *FINDINGS, "Other"], rows)
    for i, name in enumerate(names[:3]):  # the last one is missing
        xray(tmp_path / f"images_00{i + 1}" / "images" / name, i)
    return tmp_path


def test_chestxray14_is_tested_by_the_labels_of_the_experts(nih):
    test = load_chestxray14_test(nih, image_size=24)
    assert test.images.shape == (3, 24, 24, 1)
    assert test.is_abnormal.tolist() == [False, True, True]
    found = [{name for name, is_member in zip(STRATA, row, strict=True) if is_member} for row in test.members]
    assert found == [{"Normal"}, {"Lung Lesion", "Focal/Multifocal Lung Opacity"}, set()]


def test_expert_labels_of_other_images_are_refused(nih):
    entries = nih / "Data_Entry_2017_v2020.csv"
    entries.write_text(entries.read_text().replace("00000001_000", "00000009_000"))
    with pytest.raises(ValueError, match=r"image 00000001_000.png .* is not in Data_Entry_2017"):
        load_chestxray14_test(nih)
    entries.unlink()
    with pytest.raises(ValueError, match=r"holds no Data_Entry_2017"):
        load_chestxray14_test(nih)
