"""Official MedMNIST files (Yang et al. 2023): 2-D, one label an image; and ChestMNIST with its 14 labels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.data.image_files import Mode, resize_image
from benchmarks.data.source import Source, TestImages

NORMAL = "normal"
# ChestMNIST's labels in the order of its columns, merged and dropped as the paper's section 3.1 does with CheXpert's
_CHEST = (
    "lung opacity",  # atelectasis
    "enlarged cardiac silhouette",  # cardiomegaly
    "",  # effusion
    "lung opacity",  # infiltration
    "lung lesion",  # mass
    "lung lesion",  # nodule
    "lung opacity",  # pneumonia
    "pneumothorax",
    "lung opacity",  # consolidation
    "",  # edema
    "",  # emphysema
    "",  # fibrosis
    "",  # pleural thickening
    "",  # hernia
)
_CHEST_STRATA = (NORMAL, *dict.fromkeys(stratum for stratum in _CHEST if stratum))
_IS_DROPPED = [not stratum for stratum in _CHEST]


def load_medmnist(file: Path, *, image_size: int | None = None) -> Source:
    """Read a MedMNIST file, with its official validation split.

    Args:
        file: ``pathmnist.npz``, ``chestmnist_64.npz``, ...
        image_size: Height and width in pixels; by default the file's.

    Returns:
        The data. Strata are the labels ("0", "1", ...); of ChestMNIST "normal" and the sub-conditions of images with one.

    Raises:
        ValueError: If it is no such file, or holds 3-D images.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            parts = {name: (archive[f"{name}_images"], archive[f"{name}_labels"]) for name in ("train", "val", "test")}
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{file} cannot be read as a MedMNIST file: {error}.") from error
    images, labels = parts["train"]
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        raise ValueError(
            f"{file} holds {images.dtype} images of shape {images.shape[1:]}; wanted uint8, 2-D, grey or RGB."
        )
    if labels.ndim != 2:
        raise ValueError(f"{file} holds labels of shape {labels.shape}; wanted one row for each image.")
    flow: dict[str, int] = {}
    is_abnormal = None
    if labels.shape[1] == 1:
        names = tuple(str(label) for label in range(int(max(part.max() for _, part in parts.values())) + 1))
        members = {name: part == np.arange(len(names)) for name, (_, part) in parts.items()}
        chosen = {name: np.arange(len(members[name])) for name in ("train", "val")}
    elif labels.shape[1] == len(_CHEST):
        names, is_abnormal = _CHEST_STRATA, parts["test"][1].any(1)
        members = {name: _chest_members(part) for name, (_, part) in parts.items()}
        # normal, or of one sub-condition and no condition that is dropped
        chosen = {
            name: np.flatnonzero((members[name].sum(1) == 1) & ~parts[name][1][:, _IS_DROPPED].any(1))
            for name in ("train", "val")
        }
        flow["images"] = len(members["train"]) + len(members["val"])
        flow["normal, or with one sub-condition that is kept"] = sum(map(len, chosen.values()))
    else:
        raise ValueError(f"{file} has {labels.shape[1]} labels an image; wanted 1, or the 14 of ChestMNIST.")
    return Source(
        name=file.stem,
        strata=names,
        images=np.concatenate([_resize(parts[name][0][chosen[name]], image_size) for name in chosen]),
        stratum=np.concatenate([members[name][chosen[name]].argmax(1) for name in chosen]),
        tests={"test": TestImages(_resize(parts["test"][0], image_size), members["test"], is_abnormal)},
        # each patient of ChestMNIST is in one official part only; the file does not name patients
        held_out=np.repeat([False, True], [len(chosen["train"]), len(chosen["val"])]),
        flow=flow,
    )


def _chest_members(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return whether each image is normal, and whether it has each sub-condition."""
    columns = [labels[:, [stratum == name for stratum in _CHEST]] for name in _CHEST_STRATA[1:]]
    return np.stack([~labels.any(1), *(found.any(1) for found in columns)], 1)


def _resize(images: NDArray[np.uint8], image_size: int | None) -> NDArray[np.uint8]:
    """Return the images with shape ``(N, size, size, C)``."""
    if image_size is not None and images.shape[1] != image_size:
        mode: Mode = "L" if images.ndim == 3 else "RGB"
        return np.stack([resize_image(Image.fromarray(image), image_size, mode) for image in images])
    return images if images.ndim == 4 else images[..., None]
