"""The checkpoint of a triplet pretraining: written after an epoch, read as it was or refused."""

import io
import os
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clesmote_losses.checked_file import CheckedFile
from clesmote_losses.distributed import gather_from_ranks

_FILE = CheckedFile(
    "clesmote_losses.triplet_checkpoint.1",
    "checkpoint of triplet pretraining",
    "Name another file, or delete this one.",
)
_KINDS = {"settings": dict, "history": list, "trained": dict, "optimizer": dict, "scaler": dict}


def write_checkpoint(
    path: str | os.PathLike[str],
    settings: dict[str, Any],
    trained: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    history: list[dict[str, float]],
) -> None:
    """Write what a run needs to go on after the last epoch of ``history``; the file appears in one piece.

    Raises:
        OSError: If it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(
        {
            "settings": _all_settings(settings, optimizer),
            "history": history,
            "trained": trained.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict(),
        },
        buffer,
    )
    _FILE.write(path, {"state": np.frombuffer(buffer.getbuffer(), dtype=np.uint8)}, {})


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read all that a checkpoint holds, on the CPU.

    Returns:
        ``settings`` and ``history``, and the states ``trained``, ``optimizer`` and ``scaler``.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no checkpoint, or was damaged or changed.
    """
    arrays, _ = _FILE.read(path)
    with _FILE.checking(path):
        if arrays.keys() != {"state"} or arrays["state"].dtype != np.uint8:
            raise ValueError(f"it must hold the bytes of one state; got {', '.join(sorted(arrays))}.")
        try:
            state = torch.load(io.BytesIO(arrays["state"].tobytes()), map_location="cpu", weights_only=True)
        except Exception as error:  # a forged one can make torch.load raise almost anything
            raise ValueError(f"its state cannot be read ({type(error).__name__}: {error}).") from error
        if not isinstance(state, dict) or state.keys() != _KINDS.keys():
            raise ValueError(f"its state must hold {', '.join(_KINDS)}.")
        for name, kind in _KINDS.items():
            if not isinstance(state[name], kind):
                raise ValueError(f"{name} must be a {kind.__name__}; got {type(state[name]).__name__}.")
    return state


def read_checkpoint(
    path: str | os.PathLike[str],
    settings: dict[str, Any],
    trained: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> list[dict[str, float]]:
    """Load model, optimizer and scaler from a checkpoint. If the file is refused, they stay as they were.

    Args:
        path: The file.
        settings: Of this run; those of the run that wrote the file must be the same.
        trained: Modules that are trained.
        optimizer: Of their parameters.
        scaler: Of their gradients.

    Returns:
        History of the epochs that are done.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no checkpoint, was damaged or changed, or is one of other settings or another model.
    """
    state = read_state(path)
    written, wanted = state["settings"], _all_settings(settings, optimizer)
    differ = [f"{n}={written.get(n)!r} (now {wanted[n]!r})" for n in wanted if wanted[n] != written.get(n)]
    if not differ and _form(state["trained"]) != _form(trained.state_dict()):
        differ = ["another model"]
    if not differ and _group_sizes(state["optimizer"]) != _group_sizes(optimizer.state_dict()):
        differ = ["other trained parameters"]
    if not differ and scaler.is_enabled() and not state["scaler"]:
        differ = ["another amp"]
    if differ:
        raise ValueError(
            f"the checkpoint {os.fspath(path)} was written with {', '.join(differ)}. Name another file, or delete this one."
        )
    trained.load_state_dict(state["trained"])
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    return list(state["history"])


def resume(
    path: str | os.PathLike[str] | None,
    settings: dict[str, Any],
    trained: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> list[dict[str, float]]:
    """Load a checkpoint as :func:`read_checkpoint` does, if the file exists; every rank calls it.

    Returns:
        History of the epochs that are done; empty without a file.

    Raises:
        OSError, ValueError: As :func:`read_checkpoint`.
        RuntimeError: If another rank cannot read its file, or would resume after another epoch.
    """
    history: list[dict[str, float]] = []
    error: Exception | None = None
    try:
        if path is not None and os.path.exists(path):
            history = read_checkpoint(path, settings, trained, optimizer, scaler)
    except (OSError, ValueError) as caught:  # the other ranks wait for an answer
        error = caught
    of_ranks = gather_from_ranks(len(history) if error is None else str(error))
    if error is not None:
        raise error
    if len(set(of_ranks)) > 1:
        raise RuntimeError(
            f"ranks would resume after different epochs: {of_ranks}. Put the checkpoint where every rank can read it."
        )
    return history


def _all_settings(settings: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    return {**settings, "optimizer": type(optimizer).__name__}


def _form(state: dict[str, Any]) -> dict[str, Any]:
    """Return shape and dtype of every tensor of a model's state."""
    return {name: (value.shape, value.dtype) for name, value in state.items() if isinstance(value, Tensor)}


def _group_sizes(state: dict[str, Any]) -> list[int]:
    return [len(group["params"]) for group in state.get("param_groups", [])]
