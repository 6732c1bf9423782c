"""Groups read from a file for the images of timm's data sets on disk."""

from pathlib import Path

import numpy as np
import pytest
from timm.data import create_dataset

from clesmote_losses.hosts.strata_file import read_strata


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
    assert read_strata(str(path), images).tolist() == strata


def test_the_last_part_of_a_path_is_enough_where_it_is_unique(images, tmp_path):
    names = [Path(images.filename(i)).name for i in range(len(images))]
    (tmp_path / "strata.csv").write_text("filename,stratum\n" + "".join(f"{name},of {name}\n" for name in names))
    assert read_strata(str(tmp_path / "strata.csv"), images).tolist() == [f"of {name}" for name in names]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,group\na,b\n", "columns filename and stratum.*found file, group"),
        ("filename;stratum\na;b\n", "comma-separated .*found filename;stratum"),
        ("filename,stratum\n", "columns filename and stratum.*found no rows"),
        ("filename,stratum\none/one00.png,a\none/one00.png,b\n", "puts one/one00.png into two strata, 'a' and 'b'"),
        ("filename,stratum\none00.png,a\n", r"no stratum for image 1 \(.*one/one01.png\)"),
    ],
)
def test_a_table_of_strata_that_does_not_fit(text, message, images, tmp_path):
    (tmp_path / "strata.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_strata(str(tmp_path / "strata.csv"), images)


def test_strata_of_python_objects_are_refused_with_a_way_out(images, tmp_path):
    np.save(tmp_path / "strata.npy", np.array(["a", "b"], dtype=object))
    with pytest.raises(ValueError, match=r"array.astype\(str\)"):
        read_strata(str(tmp_path / "strata.npy"), images)
