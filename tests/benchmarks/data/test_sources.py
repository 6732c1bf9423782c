"""Loaders, on small files of exactly the official formats."""

import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from benchmarks.data.chestxray14 import load_chestxray14_test
from benchmarks.data.chexpert import STRATA, load_chexpert
from benchmarks.data.cifar10 import load_cifar10
from benchmarks.data.digits import load_digit_images
from benchmarks.data.image_folder import kermany_patient, load_image_folder
from benchmarks.data.medmnist import load_medmnist
from tests.support.benchmark_images import pictures, write_folder
from tests.support.official_formats import FINDINGS, write_chexpert, write_medmnist, write_table, xray

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


def write_cifar10(folder):
    """``cifar-10-batches-py`` as torchvision unpacks it, of 20 images a batch; the checksums are those of these files."""
    from torchvision.datasets import CIFAR10

    folder.mkdir()
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    images = {}
    for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list):
        labels = [i % 10 for i in range(20)]
        data = pictures(labels, 32, seed=len(images))
        images[name] = data
        rows = data.transpose(0, 3, 1, 2).reshape(20, -1)
        (folder / name).write_bytes(pickle.dumps({"data": rows, "labels": labels}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    return images


def test_cifar10_of_torchvision_and_of_files_is_the_same(tmp_path, monkeypatch):
    images = write_cifar10(tmp_path / "cifar-10-batches-py")
    monkeypatch.setattr("torchvision.datasets.CIFAR10._check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *given: True)
    source = load_cifar10(tmp_path, ("airplane", "cat"))
    assert source.available == {"airplane": 10, "cat": 10}
    assert np.array_equal(source.images[0], images["data_batch_1"][0])
    assert np.array_equal(source.images[10], images["data_batch_1"][3])
    assert source.tests["test"].members.tolist() == [[True, False]] * 2 + [[False, True]] * 2
    assert load_cifar10(tmp_path, ("cat", "dog"), image_size=16).images.shape == (20, 16, 16, 3)
    with pytest.raises(ValueError, match="CIFAR-10 has no class 'tiger'"):
        load_cifar10(tmp_path, ("cat", "tiger"))
    with pytest.raises(ValueError, match="holds neither cifar-10-batches-py/"):
        load_cifar10(tmp_path / "nowhere", ("cat", "dog"))
    files = load_cifar10(write_folder(tmp_path / "files", {"cat": 5, "dog": 4}), ("dog", "cat"))
    assert files.available == {"dog": 4, "cat": 5}


def test_a_patient_with_test_images_is_not_trained_on(tmp_path):
    for i, name in enumerate(["train/sick/person1_virus_1", "train/sick/person2_virus_2", "train/sick/person1_bacteria_9",
                              "test/sick/person1_virus_7", "train/well/IM-0001-0001", "val/well/NORMAL2-IM-0001-0001",
                              "test/well/IM-0002-0001"]):  # fmt: skip
        xray(tmp_path / f"{name}.jpeg", i)
    source = load_image_folder(tmp_path, ["well", "sick"], mode="L", parts=("train", "val"), patient_of=kermany_patient)
    assert source.available == {"well": 2, "sick": 1}
    assert source.patient.tolist() == ["IM-0001", "NORMAL2-IM-0001", "person2"]
    assert list(source.flow.values()) == [5, 3]
    assert source.images.shape == (3, 32, 32, 1)


def test_a_medmnist_file_of_one_label_an_image(tmp_path):
    file = write_medmnist(
        tmp_path / "bloodmnist.npz", {"train": [[0], [2], [1]], "val": [[2]], "test": [[1], [0]]}, (28, 28, 3)
    )
    source = load_medmnist(file)
    assert source.name == "bloodmnist"
    assert source.strata == ("0", "1", "2")
    assert source.stratum.tolist() == [0, 2, 1, 2]
    assert source.images.shape == (4, 28, 28, 3)
    assert source.images[:, 0, 0, 0].tolist() == [0, 1, 2, 0]
    assert source.tests["test"].members.tolist() == [[False, True, False], [True, False, False]]
    assert load_medmnist(file, image_size=20).images.shape == (4, 20, 20, 3)


def one_hot(*columns):
    return [int(i in columns) for i in range(14)]


def test_chestmnist_is_selected_as_the_paper_does(tmp_path):
    effusion, mass, nodule, pneumonia, pneumothorax, infiltration = 2, 4, 5, 6, 7, 3
    train = [
        one_hot(),
        one_hot(mass, nodule),
        one_hot(effusion),
        one_hot(pneumonia, pneumothorax),
        one_hot(infiltration),
    ]
    test = [one_hot(), one_hot(effusion), one_hot(mass, pneumothorax)]
    source = load_medmnist(
        write_medmnist(tmp_path / "chestmnist.npz", {"train": train, "val": [one_hot(1)], "test": test})
    )
    assert [source.strata[i] for i in source.stratum] == [
        "normal",
        "lung lesion",
        "lung opacity",
        "enlarged cardiac silhouette",
    ]
    assert source.images[:, 0, 0, 0].tolist() == [0, 1, 4, 0]
    assert list(source.flow.values()) == [6, 4]
    found = source.tests["test"]
    assert found.is_abnormal.tolist() == [False, True, True]
    assert [[source.strata[i] for i in row.nonzero()[0]] for row in found.members] == [
        ["normal"],
        [],
        ["lung lesion", "pneumothorax"],
    ]


@pytest.mark.parametrize(
    ("labels", "shape", "message"),
    [
        ([[0], [1]], (28, 28, 28), "wanted uint8, 2-D"),
        ([[0, 1], [1, 0]], (28, 28), "has 2 labels an image"),
        ([0, 1], (28, 28), r"labels of shape \(2,\)"),
    ],
)
def test_other_medmnist_files_are_refused(labels, shape, message, tmp_path):
    file = write_medmnist(tmp_path / "x.npz", {"train": labels, "val": labels, "test": labels}, shape)
    with pytest.raises(ValueError, match=message):
        load_medmnist(file)
    (tmp_path / "y.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="cannot be read as a MedMNIST file"):
        load_medmnist(tmp_path / "y.npz")


def test_images_of_a_folder_come_at_one_size_under_their_own_class(tmp_path):
    for part in ("train", "test"):
        for name, grey in (("dark", 60), ("bright", 190)):
            for i in range(3):
                path = tmp_path / part / name / f"{i}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((20 + i, 30, 3), grey, dtype=np.uint8)).save(path)
    source = load_image_folder(tmp_path, ["bright", "dark"], image_size=16)
    assert source.images.shape == (6, 16, 16, 3)
    assert source.images[source.stratum == 0].min() > 150 > 100 > source.images[source.stratum == 1].max()
    assert load_image_folder(tmp_path).strata == ("bright", "dark")
    with pytest.raises(ValueError, match="no class 'brihgt' among the training images; there are bright, dark"):
        load_image_folder(tmp_path, ["brihgt"])
    (tmp_path / "train" / "dark" / "1.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"1\.jpg cannot be read as an image"):
        load_image_folder(tmp_path)
    deep = tmp_path / "train" / "bright" / "deep.png"
    Image.fromarray(np.full((20, 20), 4000, dtype=np.uint16)).save(deep)
    with pytest.raises(ValueError, match=r"deep\.png cannot be read as an image: it has more than 8 bits a value"):
        load_image_folder(tmp_path)
    (tmp_path / "train" / "empty").mkdir()
    (tmp_path / "test" / "empty").mkdir()
    shutil.copy(tmp_path / "test" / "dark" / "1.jpg", tmp_path / "test" / "empty")
    with pytest.raises(ValueError, match=r"class 'empty' has no training image in .*train/empty"):
        load_image_folder(tmp_path)
    (tmp_path / "train" / "empty").rename(tmp_path / "train" / "emtpy")
    with pytest.raises(ValueError, match=r"class 'empty' is in test/ and not in train/, which has bright, dark, emtpy"):
        load_image_folder(tmp_path)
    shutil.rmtree(tmp_path / "train" / "emtpy")
    shutil.rmtree(tmp_path / "test" / "empty")
    shutil.rmtree(tmp_path / "test" / "bright")
    with pytest.raises(ValueError, match=r"class 'bright' is in train/ but there is no image in .*bright"):
        load_image_folder(tmp_path)
    shutil.rmtree(tmp_path / "test")
    with pytest.raises(ValueError, match="has no folder test/"):
        load_image_folder(tmp_path)


def test_digits_are_real_images_that_come_with_scikit_learn():
    source = load_digit_images(["3", "8"])
    assert source.images.shape[1:] == (32, 32, 3)
    assert 85 < min(source.available.values()) < 100
    train, test = ({image.tobytes() for image in images} for images in (source.images, source.tests["test"].images))
    assert not train & test
    with pytest.raises(ValueError, match="no class 'eight' among the training images; there are 0, 1, 2"):
        load_digit_images(["3", "eight"])
