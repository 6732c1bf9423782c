"""The loss of timm's ``train.py``, whose options the capped loss keeps."""

from typing import Any

from torch import nn


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
        "(it keeps weight, label_smoothing and ignore_index) and LabelSmoothingCrossEntropy, averaged over the batch."
    )
