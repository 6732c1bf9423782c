"""The loss of timm's ``train.py``: its options, which the capped loss keeps, or the whole of it where nothing is capped."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from clesmote_losses.loss_counts import LossCounts
from clesmote_losses.targets import decode_target

_logger = logging.getLogger(__name__)


def loss_options(loss: Any) -> dict[str, Any]:
    """Return the options of the script's loss as those of :class:`CappedSMOTELoss`, which replaces it.

    Args:
        loss: ``CrossEntropyLoss``, or timm's ``LabelSmoothingCrossEntropy``.

    Raises:
        ValueError: If the loss is of another type, or is not averaged over the batch.
    """
    from timm.loss.cross_entropy import LabelSmoothingCrossEntropy

    if isinstance(loss, LabelSmoothingCrossEntropy):
        return {"label_smoothing": loss.smoothing}
    if isinstance(loss, nn.CrossEntropyLoss) and loss.reduction == "mean":
        return {"weight": loss.weight, "label_smoothing": loss.label_smoothing, "ignore_index": loss.ignore_index}
    raise ValueError(
        f"the script trains with {loss if loss is None else type(loss).__name__}; the capped loss can replace only CrossEntropyLoss "
        "(it keeps weight, label_smoothing and ignore_index) and LabelSmoothingCrossEntropy, averaged over the batch. With --cap none, "
        "and without --class-weights and --logit-adjustment, the script's own loss stays."
    )


def uneven_weights(loss: Any) -> list[float] | None:
    """Return the class weights of a loss if they differ from class to class; ``None`` if it has none."""
    for name in ("weight", "pos_weight"):
        weight = getattr(loss, name, None)
        if isinstance(weight, Tensor) and (weight != (1 if name == "pos_weight" else weight.flatten()[0])).any():
            return [float(value) for value in weight.flatten()]
    return None


def warn_of_uneven_weights(loss: Any, oversampled: list[int]) -> None:
    """Warn if a loss weights the classes and some are over-sampled too."""
    if oversampled and (weights := uneven_weights(loss)):
        _logger.warning(
            "the loss weights the classes (%s), and synthetic samples balance them too: together they favour the rare classes "
            "twice. Drop one of the two.",
            ", ".join(f"{weight:.3g}" for weight in weights),
        )


class OwnLoss(nn.Module):
    """Call the script's own loss with decoded targets, and count synthetic samples as :class:`CappedSMOTELoss` does.

    Args:
        loss: Called as ``loss(output, labels)``.
    """

    tracker = None

    def __init__(self, loss: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.loss = loss
        self._counts = LossCounts()

    def forward(self, output: Any, target: Tensor) -> Tensor:
        """Compute the loss of a batch; targets are those of a :class:`SMOTEDataset`."""
        labels, is_synthetic = decode_target(target)
        if self.training:
            never, nothing = torch.zeros_like(is_synthetic), torch.zeros_like(labels, dtype=torch.float32)
            self._counts.add(
                torch.zeros_like(labels),  # one class for all: an own loss may have outputs of any shape
                is_synthetic,
                1,
                subject=never,
                capped=never,
                without_centroid=never,
                cap=nothing,
                loss=nothing,
                kept=nothing,
            )
        else:
            self._counts.add_evaluated(is_synthetic)
        return self.loss(output, labels)

    def train(self, mode: bool = True) -> "OwnLoss":
        """Set training or evaluation mode; warn if the evaluation that ends held synthetic samples."""
        if mode:
            self._counts.check_evaluated()
        return super().train(mode)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: no option depends on the epoch."""

    def set_oversampled_classes(self, classes: Iterable[int]) -> None:
        """Do nothing: no class has a cap."""

    @property
    def stats(self) -> dict[str, Tensor]:
        """The number of synthetic samples since the last :meth:`reset_stats`."""
        return {"synthetic": self._counts.stats()["synthetic"]}

    def reset_stats(self, expected_synthetic: int | None = None) -> None:
        """Set the count to zero, as :meth:`CappedSMOTELoss.reset_stats` does."""
        self._counts.reset(expected_synthetic)

    def all_reduce_stats(self) -> None:
        """Sum the count over all ranks; every rank calls it."""
        self._counts.sum_over_ranks()
