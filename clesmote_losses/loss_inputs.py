"""Options and inputs of the capped loss: the known names, one form of logits, and errors for what does not fit."""

from typing import Literal, get_args

import torch
from torch import Tensor

from clesmote_losses.errors import check_choice, check_numbers
from clesmote_losses.targets import check_class_index

Gradient = Literal["stop", "scale", "flow"]
Reduction = Literal["none", "mean", "sum"]
_GRADIENTS, _REDUCTIONS = get_args(Gradient), get_args(Reduction)  # here, since torch 2.6 cannot compile get_args


def check_options(
    gradient: str, weight: object, label_smoothing: float, reduction: str, logit_adjustment: object = None
) -> None:
    """Raise ``ValueError`` if an option is unknown or out of range, ``TypeError`` if one is not the tensor it must be."""
    check_choice("gradient", gradient, _GRADIENTS)
    check_choice("reduction", reduction, _REDUCTIONS)
    check_numbers(label_smoothing=label_smoothing)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1]; got {label_smoothing}.")
    if weight is not None and not isinstance(weight, Tensor):
        raise TypeError(
            f"weight must be a float tensor of shape (C,); got {type(weight).__name__}: torch.tensor(weight)."
        )
    if logit_adjustment is not None and not (
        isinstance(logit_adjustment, Tensor) and logit_adjustment.is_floating_point()
    ):
        kind = getattr(logit_adjustment, "dtype", type(logit_adjustment).__name__)
        raise TypeError(
            f"logit_adjustment must be a float tensor of shape (C,); got {kind}: log_prior(counts, tau=1.0) returns it."
        )


def check_adjustment(adjustment: Tensor, logits: Tensor) -> None:
    """Raise ``ValueError`` unless there is one number for each column of logits."""
    columns = tuple(logits.shape[1:])
    if adjustment.shape != columns:
        raise ValueError(
            f"logit_adjustment must have shape {columns}, one number for each class of the logits (two for a single logit); got "
            f"{tuple(adjustment.shape)}. log_prior(counts) returns it."
        )


def as_columns(logits: Tensor) -> Tensor:
    """Return scores of shape ``(N, C)``; a single logit z becomes ``[0, z]``, which has the same loss.

    Raises:
        TypeError: If ``logits`` is not a tensor.
        ValueError: If its shape or dtype is wrong.
    """
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"logits must be a tensor of shape (N, C); got {type(logits).__name__}. Pass the tensor in it: output.logits (transformers, "
            'torchvision\'s inception), output["logits"], or output[0]. A distilled model in training mode returns one output for each '
            "head; model.set_distilled_training(False) merges them."
        )
    if logits.ndim == 2 and logits.shape[1] == 1:
        logits = logits[:, 0]
    if logits.ndim == 1:
        logits = torch.stack([torch.zeros_like(logits), logits], dim=1)
    if logits.ndim != 2 or not logits.is_floating_point():
        raise ValueError(
            f"logits must be float of shape (N, C), (N, 1) or (N,); got {logits.dtype} of shape {tuple(logits.shape)}."
        )
    return logits


def check_rows(logits: Tensor, target: Tensor, is_synthetic: Tensor) -> None:
    """Raise unless there is one class index and one bool flag for each row of logits."""
    rows = tuple(logits.shape[:1])
    check_class_index("target", target)
    if target.shape != rows:
        raise ValueError(
            f"target must have shape {rows}, one class index for each row of logits; got {tuple(target.shape)}."
        )
    if is_synthetic.shape != rows or is_synthetic.dtype != torch.bool:
        raise ValueError(
            f"is_synthetic must be bool of shape {rows}, one flag for each row of logits; got {is_synthetic.dtype} of shape "
            f"{tuple(is_synthetic.shape)}. decode_target(target)[1] returns it."
        )


def check_cap(cap: Tensor, logits: Tensor) -> None:
    """Raise unless there is one float cap for each row of logits."""
    rows = tuple(logits.shape[:1])
    if cap.shape != rows or not cap.is_floating_point():
        raise ValueError(
            f"cap must be float of shape {rows}, one ceiling for each row of logits; got {cap.dtype} of shape "
            f"{tuple(cap.shape)}. cosine_cap(...) returns it; torch.full({rows}, c) is a constant cap."
        )


def check_embeddings(embeddings: object, logits: Tensor) -> None:
    """Raise unless there is one embedding for each row of logits; flags are easily passed in their place.

    Raises:
        TypeError: If they are not a float tensor of shape ``(N, D)``.
        ValueError: If they are of another batch.
    """
    if not isinstance(embeddings, Tensor) or not embeddings.is_floating_point() or embeddings.ndim != 2:
        kind = getattr(embeddings, "dtype", type(embeddings).__name__)
        raise TypeError(
            f"embeddings must be float of shape (N, D); got {kind} of shape {tuple(getattr(embeddings, 'shape', ()))}. Pass synthetic "
            "flags by name: criterion(logits, target, is_synthetic=flags)."
        )
    if len(embeddings) != len(logits):
        raise ValueError(
            f"embeddings of {len(embeddings)} samples do not belong to logits of {len(logits)} rows. Call `criterion` once after "
            "each forward pass of the tracked model. Evaluate another model (such as an EMA copy) with criterion.eval() or "
            "nn.CrossEntropyLoss. Use DistributedDataParallel, not DataParallel."
        )


def check_flow(gradient: Gradient, cap: Tensor, logits: Tensor) -> None:
    """Raise ``ValueError`` if the gradient of the cap is wanted and it has none."""
    wants_gradient = torch.is_grad_enabled() and logits.requires_grad
    if gradient == "flow" and wants_gradient and not cap.requires_grad:
        raise ValueError(
            'gradient="flow" but cap has no graph: compute it from embeddings that require a gradient. Those of a frozen network require '
            'none, so that only gradient="stop" or "scale" can be used.'
        )
