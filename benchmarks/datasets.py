"""The data of an experiment: real images in memory, how many of each class are trained on, and what is tested on."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.datasets.folder import IMG_EXTENSIONS
from tqdm import tqdm

from clesmote_losses.base_dataset import Transform

# Chosen for difficulty, by what no method and the balanced set reach on seeds that the demo does not use: 3, 8 and 9
# share most of their strokes, and with more than six images of a class little is left to gain.
DIGITS = {"3": 80, "8": 6, "9": 6}
_SPLIT_SEED = 0  # one split into training pool and test for every run there will ever be
_LEAST = 2  # images of a class; SMOTE blends two


class Images(Dataset[tuple[Any, int]]):
    """Images of one size in memory.

    Args:
        images: uint8, shape ``(N, H, W, 3)``.
        labels: Class indices, int64, shape ``(N,)``.
        transform: Applied to an image when it is asked for.
    """

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], transform: Transform | None = None
    ) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = self.images[index]
        return (image if self.transform is None else self.transform(image)), int(self.labels[index])


class Trial(NamedTuple):
    """Training images of one seed: the imbalanced set, and as many of every class for the upper bound."""

    train: Images
    balanced: Images


@dataclass(frozen=True)
class Experiment:
    """An imbalanced task made from real images.

    Attributes:
        name: Of the data set.
        classes: Name of each class.
        counts: Training images of each class.
        pool: All images that may be trained on.
        test: All images that are tested on, in :func:`to_input`'s form.
    """

    name: str
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    pool: Images
    test: Images

    @property
    def balanced_count(self) -> int:
        """Images of each class in the balanced set: those of the largest class, or what the poorest class has."""
        return min(max(self.counts), int(np.bincount(self.pool.labels).min()))

    @property
    def image_size(self) -> int:
        return int(self.pool.images.shape[1])

    def draw(self, seed: int) -> Trial:
        """The training images of a seed. Those of the imbalanced set are in the balanced one, as far as both have room."""
        rng = np.random.default_rng([seed, _SPLIT_SEED])
        orders = [rng.permutation(np.flatnonzero(self.pool.labels == label)) for label in range(len(self.classes))]
        train = np.concatenate([order[:count] for order, count in zip(orders, self.counts, strict=True)])
        balanced = np.concatenate([order[: self.balanced_count] for order in orders])
        return Trial(*(Images(self.pool.images[i], self.pool.labels[i], augmented) for i in (train, balanced)))

    @cached_property
    def description(self) -> dict[str, Any]:
        """What a result was measured on, as plain values; the digest tells other images under the same name apart."""
        digest = hashlib.sha256()
        for part in (self.pool, self.test):
            digest.update(part.images.tobytes() + part.labels.tobytes())
        return {
            "name": self.name,
            "classes": list(self.classes),
            "counts": list(self.counts),
            "balanced_count": self.balanced_count,
            "test_counts": np.bincount(self.test.labels).tolist(),
            "image_size": self.image_size,
            "digest": digest.hexdigest()[:16],
        }


def to_input(image: NDArray[np.uint8]) -> Tensor:
    """What the network takes: float32 in ``[-1, 1]``, shape ``(3, H, W)``."""
    return torch.from_numpy(image).permute(2, 0, 1).float().div_(127.5).sub_(1)


def augmented(image: NDArray[np.uint8]) -> Tensor:
    """:func:`to_input` after a shift by up to an eighth of the image. No flip: a mirrored digit is none."""
    tensor = to_input(image)
    height, width = tensor.shape[1:]
    # by hand: torchvision's transforms take ten times as long on an image this small, longer than the training step
    reach = max(height, width) // 8
    top, left = torch.randint(2 * reach + 1, (2,)).tolist()
    padded = F.pad(tensor, [reach] * 4, mode="replicate")
    return padded[:, top : top + height, left : left + width]


def digits(counts: Mapping[str, int] | None = None, *, image_size: int = 32) -> Experiment:
    """Handwritten digits of 8x8 pixels that come with scikit-learn, enlarged; half of them are for testing.

    Args:
        counts: Training images of each class that takes part; by default :data:`DIGITS`.
        image_size: Height and width in pixels.

    Raises:
        ValueError: If the classes or counts do not make an imbalanced task.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    names = [str(digit) for digit in range(10)]
    parts = train_test_split(images, labels, test_size=0.5, random_state=_SPLIT_SEED, stratify=labels)
    pool, test, pool_labels, test_labels = parts
    available = dict(zip(names, np.bincount(pool_labels).tolist(), strict=True))
    counts = _checked(DIGITS if counts is None else counts, available)

    def chosen(rows: NDArray[Any], digit: NDArray[Any], transform: Transform | None) -> Images:
        columns = [np.flatnonzero(digit == int(name)) for name in counts]
        # the values are 0 ... 16
        pictures = [
            Image.fromarray(np.uint8(np.rint(row * 255 / 16)).reshape(8, 8)) for row in rows[np.concatenate(columns)]
        ]
        return Images(np.stack([_at_size(picture, image_size) for picture in pictures]), _labels(columns), transform)

    name = "digits of scikit-learn"
    pools = chosen(pool, pool_labels, None), chosen(test, test_labels, to_input)
    return Experiment(name, tuple(counts), tuple(counts.values()), *pools)


