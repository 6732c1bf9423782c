"""Groups read from a file for the images of timm's data sets on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_dataset
from torch.utils.data import Subset, TensorDataset
from torchvision.datasets import ImageFolder

from clesmote_losses.hosts.strata_file import read_groups


@pytest.fixture
def images(data):
    return create_dataset("", root=data, split="train", is_training=True)


@pytest.mark.parametrize("suffix", ["csv", "npy"])
def test_each_image_gets_the_group_of_its_row(suffix, images, tmp_path):
    names = [images.filename(i) for i in range(len(images))]
    strata = [f"{Path(name).parent.name}-{'a' if int(Path(name).stem[-2:]) < 6 else 'b'}" for name in names]
    path = tmp_path / f"strata.{suffix}"
    if suffix == "npy":
        np.save(path, np.array(strata))
    else:
        order = np.random.default_rng(0).permutation(len(names))  # rows are found by name, not by place
        text = "filename,stratum\n" + "".join(f"./{names[i]},{strata[i]}\n" for i in order)
        path.write_text(text, encoding="utf-8-sig")  # as Excel writes it
    assert read_groups(str(path), images).tolist() == strata


def test_the_last_part_of_a_path_is_enough_where_it_is_unique(images, tmp_path):
    names = [Path(images.filename(i)).name for i in range(len(images))]
    (tmp_path / "strata.csv").write_text("filename,stratum\n" + "".join(f"{name},of {name}\n" for name in names))
    assert read_groups(str(tmp_path / "strata.csv"), images).tolist() == [f"of {name}" for name in names]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,group\na,b\n", "columns filename and stratum.*found file, group"),
        ("filename;stratum\na;b\n", "comma-separated .*found filename;stratum"),
        ("filename,stratum\n", "columns filename and stratum.*found no rows"),
        (
            "filename,stratum\none/one00.png,a\none/one00.png,b\n",
            "has two values of stratum for one/one00.png: 'a' and 'b'",
        ),
        (
            "filename,stratum\none/one00.png,a\none/one00.png,\n",
            "has two values of stratum for one/one00.png: 'a' and ''",
        ),
        ("filename,stratum\none00.png,a\n", r"no stratum for image 1 \(.*one/one01.png\)"),
        ("filename,stratum\none00.png,a\none01.png,\n", r"no stratum for image 1 \(.*one/one01.png\)"),
        ("filename,stratum\none00.png,a\none01.png\n", r"no stratum for image 1 \(.*one/one01.png\)"),
        ("filename,stratum\none00.png,a\none01.png,  \n", r"no stratum for image 1 \(.*one/one01.png\)"),
        ("filename,stratum\none00.png,a\none01.png,nan\n", r"no stratum for image 1 \(.*one/one01.png\)"),
        ("filename,stratum\nONE00.png,a\n", r"no stratum for image 0 \(.*one/one00.png\)"),
        ("filename,stratum\none00.png,a,b\n", "row 2 of .* has 3 cells, and 2 are wanted: one00.png,a,b"),
        ("filename,stratum,stratum\none00.png,a,b\n", "columns filename and stratum.*found filename, stratum, stratum"),
    ],
)
def test_a_table_of_strata_that_does_not_fit(text, message, images, tmp_path):
    (tmp_path / "strata.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_groups(str(tmp_path / "strata.csv"), images)


@pytest.mark.parametrize(
    "row", ["{name} , {group}", "{folder}\\{name},{group}", '"{name}","{group}"', "{name},{group}\n,"]
)
def test_spaces_backslashes_quotes_and_empty_rows_change_nothing(row, images, tmp_path):
    paths = [Path(images.filename(i)) for i in range(len(images))]
    groups = [f"{path.parent.name}-{'a' if int(path.stem[-2:]) < 6 else 'b'}" for path in paths]
    rows = [row.format(name=p.name, folder=p.parent.name, group=g) for p, g in zip(paths, groups, strict=True)]
    (tmp_path / "strata.csv").write_text("\n".join([" filename ,stratum", *rows]))
    assert read_groups(str(tmp_path / "strata.csv"), images).tolist() == groups


def test_rows_of_images_that_the_data_set_lacks_need_no_stratum(images, tmp_path):
    names = [Path(images.filename(i)).name for i in range(len(images))]
    (tmp_path / "strata.csv").write_text("filename,stratum\nelsewhere.png,\n" + "".join(f"{n},s\n" for n in names))
    assert read_groups(str(tmp_path / "strata.csv"), images).tolist() == ["s"] * len(names)


@pytest.fixture
def same_names(tmp_path):
    """Two folders with files of the same names, as patients in ``1.png``, ``2.png``."""
    for folder in ("a", "b"):
        (tmp_path / "train" / folder).mkdir(parents=True)
        for i in range(2):
            Image.new("L", (2, 2)).save(tmp_path / "train" / folder / f"{i}.png")
    return ImageFolder(str(tmp_path / "train"))


def test_a_name_that_fits_two_images_is_refused(same_names, tmp_path):
    (tmp_path / "strata.csv").write_text("filename,stratum\n0.png,x\n1.png,y\n")
    with pytest.raises(ValueError, match=r"0.png fits .*a/0.png and .*b/0.png. Write more of the path: b/0.png"):
        read_groups(str(tmp_path / "strata.csv"), same_names)
    twice = Subset(same_names, [0, 1, 0, 1])  # the same image again is no other image
    assert read_groups(str(tmp_path / "strata.csv"), twice).tolist() == ["x", "y", "x", "y"]


def test_the_longest_name_that_fits_an_image_counts(same_names, tmp_path):
    (tmp_path / "strata.csv").write_text("filename,stratum\n0.png,x\nb/0.png,y\na/1.png,z\nb/1.png,w\n")
    assert read_groups(str(tmp_path / "strata.csv"), same_names).tolist() == ["x", "z", "y", "w"]


def test_names_for_a_data_set_without_files_and_arrays_with_gaps_are_refused(images, tmp_path):
    (tmp_path / "strata.csv").write_text("filename,stratum\n,x\n")
    with pytest.raises(ValueError, match=r"image 0 of TensorDataset has no known file. Use .npy"):
        read_groups(str(tmp_path / "strata.csv"), TensorDataset(torch.zeros(3, 1), torch.zeros(3)))
    for gap in (np.array([0.0, np.nan] * (len(images) // 2)), np.array(["a", "nan"] * (len(images) // 2))):
        np.save(tmp_path / "strata.npy", gap)
        with pytest.raises(ValueError, match=r"strata.npy must give every sample a group; sample 1 has"):
            read_groups(str(tmp_path / "strata.npy"), images)
    np.save(tmp_path / "strata.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"strata.npy must have shape \(\d+,\).*got \(3,\)"):
        read_groups(str(tmp_path / "strata.npy"), images)


def test_strata_of_python_objects_are_refused_with_a_way_out(images, tmp_path):
    np.save(tmp_path / "strata.npy", np.array(["a", "b"], dtype=object))
    with pytest.raises(ValueError, match=r"array.astype\(str\)"):
        read_groups(str(tmp_path / "strata.npy"), images)
