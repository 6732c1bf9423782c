import os
from pathlib import Path

import pytest

from clesmote_losses.doctor.folder import find_parts, open_folder
from tests.support.class_folders import picture, write_pictures


@pytest.mark.parametrize(
    ("train", "validation"), [("train", "validation"), ("training", "val"), ("Train", "Valid"), ("train", "test")]
)
def test_parts_are_found_by_the_names_that_people_give(tmp_path: Path, train: str, validation: str) -> None:
    for name in (train, validation):
        (tmp_path / name / "a").mkdir(parents=True)
    assert find_parts(tmp_path) == (tmp_path / train, tmp_path / validation)
    (tmp_path / "mine" / "a").mkdir(parents=True)
    assert find_parts(tmp_path, tmp_path / "mine") == (tmp_path / train, tmp_path / "mine")


def test_validation_comes_before_test(tmp_path: Path) -> None:
    for name in ("train", "test", "val"):
        (tmp_path / name / "a").mkdir(parents=True)
    assert find_parts(tmp_path)[1] == tmp_path / "val"


def test_a_clean_folder_has_no_findings(tmp_path: Path) -> None:
    dataset, findings = open_folder(write_pictures(tmp_path / "train", {"a": 2, "b": 3}))
    assert (len(dataset), findings) == (5, [])


def test_what_is_not_read_or_misread_is_found(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "train", {"a": 2, "b": 3})
    (root / "a" / "._0.png").write_bytes(b"AppleDouble")
    (root / ".ipynb_checkpoints").mkdir()
    picture(9).save(root / ".ipynb_checkpoints" / "0-checkpoint.png")
    (root / "empty").mkdir()
    picture(7).save(root / "loose.jpg")
    for name in ("scan.dcm", "other.dcm", "notes.txt"):
        (root / "b" / name).write_text("x")
    dataset, findings = open_folder(root)
    assert [os.path.relpath(path, root) for path, _ in dataset.samples] == [
        "a/0.png",
        "a/1.png",
        "b/0.png",
        "b/1.png",
        "b/2.png",
    ]
    assert [(f.severity, f.topic, f.evidence) for f in findings] == [
        ("error", "hidden files", ("train/.ipynb_checkpoints/0-checkpoint.png", "train/a/._0.png")),
        ("error", "classes", (".ipynb_checkpoints",)),
        ("error", "classes", ("train/empty",)),
        ("warning", "other files", ("train/loose.jpg",)),
        ("note", "other files", ("train/b/notes.txt", "train/b/other.dcm", "train/b/scan.dcm")),
    ]
    assert "2 .dcm, 1 .txt" in findings[-1].message


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="no images in"):
        open_folder(tmp_path)
