"""Image files read into one array."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.data.image_files import class_folders, image_files, read_images, resize_image


def test_only_image_files_and_visible_folders_are_found_in_order(tmp_path):
    for name in ("b.PNG", "a.jpeg", "notes.txt"):
        (tmp_path / name).touch()
    for name in ("two", "one", ".hidden"):
        (tmp_path / name).mkdir()
    assert [file.name for file in image_files(tmp_path)] == ["a.jpeg", "b.PNG"]
    assert class_folders(tmp_path) == ["one", "two"]
    assert image_files(tmp_path / "nowhere") == []


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
