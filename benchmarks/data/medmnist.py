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
    if labels.shape[1] == 1:
        names = tuple(str(label) for label in range(int(max(part[1].max() for part in parts.values())) + 1))
        strata = {name: part[1][:, 0].astype(np.int64) for name, part in parts.items()}
        test = TestImages(_resize(parts["test"][0], image_size), strata["test"][:, None] == np.arange(len(names)))
        chosen = {name: np.arange(len(strata[name])) for name in ("train", "val")}
    elif labels.shape[1] == len(_CHEST):
        names = _CHEST_STRATA
        strata = {name: _chest_stratum(part[1]) for name, part in parts.items()}
        chosen = {name: np.flatnonzero(strata[name] >= 0) for name in ("train", "val")}
        flow["images"] = len(strata["train"]) + len(strata["val"])
        flow["normal, or with one sub-condition that is kept"] = sum(map(len, chosen.values()))
        found = parts["test"][1].astype(bool)
        members = np.stack(
            [~found.any(1), *(found[:, [i for i, s in enumerate(_CHEST) if s == name]].any(1) for name in names[1:])], 1
        )
        test = TestImages(_resize(parts["test"][0], image_size), members, found.any(1))
    else:
        raise ValueError(f"{file} has {labels.shape[1]} labels an image; wanted 1, or the 14 of ChestMNIST.")
    return Source(
        name=file.stem,
        strata=names,
        images=np.concatenate([_resize(parts[name][0][chosen[name]], image_size) for name in chosen]),
        stratum=np.concatenate([strata[name][chosen[name]] for name in chosen]),
        tests={"test": test},
        # each patient of ChestMNIST is in one official part only; the file does not name patients
        held_out=np.repeat([False, True], [len(chosen["train"]), len(chosen["val"])]),
        flow=flow,
    )


def _chest_stratum(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the stratum of each image; -1 for several sub-conditions, or one that is dropped."""
    stratum = np.full(len(labels), -1)
    stratum[~labels.any(1)] = 0
    for i, row in enumerate(labels.astype(bool)):
        found = {_CHEST[column] for column in np.flatnonzero(row)}
        if len(found) == 1 and "" not in found:
            stratum[i] = _CHEST_STRATA.index(found.pop())
    return stratum


def _resize(images: NDArray[np.uint8], image_size: int | None) -> NDArray[np.uint8]:
    """Return the images with shape ``(N, size, size, C)``."""
    if image_size is not None and images.shape[1] != image_size:
        mode: Mode = "L" if images.ndim == 3 else "RGB"
        return np.stack([resize_image(Image.fromarray(image), image_size, mode) for image in images])
    return images if images.ndim == 4 else images[..., None]
