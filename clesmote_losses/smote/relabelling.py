"""Notice labels that a user passes for other samples than those of the data set."""

from typing import Any

import numpy as np
from torch import Tensor

from clesmote_losses.smote.columns import is_gap

_LONGEST = 1000  # values of a label that is compared: one-hot labels are, masks are not


class Relabelling:
    """Compare passed labels with the data set's own, sample by sample.

    Passed labels may merge classes of the data set or split them. They contradict it if one of its classes gets several
    labels while one label is given to several of its classes: a table in another order does that.
    """

    def __init__(self) -> None:
        self._passed_for: dict[Any, tuple[int, int]] = {}  # label and index of the first sample of each class
        self._own_of: dict[int, Any] = {}
        self._split: str | None = None
        self._merges = False

    def compare(self, index: int, own: Any, passed: int) -> None:
        """Compare the labels of a sample.

        Args:
            index: Of the sample.
            own: What the data set gives as its label. Nothing is compared where this is no label: negative or missing.
            passed: Class index that the user passes.

        Raises:
            ValueError: If the labels of the samples so far contradict each other.
        """
        own = label_key(own)
        if own is None:
            return
        other, first = self._passed_for.setdefault(own, (passed, index))
        if other != passed and self._split is None:
            self._split = (
                f"samples {first} and {index} have label {own!r} there, and labels= gives {other} and {passed}"
            )
        self._merges |= self._own_of.setdefault(passed, own) != own
        if self._split is not None and self._merges:
            raise ValueError(
                f"labels= contradict the labels of the data set: {self._split}. Passed labels may merge its classes or split "
                "them, not mix them. Are they in the order of the data set? To correct single labels, let the data set "
                "return the right ones."
            )


def label_key(label: Any) -> Any:
    """Return a label as a value that can be looked up; ``None`` if it is none."""
    if type(label) is int:  # as most data sets give it
        return label if label >= 0 else None
    values = np.ravel(label.detach().cpu() if isinstance(label, Tensor) else label)
    if not 0 < values.size <= _LONGEST or any(map(is_gap, values)):
        return None
    key = values.item() if values.size == 1 else tuple(values.tolist())
    if isinstance(key, int | float):
        return key if key >= 0 else None
    return key if isinstance(key, str | bytes | tuple) else None
