"""The classes that the sampler over-samples, as a mask where the loss needs it."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class OversampledClasses:
    """Remember which classes are over-sampled, and find their rows without waiting for the GPU.

    This is no buffer of the loss: it belongs to the training set, not to the weights, and each epoch tells it anew.

    Attributes:
        classes: The over-sampled classes, ascending; ``None`` if they are not known.
    """

    def __init__(self) -> None:
        self.classes: list[int] | None = None
        # on the CPU also where modules are made on another device, such as "meta"
        self._mask = torch.zeros(0, dtype=torch.bool, device="cpu")

    def update(self, classes: Iterable[int]) -> None:
        """Set the classes.

        Raises:
            TypeError: If they are no integers, such as the entries of a mask.
            ValueError: If one is negative.
        """
        found = torch.as_tensor(list(classes), device="cpu")
        if found.ndim != 1 or (len(found) and (found.is_floating_point() or found.dtype == torch.bool)):
            raise TypeError(
                f"classes must be class indices, such as train_set.oversampled_classes; got {found.dtype} of shape {tuple(found.shape)}."
            )
        chosen = sorted({int(label) for label in found})
        if chosen and chosen[0] < 0:
            raise ValueError(f"classes must be class indices, 0 or more; got {chosen[0]}.")
        if chosen != self.classes:  # else the mask stays on its device
            self.classes = chosen
            self._mask = torch.tensor(
                [label in chosen for label in range(max(chosen, default=-1) + 1)], dtype=torch.bool, device="cpu"
            )

    def mask(self, num_classes: int, device: torch.device) -> Tensor | None:
        """Return ``True`` for each over-sampled class, bool, shape ``(C,)``; ``None`` if they are not known.

        Raises:
            ValueError: If a over-sampled class is none of the ``num_classes``.
        """
        if self.classes is None:
            return None
        if self.classes and self.classes[-1] >= num_classes:
            raise ValueError(
                f"class {self.classes[-1]} is over-sampled, but the logits have {num_classes} classes. Is the training set that of this model?"
            )
        if len(self._mask) == num_classes and self._mask.device == device:
            return self._mask
        return F.pad(self._mask, (0, num_classes - len(self._mask))).to(device, non_blocking=True)

    def rows(self, labels: Tensor, num_classes: int) -> Tensor:
        """Return which rows are of a over-sampled class, bool, shape ``(N,)``; a label that is no class is read as the nearest.

        Raises:
            RuntimeError: If the classes are not known.
            ValueError: As :meth:`mask`.
        """
        mask = self.mask(num_classes, labels.device)
        if mask is None:
            raise RuntimeError(
                'capped="oversampled" needs the classes that are over-sampled: call begin_epoch(criterion, train_set, epoch), or '
                "criterion.set_oversampled_classes(train_set.oversampled_classes)."
            )
        self._mask = mask
        return mask.index_select(0, labels.clamp(0, num_classes - 1))

    def __getstate__(self) -> dict[str, Any]:
        # a file of the loss can be read where there is no GPU
        return {**self.__dict__, "_mask": self._mask.cpu()}
