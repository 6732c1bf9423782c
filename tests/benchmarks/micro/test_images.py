"""Images to measure with."""

import numpy as np
from PIL import Image

from benchmarks.micro.images import ArrayImages, jpeg_folder


def test_images_in_memory_have_the_minority_at_the_end_and_are_views():
    images = ArrayImages(5, 2, 8)
    assert images.labels.tolist() == [0] * 5 + [1] * 2
    image, label = images[6]
    assert (image.shape, image.dtype, label) == ((8, 8, 3), np.uint8, 1)
    assert np.shares_memory(image, images.images)


def test_files_are_smooth_jpeg_images_of_the_size(tmp_path):
    folder = jpeg_folder(tmp_path, 3, 2, size=64)
    assert {path.name: len(list(path.iterdir())) for path in folder.iterdir()} == {"a": 3, "b": 2}
    with Image.open(folder / "b" / "00001.jpg") as image:
        pixels = np.asarray(image).astype(float)
    assert pixels.shape == (64, 64, 3)
    assert np.abs(np.diff(pixels, axis=0)).mean() < 0.5 * pixels.std()  # neighbours differ less than others
