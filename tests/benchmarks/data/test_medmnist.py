"""Files of MedMNIST, small and of exactly the official format."""

import pytest

from benchmarks.data.medmnist import load_medmnist
from tests.support.official_formats import write_medmnist


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
