"""A folder of class folders, as torchvision's ``ImageFolder`` and timm read it, and what they would not read or misread."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from clesmote_losses.doctor.findings import Finding, counted

TRAIN_NAMES = ("train", "training")
VALIDATION_NAMES = ("validation", "val", "valid", "eval", "test")  # as timm and torchvision users name it


def find_parts(data: Path, validation: Path | None = None) -> tuple[Path, Path | None]:
    """Return the folders of class folders to train on and to validate on; ``None`` where there is no validation.

    Args:
        data: Folder of class folders, or one that holds ``train`` and perhaps ``validation``.
        validation: Folder of class folders that is named beside it.

    Raises:
        ValueError: If a folder is missing or holds no folders.
    """
    for folder in (data, validation):
        if folder is not None and not folder.is_dir():
            raise ValueError(f"{folder} is no folder. Wanted: {folder / 'CLASS'}/*.jpg, a folder for each class.")
    train = _named(data, TRAIN_NAMES)
    if train is not None and validation is None:
        validation = _named(data, VALIDATION_NAMES)
    train = train or data
    for folder in (train, validation):
        if folder is not None and not any(child.is_dir() for child in folder.iterdir()):
            raise ValueError(
                f"{folder} holds no class folders. Wanted: {folder / 'CLASS'}/*.jpg, a folder for each class."
            )
    return train, validation


def _named(folder: Path, names: tuple[str, ...]) -> Path | None:
    """Return the child folder with the first of the names; upper case counts as lower case."""
    children = {child.name.lower(): child for child in sorted(folder.iterdir()) if child.is_dir()}
    return next((children[name] for name in names if name in children), None)


def open_folder(root: Path) -> tuple[Any, list[Finding]]:
    """Return the data set of a folder of class folders, without hidden files, and findings about its files.

    Raises:
        ValueError: If it holds no image.
    """
    dataset = ImageFolder(str(root), allow_empty=True, is_valid_file=lambda path: _is_image(Path(path), root))
    if not dataset.samples:
        raise ValueError(f"no images in {root}. Wanted: {root / 'CLASS'}/*.jpg ({', '.join(IMG_EXTENSIONS)}).")
    return dataset, list(_findings(root, list(dataset.classes)))


def _is_image(path: Path, root: Path) -> bool:
    return path.suffix.lower() in IMG_EXTENSIONS and not _is_hidden(path, root)


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _findings(root: Path, classes: list[str]) -> Iterator[Finding]:
    files = sorted(path for path in root.rglob("*") if not path.is_dir())
    counts = Counter(path.relative_to(root).parts[0] for path in files if _is_image(path, root))
    short = {path: str(path.relative_to(root.parent)) for path in files}
    hidden = [path for path in files if path.suffix.lower() in IMG_EXTENSIONS and _is_hidden(path, root)]
    if hidden:
        yield Finding(
            "error",
            "hidden files",
            f"Hidden and named like images: {counted(len(hidden), 'file')} in {root.name}/. torchvision's ImageFolder reads them.",
            tuple(short[path] for path in hidden),
            "delete them (macOS writes ._name.jpg, Jupyter .ipynb_checkpoints); they are left out below.",
        )
    if hidden_classes := [name for name in classes if name.startswith(".")]:
        yield Finding(
            "error",
            "classes",
            f"Hidden: {counted(len(hidden_classes), 'folder')} in {root.name}/. torchvision's ImageFolder takes each for a class.",
            tuple(hidden_classes),
            "delete them.",
        )
    if empty := [name for name in classes if not counts[name] and not name.startswith(".")]:
        yield Finding(
            "error",
            "classes",
            f"Without an image: {counted(len(empty), 'class folder')} in {root.name}/. torchvision's ImageFolder refuses that.",
            tuple(f"{root.name}/{name}" for name in empty),
            "add images, or delete the folder in all parts, so that every class has the same index in each.",
        )
    if loose := [path for path in files if path.parent == root and _is_image(path, root)]:
        yield Finding(
            "warning",
            "other files",
            f"Outside of class folders: {counted(len(loose), 'image')} in {root.name}/. Nothing reads them.",
            tuple(short[path] for path in loose),
            "move them into class folders, or away.",
        )
    others = [path for path in files if path.suffix.lower() not in IMG_EXTENSIONS and not _is_hidden(path, root)]
    if others:
        endings = Counter(path.suffix.lower() or "no ending" for path in others).most_common()
        yield Finding(
            "note",
            "other files",
            f"Not read by torchvision's ImageFolder: {counted(len(others), 'file')} in {root.name}/ "
            f"({', '.join(f'{count} {ending}' for ending, count in endings)}).",
            tuple(short[path] for path in others),
            "convert them if they are images.",
        )
