"""Image files for the tests of this folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Handwritten digits 0, 1 and 2, as PNG files in a folder for each."""
    root = tmp_path_factory.mktemp("digits")
    digits = load_digits()
    for label, count in enumerate((5, 3, 4)):
        (root / f"digit {label}").mkdir()
        for i, image in enumerate(digits.images[digits.target == label][:count]):
            Image.fromarray((image * 15.9).astype(np.uint8)).save(root / f"digit {label}" / f"{i}.png")
    return root
