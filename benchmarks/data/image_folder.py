"""Any images in ``train/CLASS/*`` and ``test/CLASS/*``."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.data.image_files import Mode, class_folders, image_files, read_images
from benchmarks.data.source import Source, TestImages


def load_image_folder(
    folder: Path,
    classes: Sequence[str] | None = None,
    *,
    image_size: int = 32,
    mode: Mode = "RGB",
    parts: Sequence[str] = ("train",),
    patient_of: Callable[[Path], str] | None = None,
) -> Source:
    """Read the images of a folder, resize them and hold them in memory.

    Args:
        folder: Folder with ``train`` and ``test``.
        classes: Classes that take part; by default all.
        image_size: Height and width in pixels.
        mode: ``"RGB"``, or ``"L"`` for grey.
        parts: Folders beside ``test`` whose images may be trained on.
        patient_of: Returns the patient of a file. Images of patients who have test images are not trained on.

    Raises:
        ValueError: If a folder is missing, a class has no image, or an image cannot be read.
    """
    for part in (*parts, "test"):
        if not (folder / part).is_dir():
            raise ValueError(f"{folder} has no folder {part}/. Wanted: {folder / part}/CLASS/*.jpg.")
    known = class_folders(folder / parts[0])
    if classes is None and (unknown := sorted(set(class_folders(folder / "test")) - set(known))):
        raise ValueError(
            f"class {unknown[0]!r} is in test/ and not in {' or '.join(f'{part}/' for part in parts)}, which has {', '.join(known)}. "
            "Is one of the names misspelt?"
        )
    classes = known if classes is None else list(classes)
    for name in classes:
        if name not in known:
            raise ValueError(f"no class {name!r} among the training images; there are {', '.join(known) or 'none'}.")
    trained = [[file for part in parts for file in image_files(folder / part / name)] for name in classes]
    tested = [image_files(folder / "test" / name) for name in classes]
    flow: dict[str, int] = {}
    if patient_of is not None:
        flow["training images"] = sum(map(len, trained))
        tested_patients = {patient_of(file) for found in tested for file in found}
        trained = [[file for file in found if patient_of(file) not in tested_patients] for found in trained]
        flow["of patients without test images"] = sum(map(len, trained))
    for name, found in zip(classes, tested, strict=True):
        if not found:
            raise ValueError(
                f"class {name!r} is in train/ but there is no image in {folder / 'test' / name}/: nothing to test it on. Add test "
                "images, or remove the class."
            )
    for name, found in zip(classes, trained, strict=True):
        if not found:
            raise ValueError(
                f"class {name!r} has no training image in {folder / parts[0] / name}/. Add some, or remove the class."
            )
    files = [file for found in trained for file in found]
    test_files = [file for found in tested for file in found]
    members = np.repeat(np.eye(len(classes), dtype=bool), [len(found) for found in tested], axis=0)
    return Source(
        name=folder.resolve().name,
        strata=tuple(classes),
        images=read_images(files, image_size, mode=mode, title="training"),
        stratum=np.repeat(np.arange(len(classes)), [len(found) for found in trained]),
        tests={"test": TestImages(read_images(test_files, image_size, mode=mode, title="test"), members)},
        patient=None if patient_of is None else np.array([patient_of(file) for file in files]),
        flow=flow,
    )


def kermany_patient(file: Path) -> str:
    """Return the patient of an X-ray of Kermany et al. 2018: that of ``person12_virus_30`` is person 12.

    The name of a normal image has the study: ``IM-0115-0001``, and another one ``NORMAL2-IM-0115-0001``.
    """
    if found := re.search(r"person\d+", file.name):
        return found.group()
    if found := re.search(r"(NORMAL2-)?IM-\d+", file.name):
        return found.group()
    return file.stem
