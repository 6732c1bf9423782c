"""Store the synthetic flag in the target, because most loaders and loops pass on two items: image and target.

The target of a synthetic sample is ``label + 2**30``, which is never a valid class. It needs no ``num_classes``, and negative
targets such as ``ignore_index=-100`` stay as they are. Decode it before anything else reads it:

- These raise an error otherwise: cross-entropy, NLL, one-hot and all that use the target as an index.
- These are wrong in silence: binary cross-entropy with logits, sigmoid focal loss, mean squared error, accuracy and F1 (timm's,
  torchmetrics', scikit-learn's), AUROC unless a batch has more distinct targets than classes, counts of each class.
- A cast to int16 or narrower, or to float32, destroys label or flag.

``SMOTEDataset(flag="item")`` gives plain labels with the flag beside them instead.
"""

from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from clesmote_losses.errors import shortened

_SYNTHETIC = 1 << 30  # no other file knows this number


@overload
def encode_target(label: Tensor, is_synthetic: Tensor | bool) -> Tensor: ...
@overload
def encode_target(label: int, is_synthetic: bool) -> int: ...
@overload
def encode_target(label: np.ndarray[Any, Any], is_synthetic: np.ndarray[Any, Any] | bool) -> np.ndarray[Any, Any]: ...
def encode_target(label: Any, is_synthetic: Any) -> Any:
    """Store the synthetic flag in the target.

    Args:
        label: Class index in ``[0, 2**30)``, or a negative value that the loss ignores: an int, or an integer array or
            tensor of any shape.
        is_synthetic: ``True`` where SMOTE made the sample: a bool, or bools of the shape of ``label``.

    Returns:
        Target of the kind of ``label``: an int, or an int64 array or tensor of the same shape.

    Raises:
        TypeError: If ``label`` is not integer or ``is_synthetic`` is not bool.
        ValueError: If a label is ``2**30`` or more, or a synthetic sample has a negative label.

    Example:
        >>> encode_target(3, False), decode_target(encode_target(3, True))
        (3, (3, True))
        >>> decode_target(encode_target(torch.tensor([0, 1, -100]), torch.tensor([True, False, False])))
        (tensor([   0,    1, -100]), tensor([ True, False, False]))
    """
    check_class_index("label", label)
    flag_dtype = getattr(is_synthetic, "dtype", type(is_synthetic))
    if flag_dtype not in (bool, torch.bool, np.dtype(bool)):
        raise TypeError(f"is_synthetic must be bool; got {flag_dtype}. decode_target(target)[1] returns it.")
    if isinstance(label, Tensor):
        label = label.to(torch.int64)
    elif isinstance(label, np.ndarray):
        label = label.astype(np.int64)
    else:
        label, is_synthetic = int(label), bool(is_synthetic)
    wrong = (label >= _SYNTHETIC) | ((label < 0) & is_synthetic)
    if wrong if isinstance(wrong, bool) else wrong.any():
        raise ValueError(
            f"label must be in [0, 2**30), and negative (ignored) only for a real sample; got {shortened(label)} with "
            f"is_synthetic {shortened(is_synthetic)}. Is it encoded already?"
        )
    return label + is_synthetic * _SYNTHETIC


@overload
def decode_target(target: Tensor) -> tuple[Tensor, Tensor]: ...
@overload
def decode_target(target: int) -> tuple[int, bool]: ...
@overload
def decode_target(target: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]: ...
def decode_target(target: Any) -> Any:
    """Split a target into class index and synthetic flag; the inverse of :func:`encode_target`.

    Decode the target before using it anywhere else (metrics, other losses). No value is read, so decoding a CUDA tensor
    does not wait for the GPU.

    Args:
        target: Result of :func:`encode_target`, or a plain label: an int, or an integer array or tensor of any shape.

    Returns:
        ``(label, is_synthetic)``: class index (int, or int64 of the shape of ``target``), and bool of the same shape.

    Raises:
        TypeError: If ``target`` is not integer.

    Example:
        >>> decode_target(5), decode_target(-100)
        ((5, False), (-100, False))
    """
    check_class_index("target", target)
    if isinstance(target, Tensor):
        target = target.long()  # a narrow integer cannot hold the flag: the subtraction would wrap around
    elif isinstance(target, np.ndarray | np.generic):
        target = target.astype(np.int64)
    is_synthetic = target >= _SYNTHETIC
    return target - is_synthetic * _SYNTHETIC, is_synthetic


def check_class_index(name: str, value: object) -> None:
    """Raise ``TypeError`` if ``value`` is not an int, or an array or tensor of an integer dtype."""
    if isinstance(value, Tensor):
        integer = not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)
    elif isinstance(value, np.ndarray | np.generic):
        integer = np.issubdtype(value.dtype, np.integer)
    else:
        integer = isinstance(value, int) and not isinstance(value, bool)
    if not integer:
        kind = getattr(value, "dtype", type(value).__name__)
        raise TypeError(
            f"{name} must be a class index: int, or an integer array or tensor; got {kind}. "
            "Soft targets (mixup, cutmix, one-hot) cannot hold the synthetic flag: switch them off."
        )
