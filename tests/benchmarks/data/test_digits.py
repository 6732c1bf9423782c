"""The digits of scikit-learn."""

import pytest

from benchmarks.data.digits import load_digit_images


def test_digits_are_real_images_that_come_with_scikit_learn():
    source = load_digit_images(["3", "8"])
    assert source.images.shape[1:] == (32, 32, 3)
    assert 85 < min(source.available.values()) < 100
    train, test = ({image.tobytes() for image in images} for images in (source.images, source.tests["test"].images))
    assert not train & test
    with pytest.raises(ValueError, match="no class 'eight' among the training images; there are 0, 1, 2"):
        load_digit_images(["3", "eight"])
