import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from imblearn.over_sampling import SMOTE, RandomOverSampler
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from clesmote_losses import SMOTEDataset
from clesmote_losses.doctor import Report, check, checkup
from clesmote_losses.restore import random_states
from tests.support.class_folders import picture, state_of, write_pictures

COUNTS = {"common": 14, "rare": 7}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    train = write_pictures(tmp_path / "train", COUNTS)
    return train, write_pictures(tmp_path / "validation", {"common": 4, "rare": 4}, first_seed=100)


def found(report: Report, severity: Any) -> list[str]:
    return [finding.topic for finding in report.with_severity(severity)]


def check_folders(train: Path, validation: Path, **options: Any) -> Report:
    return check(ImageFolder(str(train)), ImageFolder(str(validation)), **options)


def test_a_clean_set_gives_notes_only(folders: tuple[Path, Path]) -> None:
    report = check_folders(*folders)
    assert found(report, "error") == found(report, "warning") == []
    assert report.counts["rare"] == {"training": 7, "validation": 4, "training after SMOTE": 14}
    assert "Nothing stands in the way" in str(report)


def test_no_file_and_no_random_state_changes(folders: tuple[Path, Path]) -> None:
    before, states = state_of(folders[0].parent), random_states()
    check_folders(*folders, model="test_resnet", num_workers=2)
    assert (state_of(folders[0].parent), random_states()) == (before, states)


def test_everything_that_is_planted_is_found(folders: tuple[Path, Path]) -> None:
    train, validation = folders
    picture(0).save(validation / "rare" / "copy.png")  # common in training
    (train / "common" / "1.png").write_bytes(b"no image")
    (train / "rare" / "2.png").write_bytes((train / "rare" / "2.png").read_bytes()[:200])
    Image.new("RGB", (48, 48), "black").save(train / "common" / "3.png")
    picture(50, size=(60, 40)).save(train / "rare" / "4.png")
    report = check_folders(train, validation)
    # the copy has another label too
    assert sorted(found(report, "error")) == ["duplicates", "duplicates", "unreadable"]
    assert sorted(found(report, "warning")) == ["constant", "size"]
    evidence = {finding.topic: " ".join(finding.evidence) for finding in report.findings}
    assert "train/common/1.png" in evidence["unreadable"]
    assert "train/rare/2.png" in evidence["unreadable"]
    assert evidence["duplicates"] == "train/common/0.png = validation/rare/copy.png"
    assert evidence["constant"] == "train/common/3.png"


@pytest.mark.parametrize("change", ["quality", "smaller", "larger"])
def test_a_changed_copy_in_validation_is_found(folders: tuple[Path, Path], change: str) -> None:
    train, validation = folders
    size, options = {"quality": (48, {"quality": 50}), "smaller": (32, {}), "larger": (96, {})}[change]
    picture(3).resize((size, size), Image.Resampling.BICUBIC).save(validation / "common" / "copy.jpg", **options)
    (finding,) = check_folders(train, validation).with_severity("warning")
    assert finding.topic == "near duplicates"
    assert len(finding.evidence) == 1
    assert finding.evidence[0].startswith("train/common/3.png ~ validation/common/copy.jpg")


