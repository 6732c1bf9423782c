"""The state of a centroid tracker: what it may hold, and a file of it."""

import os
from collections.abc import Mapping

import torch
from torch import Tensor

from clesmote_losses.checked_file import CheckedFile

_FILE = CheckedFile(
    "clesmote_losses.centroids.1", "class centroids", "Delete it: the first epoch then has no caps, as at the start."
)
_REQUIRED = ("counts", "is_refreshed")
_DIMENSIONS = {"counts": 1, "is_refreshed": 0, "centroids": 2, "running_total": 2, "running_counts": 1}


def check_centroid_state(state: Mapping[str, Tensor], num_classes: int) -> None:
    """Check that a state is one that :meth:`ClassCentroidTracker.state_dict` gives.

    Args:
        state: ``counts``, int64, ``(C,)``; ``is_refreshed``, bool, ``()``; perhaps ``centroids``, float, ``(C, D)``; perhaps
            ``running_total``, float, ``(C, D)``, with ``running_counts``, int64, ``(C,)``.
        num_classes: Number of classes ``C``.

    Raises:
        ValueError: If an entry is missing, unknown, or of a wrong shape, dtype or value.
    """
    has_total, has_counts = "running_total" in state, "running_counts" in state
    if not set(_REQUIRED) <= state.keys() <= _DIMENSIONS.keys() or has_total != has_counts:
        raise ValueError(
            f"the state of a tracker holds {', '.join(_REQUIRED)}, perhaps centroids, and perhaps running_total with "
            f"running_counts; got {', '.join(sorted(state)) or 'nothing'}."
        )
    for name, tensor in state.items():
        if tensor.ndim != _DIMENSIONS[name]:
            raise ValueError(f"{name} must have {_DIMENSIONS[name]} dimensions; got shape {tuple(tensor.shape)}.")
        if tensor.ndim > 0 and len(tensor) != num_classes:
            raise ValueError(f"the state holds {len(tensor)} classes; this tracker has num_classes={num_classes}.")
        wanted = {0: torch.bool, 1: torch.int64}.get(_DIMENSIONS[name])
        if tensor.dtype != wanted if wanted is not None else not tensor.is_floating_point():
            raise ValueError(f"{name} must be {wanted or 'float'}; got {tensor.dtype}.")
        if wanted == torch.int64 and (tensor < 0).any():
            raise ValueError(f"{name} must be 0 or more; got {tensor.min()}.")
    widths = {name: state[name].shape[1] for name in ("centroids", "running_total") if name in state}
    if len(set(widths.values())) > 1:
        raise ValueError(f"centroids and running_total must have the same width; got {widths}.")


def write_centroids(path: str | os.PathLike[str], state: Mapping[str, Tensor]) -> None:
    """Write what :meth:`ClassCentroidTracker.state_dict` gave; the file appears in one piece.

    Raises:
        OSError: If it cannot be written.
    """
    _FILE.write(path, {name: tensor.cpu().numpy() for name, tensor in state.items()}, {})


def read_centroids(path: str | os.PathLike[str], num_classes: int) -> dict[str, Tensor]:
    """Read a state for :meth:`ClassCentroidTracker.load_state_dict`.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it holds no centroids of ``num_classes`` classes, or was damaged or changed.
    """
    arrays, _ = _FILE.read(path)
    with _FILE.checking(path):
        state = {name: torch.as_tensor(array) for name, array in arrays.items()}
        check_centroid_state(state, num_classes)
    return state
