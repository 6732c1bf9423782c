"""Image files read into one array."""

import os

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from benchmarks.data.image_files import class_folders, image_files, read_images, resize_image


def test_only_image_files_and_visible_folders_are_found_in_order(tmp_path):
    for name in ("b.PNG", "a.jpeg", "notes.txt"):
        (tmp_path / name).touch()
    for name in ("two", "one", ".hidden"):
        (tmp_path / name).mkdir()
    assert [file.name for file in image_files(tmp_path)] == ["a.jpeg", "b.PNG"]
    assert class_folders(tmp_path) == ["one", "two"]
    assert image_files(tmp_path / "nowhere") == []


def test_the_files_are_those_that_torchvision_reads_without_hidden_ones_and_broken_links(tmp_path):
    names = ("b.PNG", "a.jpeg", "patient/b.png", "patient/eye/left.webp", "Thumbs.db", "a.png.txt", "desktop.ini")
    hidden = (".DS_Store", "._a.jpeg", ".ipynb_checkpoints/a.png", "patient/._b.png")
    for name in (*names, *hidden):
        (tmp_path / "class" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "class" / name).touch()
    (tmp_path / "class" / "linked.png").symlink_to(tmp_path / "class" / "b.PNG")
    (tmp_path / "class" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "class" / "folder.png").mkdir()
    found = {str(file) for file in image_files(tmp_path / "class")}
    assert {os.path.relpath(file, tmp_path / "class") for file in found} == {
        "a.jpeg", "b.PNG", "linked.png", "patient/b.png", "patient/eye/left.webp"
    }  # fmt: skip
    others = {path for path, _ in ImageFolder(tmp_path).samples} - found
    assert {os.path.basename(path) for path in others} == {"._a.jpeg", "a.png", "._b.png", "gone.png"}


def test_an_image_keeps_its_pixels_at_its_own_size_and_is_squashed_to_another():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(resize_image(Image.fromarray(pixels), 8), pixels)
    left_dark = np.zeros((6, 20), dtype=np.uint8)
    left_dark[:, 10:] = 200
    small = resize_image(Image.fromarray(left_dark), 4, "L")
    assert small.shape == (4, 4, 1)
    assert small[:, 0].max() < 20
    assert small[:, -1].min() > 180


def test_images_of_any_mode_come_in_the_mode_that_is_asked_for(tmp_path):
    grey = np.full((5, 5), 77, dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(np.dstack([grey, grey, grey, grey])).save(tmp_path / "alpha.png")
    images = read_images(image_files(tmp_path), 5)
    assert images.shape == (3, 5, 5, 3)
    assert (images == 77).all()
    assert read_images(image_files(tmp_path), 5, mode="L").shape == (3, 5, 5, 1)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_values_of_more_than_8_bits_are_refused(dtype, tmp_path):
    image = Image.fromarray(np.full((5, 5), 4000, dtype=dtype))
    with pytest.raises(ValueError, match=r"more than 8 bits a value \(mode"):
        resize_image(image, 5)


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image"):
        read_images(image_files(tmp_path), 5)
