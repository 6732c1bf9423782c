"""Image files for the tests of several modules."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.support.smote_data import COUNTS
from tests.support.timm_runs import image_folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Handwritten digits 0, 1 and 2 as PNG and JPEG files, a folder for each."""
    root, data = tmp_path_factory.mktemp("digits"), load_digits()
    for label, count in COUNTS.items():
        (root / str(label)).mkdir()
        for i, image in enumerate(data.images[data.target == label][:count]):
            name = f"{i:02}.{'png' if i % 2 else 'jpg'}"
            Image.fromarray((image * 15.9).astype(np.uint8)).resize((16, 16)).save(root / str(label) / name)
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `train` and `validation` of three imbalanced classes."""
    return image_folder(tmp_path_factory.mktemp("data"))
