import numpy as np
import pytest

from benchmarks.compare.folder import describe_groups, images_folder, load_own_images
from tests.support.benchmark_images import write_folder


@pytest.fixture
def folder(tmp_path):
    """A folder with more images of the class that comes second by name."""
    return write_folder(tmp_path, {"cough": 3, "well": 7}, parts=("train",))


def test_the_rarest_class_comes_last(folder):
    source = load_own_images(folder / "train", image_size=16)
    assert source.available == {"well": 7, "cough": 3}
    assert source.images.shape == (10, 16, 16, 3)
    assert source.name == folder.name  # not "train"


def test_of_a_folder_with_train_that_alone_is_used(folder):
    assert images_folder(folder) == folder / "train"
    assert images_folder(folder / "train") == folder / "train"


def test_groups_are_those_of_the_files(folder):
    table = folder / "groups.csv"
    rows = [f"{path.parent.name}/{path.name},p{int(path.stem) // 2}" for path in folder.rglob("*.png")]
    table.write_text("\n".join(["filename,group", *rows]))
    source = load_own_images(folder / "train", image_size=16, groups=table)
    assert source.patient.tolist() == ["p0", "p0", "p1", "p1", "p2", "p2", "p3", "p0", "p0", "p1"]


def test_images_with_the_same_pixels_are_in_one_group_with_and_without_a_file(folder):
    first, second = sorted((folder / "train" / "well").glob("*.png"))[:2]
    (folder / "train" / "cough" / "copy.png").write_bytes(first.read_bytes())
    alone = load_own_images(folder / "train", image_size=16)
    assert alone.flow == {"copies": 1, "groups": 0}
    well, cough = alone.patient[:7], alone.patient[7:]
    assert len(set(alone.patient)) == 10
    assert np.isin(cough, well).sum() == 1
    assert "No --groups" in describe_groups(alone)[1]
    table = folder / "groups.csv"
    names = [f"{path.parent.name}/{path.name}" for path in sorted(folder.rglob("*.png"))]
    rows = [f"{name},{'p' if name == f'well/{second.name}' or 'cough/000' in name else name}" for name in names]
    table.write_text("\n".join(["filename,group", *rows, ""]))
    both = load_own_images(folder / "train", image_size=16, groups=table)
    assert (
        both.patient[1] == both.patient[7] == both.patient[8] == both.patient[9]
    )  # well/0001 and the cough of patient p
    assert both.patient[0] == both.patient[10]
    assert len(set(both.patient)) == 7
    assert describe_groups(both)[1].startswith("8 groups")


def test_a_group_file_that_leaves_an_image_out_is_refused(folder):
    table = folder / "groups.csv"
    table.write_text("filename,group\nwell/0000.png,p1\n")
    with pytest.raises(ValueError, match=r"has no group for image 1 \(.*0001.png\)"):
        load_own_images(folder / "train", image_size=16, groups=table)


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is no folder\. Wanted: .*CLASS"):
        load_own_images(tmp_path / "nothing", image_size=16)


def test_images_in_no_class_folder_are_refused(folder):
    with pytest.raises(ValueError, match=r"no images in .* Its images lie in no class folder"):
        load_own_images(folder / "train" / "well", image_size=16)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="no images in"):
        load_own_images(tmp_path, image_size=16)


def test_a_class_without_images_is_refused(folder):
    (folder / "train" / "empty").mkdir()
    with pytest.raises(ValueError, match="class 'empty' has no image"):
        load_own_images(folder / "train", image_size=16)


def test_one_class_is_refused(tmp_path):
    write_folder(tmp_path, {"well": 5}, parts=("train",))
    with pytest.raises(ValueError, match="one class only, 'well'"):
        load_own_images(tmp_path / "train", image_size=16)


def test_an_unreadable_file_is_named(folder):
    (folder / "train" / "well" / "0003.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"0003.png cannot be read as an image"):
        load_own_images(folder / "train", image_size=16)
