"""A user's folder of images as it is: a folder for each class, without a test set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch.utils.data import Dataset

from benchmarks.data.image_files import class_folders, image_files, read_images
from benchmarks.data.source import Source
from clesmote_losses.hosts.strata_file import read_groups


@dataclass(frozen=True)
class _Files(Dataset[Path]):
    """Files as a data set that knows their paths, which :func:`read_groups` asks for."""

    samples: list[Path]

    def __len__(self) -> int:
        return len(self.samples)


def images_folder(folder: Path) -> Path:
    """Return the folder that holds the class folders: ``train`` where there is one with class folders, else ``folder``."""
    train = folder / "train"
    return train if train.is_dir() and class_folders(train) else folder


def load_own_images(folder: Path, *, image_size: int, groups: Path | None = None) -> Source:
    """Read all images of a folder of class folders; there are no test images yet.

    Args:
        folder: Folder with ``CLASS/*``.
        image_size: Height and width in pixels.
        groups: CSV with the columns ``filename`` and ``group``, or ``.npy``; images of a group are on one side of any split.
            Images with the same pixels are too, with or without it.

    Returns:
        The images as RGB. ``flow`` has the number of ``copies`` of an image before, and of ``groups`` in the file. The classes
        go from the most frequent to the rarest, so that of two classes the rare one is class 1, whose AUPRC counts.

    Raises:
        ValueError: If there are not two classes with images, an image cannot be read, or the groups do not fit.
    """
    if not folder.is_dir():
        raise ValueError(
            f"--data-dir {folder} is no folder. Wanted: {folder / 'CLASS'}/*.jpg, a folder for each class."
        )
    names = class_folders(folder)
    found = {name: image_files(folder / name) for name in names}
    if not any(found.values()):
        loose = " Its images lie in no class folder." if names == [] and image_files(folder) else ""
        raise ValueError(f"no images in {folder}.{loose} Wanted: {folder / 'CLASS'}/*.jpg, a folder for each class.")
    for name, files in found.items():
        if not files:
            raise ValueError(f"class {name!r} has no image in {folder / name}/. Add some, or remove the folder.")
    if len(names) < 2:
        raise ValueError(f"{folder} has one class only, {names[0]!r}. Two or more are needed to tell apart.")
    names.sort(key=lambda name: -len(found[name]))
    files = [file for name in names for file in found[name]]
    images = read_images(files, image_size)
    _, content = np.unique(images.reshape(len(images), -1), axis=0, return_inverse=True)
    copies = len(images) - int(content.max()) - 1
    patient: NDArray[Any] | None = None if groups is None else read_groups(str(groups), _Files(files), "group")
    named = 0 if patient is None else len(np.unique(patient))
    if copies:
        patient = content if patient is None else _joined(patient, content)
    return Source(
        name=folder.resolve().name if folder.name != "train" else folder.resolve().parent.name,
        strata=tuple(names),
        images=images,
        stratum=np.repeat(np.arange(len(names)), [len(found[name]) for name in names]),
        tests={},
        patient=patient,
        flow={"copies": copies, "groups": named},
    )


def describe_groups(source: Source) -> list[str]:
    """Say which images a split keeps together, and what it cannot know."""
    facts = []
    if copies := source.flow.get("copies"):
        facts.append(
            f"{copies} images have the same pixels as another one; such images are on one side of every split."
        )
    if not source.flow.get("groups"):
        facts.append(
            "No --groups: two images of one patient may be in training and test, and then all scores are too high. Leave it out "
            "only where each patient has one image."
        )
    else:
        facts.append(f"{source.flow['groups']} groups; a group is on one side of every split.")
    return facts


def _joined(groups: NDArray[Any], content: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return groups in which images are together that share a group or their pixels, also through others."""
    group = np.unique(groups, return_inverse=True)[1]
    links = coo_array((np.ones(len(group)), (group, group.max() + 1 + content)), shape=(len(group) * 2,) * 2)
    parts: NDArray[np.int64] = connected_components(links, directed=False)[1][group].astype(np.int64)
    return parts
