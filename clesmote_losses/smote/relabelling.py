"""Notice labels that a user passes for other samples than those of the data set."""

from typing import Any

import numpy as np
from torch import Tensor

from clesmote_losses.errors import shortened
from clesmote_losses.smote.columns import is_gap

_LONGEST = 1000  # values of a label that is compared: one-hot labels are, masks are not


_REMEDY = """\
Are they in the order of the data set? labels= may rename or merge its classes. strata= balances groups inside a class.
To split a class or to correct labels, let the data set return them: SMOTEDataset(Relabelled(base, labels)) with
    class Relabelled(torch.utils.data.Dataset):
        def __init__(self, base, labels):
            self.base, self.labels, self.transform = base, labels, getattr(base, "transform", None)
        def __len__(self): return len(self.base)
        def __getitem__(self, index): return self.base[index][0], self.labels[index]"""


class Relabelling:
    """Compare passed labels with the data set's own, sample by sample.

    Passed labels may rename or merge classes of the data set. They contradict it if samples of one of its classes get
    different labels: a table in another order does that.
    """

    def __init__(self) -> None:
        self._passed_for: dict[Any, tuple[int, int]] = {}  # label and index of the first sample of each class

    def compare(self, index: int, own: Any, passed: int) -> None:
        """Compare the labels of a sample.

        Args:
            index: Of the sample.
            own: What the data set gives as its label. Nothing is compared where this is no label: negative or missing.
            passed: Class index that the user passes.

        Raises:
            ValueError: If an earlier sample with the same label in the data set was passed another class index.
        """
        own = label_key(own)
        if own is None:
            return
        other, first = self._passed_for.setdefault(own, (passed, index))
        if other != passed:
            raise ValueError(
                f"labels= contradict the labels of the data set: samples {first} and {index} have label {shortened(repr(own))} there, and labels= "
                f"gives {other} and {passed}. {_REMEDY}"
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
