"""Labels, provenance and torchvision's attributes of the samples, real ones first."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from clesmote_losses.smote.base_dataset import attribute_of, image_path, unwrapped
from clesmote_losses.smote.draw_options import recorded_draws
from clesmote_losses.smote.labels import Labels, find_labels
from clesmote_losses.smote.plan import SMOTEPlan


class Provenance(NamedTuple):
    """Where a sample of a :class:`SMOTEDataset` comes from; ``neighbor`` is ``None`` for a real one or its copy."""

    is_synthetic: bool
    label: int
    base: int
    neighbor: int | None
    lam: float


class SampleRecords(Dataset[Any]):
    """Labels, classes and provenance of the samples of a :class:`SMOTEDataset`.

    Attributes:
        base: The data set of the real samples.
    """

    base: "Dataset[Any]"
    _labels: Labels
    _plan: SMOTEPlan

    def __len__(self) -> int:
        return len(self._labels) + len(self._plan)

    @property
    def labels(self) -> Labels:
        """Class index of every sample, real ones first, int64, shape ``(len(self),)``."""
        return np.concatenate([self._labels, self._plan.label])

    @property
    def is_synthetic(self) -> NDArray[np.bool_]:
        """``True`` for the synthetic samples, bool, shape ``(len(self),)``."""
        return np.concatenate([np.zeros(len(self._labels), dtype=bool), self._plan.is_synthetic])

    @property
    def source(self) -> NDArray[np.int64]:
        """Index of the sample itself, or of the real sample that a copy which stays real repeats, shape ``(len(self),)``."""
        own = np.arange(len(self))
        own[len(self._labels) :] = np.where(self._plan.is_synthetic, own[len(self._labels) :], self._plan.base)
        return own

    @property
    def oversampled_classes(self) -> list[int]:
        """Classes that the sampler over-samples, ascending."""
        p = self._plan
        # with blend="all" every class has blends, and those that are over-sampled have copies too
        return _unique(p.label[~p.is_synthetic] if p.options.get("blend") == "all" else p.label)

    @property
    def blended_classes(self) -> list[int]:
        """Classes that have synthetic samples, ascending."""
        return _unique(self._plan.label[self._plan.is_synthetic])

    @property
    def capped_classes(self) -> list[int]:
        """Classes whose samples a loss may cap, and so need centroids: blended or over-sampled ones, ascending."""
        return _unique(self._plan.label)

    def counts_by_class(self) -> dict[int, tuple[int, int, int]]:
        """Count the samples of each class: real ones, copies that stay real, synthetic ones."""
        flags, real = self._plan.is_synthetic, self._labels
        parts = real, self._plan.label[~flags], self._plan.label[flags]
        return {label: tuple(int((part == label).sum()) for part in parts) for label in _unique(real)}  # type: ignore[misc]

    def __repr__(self) -> str:
        options = self._plan.options
        given = recorded_draws(options).given().items()
        names = [
            f"{type(self).__name__} of {type(self.base).__name__}",
            options["sampler"],
            *(f"{n}={v!r}" for n, v in given),
        ]
        lines = [
            f"    class {c}: {n} real" + (f" + {m} copies of them" if m else "") + (f" + {s} synthetic" if s else "")
            for c, (n, m, s) in self.counts_by_class().items()
        ]
        return "\n".join([", ".join(names), *lines])

    def provenance(self, index: int) -> Provenance:
        """Return label, parents and lambda of sample ``index``."""
        index = self._normalize_index(index)
        row, p = index - len(self._labels), self._plan
        if row < 0:
            return Provenance(False, int(self._labels[index]), index, None, 0.0)
        label, base, neighbor, lam = (array[row].item() for array in (p.label, p.base, p.neighbor, p.lam))
        is_synthetic = bool(p.is_synthetic[row])
        return Provenance(is_synthetic, label, base, neighbor if is_synthetic else None, lam)

    @property
    def targets(self) -> list[int]:
        """Class index of every sample, real ones first, as in torchvision; the flag is not in it."""
        return [int(label) for label in self.labels]

    @property
    def samples(self) -> list[tuple[str | None, int]]:
        """Path and class index of every sample, as in torchvision; ``None`` in place of a path for the synthetic ones.

        Raises:
            AttributeError: If the base data set knows no paths.
        """
        paths = [image_path(self.base, index) for index in range(len(self._labels))]
        if None in paths:
            raise AttributeError(f"{type(self.base).__name__} knows no paths of its images, so there are no samples.")
        copies = zip(self._plan.base.tolist(), self._plan.is_synthetic.tolist(), strict=True)
        added = [None if is_synthetic else paths[base] for base, is_synthetic in copies]
        return list(zip([*paths, *added], self.targets, strict=True))

    @property
    def classes(self) -> list[str]:
        """Names of the classes, as the base data set has them.

        Raises:
            AttributeError: If it has none, or if ``labels=`` gave the samples other classes.
        """
        return list(self._of_base("classes"))

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Index of each class by its name, as the base data set has it.

        Raises:
            AttributeError: As :attr:`classes`.
        """
        return dict(self._of_base("class_to_idx"))

    def _of_base(self, name: str) -> Any:
        if not self._has_own_labels:
            raise AttributeError(
                f"{name} of {type(self.base).__name__} does not belong to the labels= that were passed."
            )
        return attribute_of(self.base, name)

    @cached_property
    def _has_own_labels(self) -> bool:
        try:
            return np.array_equal(find_labels(self.base), self._labels)
        except (TypeError, ValueError):
            return False

    def _normalize_index(self, index: int) -> int:
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"index {index} is out of range for {length} samples.")
        return int(index) % length


def _unique(labels: Labels) -> list[int]:
    return [int(label) for label in np.unique(labels)]


def check_holds_no_records(base: Any) -> None:
    """Raise ``TypeError`` if a data set is or holds a :class:`SMOTEDataset`."""
    if any(isinstance(part, SampleRecords) for part in unwrapped(base)):
        raise TypeError("base is or holds a SMOTEDataset already, and SMOTE takes real images. Pass the real data set.")
