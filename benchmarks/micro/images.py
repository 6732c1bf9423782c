"""Images to measure with: made, not loaded, so that the rows run anywhere."""

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.data.source import Images
from clesmote_losses.smote.transform_probe import Transform


class ArrayImages(Images):
    """uint8 images in memory, of which ``minority`` of class 1 stand at the end.

    Args:
        majority: Images of class 0.
        minority: Images of class 1.
        size: Height and width.
        transform: Applied to an image when it is asked for.
    """

    def __init__(self, majority: int, minority: int, size: int, transform: Transform | None = None) -> None:
        labels = np.repeat([0, 1], [majority, minority])
        images = np.random.default_rng(0).integers(0, 256, (len(labels), size, size, 3), dtype=np.uint8)
        super().__init__(images, labels, transform)


def jpeg_folder(folder: Path, majority: int, minority: int, size: int = 224) -> Path:
    """Write folders ``a`` and ``b`` of JPEG files as smooth as photographs, and return ``folder``."""
    rng = np.random.default_rng(0)
    for name, count in (("a", majority), ("b", minority)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8))
            coarse.resize((size, size), Image.Resampling.BICUBIC).save(folder / name / f"{i:05}.jpg", quality=90)
    return folder
