"""Cross-entropy in which a row costs at most its cap, as a function."""

import torch
import torch.nn.functional as F
from torch import Tensor

from clesmote_losses.loss_inputs import (
    Gradient,
    Reduction,
    as_columns,
    check_cap,
    check_flow,
    check_options,
    check_rows,
)


def capped_cross_entropy(
    logits: Tensor,
    target: Tensor,
    is_synthetic: Tensor,
    cap: Tensor,
    *,
    gradient: Gradient = "stop",
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Compute cross-entropy in which a synthetic sample costs at most its cap.

    .. math:: \ell_i = w_{y_i} \min(\mathrm{CE}_i, \tau_i) \text{ if } s_i \text{ else } w_{y_i} \mathrm{CE}_i

    with cap :math:`\tau_i`, synthetic flag :math:`s_i` (the paper's Eq. 2) and class weight :math:`w` (1 if none is
    given). Where no row is over its cap, value and gradient equal those of :func:`torch.nn.functional.cross_entropy` with
    the same options: bit for bit without ``weight`` and ``label_smoothing``, to rounding with them.

    Args:
        logits: Unnormalised scores, float, shape ``(N, C)``. Shape ``(N,)`` or ``(N, 1)`` is a single logit for
            class 1 (binary cross-entropy), treated as the scores ``[0, logit]``.
        target: Class indices, int64, shape ``(N,)``, each in ``[0, C)`` or equal to ``ignore_index``.
        is_synthetic: ``True`` in the rows that are subject to the cap, bool, shape ``(N,)``. In the paper these are the
            synthetic samples; ``is_synthetic | (target == rare)`` caps the real ones of a class too.
        cap: Ceiling in nats, float, shape ``(N,)``; ``inf`` leaves a sample uncapped. Other rows are not read.
        gradient: Gradient of a row over its cap. ``"stop"``: none, so a bad interpolation stops pulling on the model.
            ``"scale"``: the gradient of CE times cap / CE. ``"flow"``: the gradient of the cap itself, which
            pushes the embedding away from its centroid (for the ablation; ``cap`` must carry a graph).
        weight: Weight of each class, float, shape ``(C,)``. The cap is multiplied by it too.
        label_smoothing: As in :class:`torch.nn.CrossEntropyLoss`, in ``[0, 1]``.
        ignore_index: Rows with this target have loss 0 and are not counted.
        reduction: ``"mean"`` divides by the number of rows that are not ignored (with ``weight``: by the sum of their
            weights); capped rows count too. ``"sum"`` and ``"none"`` as in torch.

    Returns:
        Loss in nats, of the dtype that torch's cross-entropy returns: a scalar, or shape ``(N,)`` if ``reduction="none"``.

    Raises:
        TypeError: If ``logits`` is not a tensor or ``target`` not integer.
        ValueError: If an option, or the shape or dtype of an argument is wrong.

    Example:
        >>> logits, target = torch.tensor([[0.0, 3.0], [0.0, 3.0]]), torch.tensor([0, 0])
        >>> capped_cross_entropy(logits, target, torch.tensor([False, True]), torch.ones(2), reduction="none")
        tensor([3.0486, 1.0000])
    """
    check_options(gradient, weight, label_smoothing, reduction)
    logits = as_columns(logits)
    check_rows(logits, target, is_synthetic)
    check_cap(cap, logits)
    check_flow(gradient, cap, logits)
    losses = F.cross_entropy(
        logits, target, weight, reduction="none", ignore_index=ignore_index, label_smoothing=label_smoothing
    )
    losses, _ = cap_losses(losses, target, is_synthetic, cap, gradient, weight)
    return reduce_losses(losses, target, weight, ignore_index, reduction)


def cap_losses(
    losses: Tensor, target: Tensor, is_synthetic: Tensor, cap: Tensor, gradient: Gradient, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the capped loss of each row, and which rows are over their cap: bool; both of shape ``(N,)``."""
    ceiling = cap if weight is None else cap * _row_weights(weight, target)
    capped = is_synthetic & (losses > ceiling)
    ceiling = ceiling.to(losses.dtype)
    if gradient != "flow":
        ceiling = ceiling.detach()
    if gradient == "scale":
        ratio = torch.where(capped, ceiling / losses.detach(), 0)
        # adds 0 to the value; an infinite loss has no gradient to scale
        ceiling = ceiling + (losses - losses.detach()).nan_to_num() * ratio
    return torch.where(capped, ceiling, losses), capped


def reduce_losses(
    losses: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: Reduction
) -> Tensor:
    """Reduce the losses of the rows as torch's cross-entropy does."""
    if reduction == "none":
        return losses
    is_ignored = target == ignore_index
    if weight is None:
        # torch's cross-entropy adds the rows in this function. Another sum would differ in the last bit.
        column = torch.zeros_like(target).masked_fill(is_ignored, -100)
        return F.nll_loss(-losses[:, None], column, ignore_index=-100, reduction=reduction)
    if reduction == "sum":
        return losses.sum()
    return losses.sum() / _row_weights(weight, target).masked_fill(is_ignored, 0).sum()


def _row_weights(weight: Tensor, target: Tensor) -> Tensor:
    # clamped, since an ignored target may be no class
    return weight.index_select(0, target.clamp(0, len(weight) - 1))