def image_folder(folder: Path, counts: Mapping[str, int] | None = None, *, image_size: int = 32) -> Experiment:
    """Images in ``folder/train/CLASS/*`` and ``folder/test/CLASS/*``, resized and held in memory.

    Args:
        folder: Where ``train`` and ``test`` lie.
        counts: Training images of each class that takes part; by default all images of all classes.
        image_size: Height and width in pixels.

    Raises:
        ValueError: If a folder is missing or an image cannot be read, or the classes or counts do not make an
            imbalanced task.
    """
    for part in ("train", "test"):
        if not (folder / part).is_dir():
            raise ValueError(
                f"{folder} has no folder {part}/. Wanted: {folder / part}/CLASS/*.jpg, and {'test' if part == 'train' else 'train'}/ "
                "beside it."
            )
    known = sorted(p.name for p in (folder / "train").iterdir() if p.is_dir() and not p.name.startswith("."))
    available = {name: len(_files(folder / "train" / name)) for name in known}
    counts = _checked(available if counts is None else counts, available)
    parts = []
    for part, transform in (("train", None), ("test", to_input)):
        files = [_files(folder / part / name) for name in counts]
        for name, found in zip(counts, files, strict=True):
            if not found:
                raise ValueError(
                    f"class {name!r} is in train/ but there is no image in {folder / part / name}/: nothing to test it on. Leave it "
                    "out with --classes, or add test images."
                )
        every = [file for found in files for file in found]
        # disable=None: no bar in a log file
        bar = tqdm(every, desc=f"Reading {part} images", delay=2, leave=False, disable=None)
        parts.append(Images(np.stack([_read(file, image_size) for file in bar]), _labels(files), transform))
    return Experiment(folder.resolve().name, tuple(counts), tuple(counts.values()), *parts)


def _checked(counts: Mapping[str, int], available: Mapping[str, int]) -> dict[str, int]:
    """The counts, if they make an imbalanced task of what is there."""
    for name, count in counts.items():
        if name not in available:
            raise ValueError(
                f"no class {name!r} among the training images; there are {', '.join(available) or 'none'}."
            )
        if count > available[name]:
            raise ValueError(f"{count} training images of class {name!r} are wanted; there are {available[name]}.")
        if count < _LEAST:
            raise ValueError(f"class {name!r} has {count} training image(s); SMOTE blends two, so {_LEAST} are needed.")
    if len(counts) < 2:
        raise ValueError(f"two classes or more are needed to tell apart; got {', '.join(counts) or 'none'}.")
    if len(set(counts.values())) == 1:
        names = list(counts)
        n = counts[names[0]]
        raise ValueError(
            f"every class has {n} training images, so no method has anything to do. Choose counts: --classes {names[0]}={n} "
            f"{names[1]}={max(_LEAST, n // 100)}."
        )
    return dict(counts)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in IMG_EXTENSIONS)


def _read(file: Path, image_size: int) -> NDArray[np.uint8]:
    try:
        with Image.open(file) as image:
            return _at_size(image, image_size)
    except OSError as error:
        raise ValueError(f"{file} cannot be read as an image: {error}. Mend it or take it away.") from error


def _at_size(image: Image.Image, size: int) -> NDArray[np.uint8]:
    image = image.convert("RGB")
    return np.asarray(image if image.size == (size, size) else image.resize((size, size), Image.Resampling.BILINEAR))


def _labels(parts: Sequence[Sequence[Any] | NDArray[Any]]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(parts)), [len(part) for part in parts])