def test_a_patient_on_both_sides_is_found_and_one_on_one_side_is_not(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = [f"{path.relative_to(tmp_path)},p{number}" for number, path in enumerate(sorted(tmp_path.rglob("*.png")))]
    table = tmp_path / "patients.csv"
    table.write_text("\n".join(["filename,group", *rows]))
    assert not check_folders(*folders, groups=str(table)).with_severity("error")
    table.write_text("\n".join(["filename,group", *rows]).replace(f",p{len(rows) - 1}", ",p0"))
    (finding,) = check_folders(*folders, groups=str(table)).with_severity("error")
    assert finding.topic == "groups"
    assert finding.evidence == ("p0: 1 image in training, 1 in validation",)


def test_a_file_of_groups_may_be_a_path_and_is_read_before_the_images(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{path.relative_to(tmp_path)},p" for path in tmp_path.rglob("*.png")]
    (tmp_path / "patients.csv").write_text("\n".join(["filename,group", *rows]))
    assert found(check_folders(*folders, groups=tmp_path / "patients.csv"), "error") == ["groups", "small class"]
    monkeypatch.setattr(checkup, "look_at_part", None)
    with pytest.raises(ValueError, match=r"patient.csv cannot be read"):
        check_folders(*folders, groups=tmp_path / "patient.csv")


def test_options_that_nothing_would_read_are_refused(folders: tuple[Path, Path]) -> None:
    train, validation = (ImageFolder(str(folder)) for folder in folders)
    train_set = SMOTEDataset(train)
    with pytest.raises(ValueError, match=r"labels= and sampler= cannot be changed for a SMOTEDataset.* Leave out"):
        check(train_set, labels=train.targets, sampler=SMOTE())
    with pytest.raises(ValueError, match="Leave validation_groups= out"):
        check(train, validation, "patients.csv", validation_groups=[0] * 8)
    with pytest.raises(ValueError, match="Pass validation= too"):
        check(train, validation_groups=[0] * 8)


@pytest.mark.parametrize(
    ("options", "whose", "option"),
    [
        ({}, "Patients are", "pass groups,"),
        ({"groups": range(21)}, "Patients of the validation set are", "pass validation_groups= too"),
        ({"validation_groups": range(8)}, "Patients of the training set are", "pass groups= too"),
    ],
)
def test_the_set_without_groups_is_named(
    folders: tuple[Path, Path], options: dict[str, Any], whose: str, option: str
) -> None:
    report = check_folders(*folders, **{name: list(values) for name, values in options.items()})
    (note,) = (finding for finding in report.findings if finding.topic == "groups")
    assert note.severity == "note"
    assert note.message.startswith(whose)
    assert note.remedy.startswith(option)


def test_groups_are_given_as_arrays_too(folders: tuple[Path, Path]) -> None:
    train, validation = list(range(21)), list(range(20, 28))
    report = check_folders(*folders, groups=train, validation_groups=validation)
    assert found(report, "error") == ["groups"]
    with pytest.raises(ValueError, match=r"groups must have shape \(21,\)"):
        check_folders(*folders, groups=train[1:], validation_groups=validation)


def test_a_group_file_without_an_image_is_an_error(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_text("filename,group\ntrain/common/0.png,a\n")
    errors = check_folders(*folders, groups=str(tmp_path / "patients.csv")).with_severity("error")
    assert [error.topic for error in errors] == ["groups", "groups"]
    assert "has no group for image 1" in errors[0].message


def test_each_class_too_small_for_its_neighbours_is_named(tmp_path: Path) -> None:
    train = ImageFolder(str(write_pictures(tmp_path / "train", {"a": 9, "b": 4, "c": 6, "d": 5})))
    errors = check(train).with_severity("error")
    assert [error.topic for error in errors] == ["small class", "small class"]
    assert [error.message[:2] for error in errors] == ["b:", "d:"]
    assert not check(train, sampler=SMOTE(k_neighbors=3)).with_severity("error")


def test_groups_count_for_the_neighbours_of_a_class(tmp_path: Path) -> None:
    train = ImageFolder(str(write_pictures(tmp_path / "train", {"a": 9, "b": 6})))
    assert found(check(train, groups=[*range(9), 9, 9, 9, 10, 11, 12]), "error") == ["small class"]


def test_beta_and_model_are_checked(folders: tuple[Path, Path]) -> None:
    assert found(check_folders(*folders, beta=1.5), "warning") == ["beta"]
    network = timm.create_model("test_resnet", num_classes=1)
    assert "classes" in found(check_folders(*folders, model=network), "error")
    with pytest.raises(TypeError, match="beta must be a number"):
        check_folders(*folders, beta="1e-3")


class _Wrapped(Dataset[Any]):
    """A data set that goes on working on the image after its transform."""

    def __init__(self, base: ImageFolder) -> None:
        self.base, self.transform, self.targets = base, v2.PILToTensor(), base.targets

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.base[index][0]) / 255, self.targets[index]


class _Augmenting(_Wrapped):
    def __init__(self, base: ImageFolder) -> None:
        self.base, self.targets = base, base.targets

    def __getitem__(self, index: int) -> Any:
        image, label = self.base[index]
        return (image.transpose(Image.Transpose.ROTATE_90) if random.random() < 0.5 else image), label


@pytest.mark.parametrize("kind", [_Wrapped, _Augmenting])
def test_a_transform_that_is_not_last_is_an_error(folders: tuple[Path, Path], kind: Any) -> None:
    (error,) = check(kind(ImageFolder(str(folders[0])))).with_severity("error")
    assert error.topic == "transform"
    assert "goes on working on the image" in error.message or "augments inside" in error.message


def test_labels_that_disagree_are_an_error(folders: tuple[Path, Path]) -> None:
    train = ImageFolder(str(folders[0]))
    train.targets = train.targets[::-1]
    assert "real sample 0 has label 0" in str(check(train).with_severity("error"))
    passed = np.roll(np.repeat([0, 1], [14, 7]), 3)
    (error,) = check(ImageFolder(str(folders[0])), labels=passed).with_severity("error")
    assert "labels= contradict" in error.message


def arrays(kind: Any = np.asarray, count: int = 21) -> list[Any]:
    return [kind(picture(seed)) for seed in range(count)]


def test_tensors_and_arrays_are_looked_at() -> None:
    images = torch.stack(arrays(v2.functional.pil_to_tensor))
    images[20], images[5] = images[3], 7
    report = check(TensorDataset(images, torch.tensor([0] * 14 + [1] * 7)))
    assert found(report, "error") == ["duplicates"]
    assert report.with_severity("error")[0].evidence == ("training image 3 = training image 20",)
    assert [(f.topic, f.evidence) for f in report.with_severity("warning")] == [
        ("constant", ("training image 5",)),
    ]


def test_a_smote_dataset_is_looked_at_before_its_transform(folders: tuple[Path, Path]) -> None:
    picture(14).save(folders[0] / "rare" / "copy.png")  # that of rare/0.png
    base = ImageFolder(str(folders[0]), transform=v2.Compose([v2.RandomHorizontalFlip(), v2.PILToTensor()]))
    train_set = SMOTEDataset(base, groups=np.arange(22))
    report = check(train_set, validation_groups=[0] * 8, validation=ImageFolder(str(folders[1])))
    assert report.counts["rare"] == {"training": 8, "validation": 4, "training after SMOTE": 14}
    assert (found(report, "error"), found(report, "warning")) == (["groups"], ["duplicates"])
    report = check(SMOTEDataset(TensorDataset(torch.rand(20, 3, 8, 8), torch.tensor([0] * 12 + [1] * 8))))
    assert found(report, "error") == found(report, "warning") == []


def test_dict_items_of_monai_are_looked_at_and_the_wrapper_is_shown() -> None:
    monai = pytest.importorskip("monai")
    images = arrays()
    images[20] = images[3]
    data = [{"image": image, "label": int(i > 13)} for i, image in enumerate(images)]
    chain = monai.transforms.Compose([monai.transforms.EnsureChannelFirstd("image", channel_dim=-1)])
    report = check(monai.data.Dataset(data, chain))
    assert sorted(found(report, "error")) == ["duplicates", "items", "labels"]
    assert "class Pairs" in str(report)
    assert report.counts["class 1"]["training"] == 7


def test_a_subset_names_its_classes(folders: tuple[Path, Path]) -> None:
    base = ImageFolder(str(folders[0]))
    report = check(Subset(base, range(3, 21)), Subset(base, range(3)))
    assert list(report.counts) == ["common", "rare"]
    assert found(report, "warning") == ["classes"]  # no rare image to validate on


@pytest.mark.parametrize("wrap", [lambda base: base, lambda base: Subset(base, range(len(base)))])
def test_classes_are_counted_by_name_where_validation_lacks_a_folder(tmp_path: Path, wrap: Any) -> None:
    train = write_pictures(tmp_path / "train", {"a": 9, "b": 8, "c": 7})
    validation = write_pictures(tmp_path / "validation", {"b": 4, "c": 2, "new": 1}, first_seed=100)
    report = check(*(wrap(ImageFolder(str(folder))) for folder in (train, validation)))
    counts = {name: (count["training"], count["validation"]) for name, count in report.counts.items()}
    assert counts == {"a": (9, 0), "b": (8, 4), "c": (7, 2), "new": (0, 1)}
    index, untrained, unscored = (finding for finding in report.findings if finding.topic == "classes")
    assert index.evidence == (
        "b: 0 in validation, 1 in training",
        "c: 1 in validation, 2 in training",
        "new: 2 in validation, missing in training",
    )
    assert (untrained.evidence, unscored.evidence) == (("new",), ("a",))


def test_copies_of_the_random_over_sampler_are_not_called_blends(folders: tuple[Path, Path]) -> None:
    picture(14).save(folders[0] / "rare" / "copy.png")  # that of rare/0.png
    picture(50, size=(60, 40)).save(folders[0] / "rare" / "4.png")
    blends, copies = (check_folders(*folders, sampler=sampler) for sampler in (SMOTE(), RandomOverSampler()))
    assert sorted(found(blends, "warning")) == ["duplicates", "size"]
    assert "8 images that are blended" in str(blends)
    assert "beta" in found(blends, "note")
    assert found(copies, "warning") == []
    assert "8 images that are copied" in str(copies)
    assert "beta" not in found(copies, "note")


def test_a_path_and_an_empty_set_are_refused(folders: tuple[Path, Path]) -> None:
    train, validation = folders
    with pytest.raises(TypeError, match=r"training set must be a data set.* Pass ImageFolder\(path\).*clesmote-doctor"):
        check(str(train), str(validation))
    with pytest.raises(TypeError, match="the validation set must be a data set"):
        check(ImageFolder(str(train)), validation)
    with pytest.raises(ValueError, match="the validation set is empty"):
        check(ImageFolder(str(train)), [])


def test_what_is_no_data_set_is_refused() -> None:
    with pytest.raises(TypeError, match="map-style data set"):
        check(iter([]))
