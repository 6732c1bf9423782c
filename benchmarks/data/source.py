"""Real images of one data set in memory: those to train on, and those to test on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, train_test_split
from torch.utils.data import Dataset

from clesmote_losses.smote.transform_probe import Transform

Indices = NDArray[np.int64]
_FOLDS = 10  # one of them is the validation set
_SPLIT_SEED = 0


class Images(Dataset[tuple[Any, int]]):
    """Images of one size in memory.

    Args:
        images: uint8, shape ``(N, H, W, C)``, ``C`` 1 (grey) or 3 (RGB).
        labels: Class indices, int64, shape ``(N,)``.
        transform: Applied to an image whenever it is read.
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


@dataclass(frozen=True)
class TestImages:
    """Images to test on.

    Attributes:
        images: uint8, shape ``(N, H, W, C)``.
        members: Which strata an image belongs to, bool, shape ``(N, S)``. In an unfiltered test set some images belong
            to several, and some to none.
        is_abnormal: For a source with a normal stratum, bool, shape ``(N,)``: the truth of images of several strata or none. By
            default an image counts for its first stratum.
    """

    images: NDArray[np.uint8]
    members: NDArray[np.bool_]
    is_abnormal: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
        name: Name of the data set; it stands in every result.
        strata: Names of the groups that experiments count: classes, or sub-conditions of a class.
        images: Images to train on, uint8, shape ``(N, H, W, C)``.
        stratum: Stratum of each image, int64, shape ``(N,)``, an index into ``strata``.
        tests: Test images by name; the first one gives the main result.
        patient: Patient of each image, shape ``(N,)``, where images share patients: a patient is on one side of any split.
        held_out: Which images are the official validation split, bool, shape ``(N,)``; by default one is made.
        flow: How many images each step of the selection left, for a STARD diagram.
        normal: The stratum that a user named as the one that all others are compared with.
    """

    name: str
    strata: tuple[str, ...]
    images: NDArray[np.uint8]
    stratum: NDArray[np.int64]
    tests: Mapping[str, TestImages]
    patient: NDArray[Any] | None = None
    held_out: NDArray[np.bool_] | None = None
    flow: Mapping[str, int] = field(default_factory=dict)
    normal: str | None = None

    @property
    def available(self) -> dict[str, int]:
        """Return the number of images of each stratum that may be trained on."""
        return self._count(self.stratum)

    @property
    def left(self) -> dict[str, int]:
        """Return how many of them the validation split leaves."""
        return self._count(self.stratum[self.split[0]])

    def _count(self, stratum: Indices) -> dict[str, int]:
        return dict(zip(self.strata, np.bincount(stratum, minlength=len(self.strata)).tolist(), strict=True))

    @property
    def image_size(self) -> int:
        """Return height and width in pixels."""
        return int(self.images.shape[1])

    @cached_property
    def digest(self) -> str:
        """Return a digest of the data: other data under the same name have another one."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).data)
        digest.update(self.stratum.tobytes())
        for test in self.tests.values():
            digest.update(np.ascontiguousarray(test.images).data)
            digest.update(test.members.tobytes())
            if test.is_abnormal is not None:
                digest.update(test.is_abnormal.tobytes())
        if self.patient is not None:
            digest.update("\n".join(map(str, self.patient)).encode())
        if self.held_out is not None:
            digest.update(self.held_out.tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def split(self) -> tuple[Indices, Indices]:
        """Return the indices of the images to train on and of a validation set; no patient is on both sides.

        The validation set is the official one, or a tenth of each stratum; it is the same for every run.

        Raises:
            ValueError: If a stratum has too few images (or patients) to be on both sides.
        """
        everything = np.arange(len(self.stratum))
        try:
            if self.held_out is not None:
                pool, validation = everything[~self.held_out], everything[self.held_out]
            elif self.patient is None:
                pool, validation = train_test_split(
                    everything, test_size=1 / _FOLDS, random_state=_SPLIT_SEED, stratify=self.stratum
                )
            else:
                folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=_SPLIT_SEED)
                pool, validation = next(folds.split(everything, self.stratum, self.patient))
        except ValueError as error:
            raise ValueError(f"no validation set can be held out of {self.name}: {error}") from error
        for index, name in enumerate(self.strata):
            for part, title in ((pool, "training"), (validation, "validation")):
                if not (self.stratum[part] == index).any():
                    raise ValueError(
                        f"class {name!r} has no image left for {title} after the split; it needs more images or patients."
                    )
        return np.sort(pool), np.sort(validation)
