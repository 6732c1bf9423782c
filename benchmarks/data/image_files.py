"""Image files read into one array."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS
from tqdm import tqdm

Mode = Literal["RGB", "L"]


def image_files(folder: Path) -> list[Path]:
    """Return the image files of a folder and its subfolders, sorted; none if there is no such folder.

    They are those that torchvision's ``ImageFolder`` reads, without hidden ones (``._a.jpg`` of macOS is no image) and links
    to nowhere.
    """
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in IMG_EXTENSIONS
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    )


def class_folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted; hidden ones are left out."""
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def read_images(files: Sequence[Path], image_size: int, *, mode: Mode = "RGB", title: str = "") -> NDArray[np.uint8]:
    """Read images and resize them, squashed where they are not square.

    Args:
        files: At least one.
        image_size: Height and width in pixels.
        mode: ``"RGB"``, or ``"L"`` for grey.
        title: Names the images in the progress bar.

    Returns:
        uint8, shape ``(N, H, W, C)``, ``C`` 3 or 1.

    Raises:
        ValueError: If a file cannot be read as an image.
    """
    images = np.empty((len(files), image_size, image_size, len(mode)), dtype=np.uint8)
    # disable=None: no bar in a log file
    for row, file in zip(
        images, tqdm(files, desc=f"Reading {title} images", delay=2, leave=False, disable=None), strict=True
    ):
        try:
            with Image.open(file) as image:
                row[:] = resize_image(image, image_size, mode)
        except (OSError, ValueError) as error:
            raise ValueError(f"{file} cannot be read as an image: {error}. Repair or remove it.") from error
    return images


def resize_image(image: Image.Image, size: int, mode: Mode = "RGB") -> NDArray[np.uint8]:
    """Return an image as an array of shape ``(size, size, C)``.

    Raises:
        ValueError: If its values have more than eight bits, which Pillow would clip to white.
    """
    if image.mode.startswith("I") or image.mode == "F":
        raise ValueError(f"it has more than 8 bits a value (mode {image.mode!r}); convert it to 8 bits first")
    image = image.convert(mode)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(size, size, len(mode))
