"""A plan in a file: every field of the data class by its name, and a check of what comes back."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.checked_file import CheckedFile
from clesmote_losses.smote.draw_options import recorded_draws
from clesmote_losses.smote.resampling import SmallClass

_FILE = CheckedFile("clesmote_losses.SMOTEPlan.2", "SMOTE plan", "Make the plan again.")


def write_plan(path: str | os.PathLike[str], plan: Any) -> None:
    """Write a plan: arrays and tuples of arrays as they are, all other fields as JSON.

    Raises:
        OSError: If the file cannot be written.
        TypeError: If a field is neither.
    """
    arrays: dict[str, NDArray[Any]] = {}
    metadata: dict[str, dict[str, Any]] = {"values": {}, "lengths": {}}
    for field in dataclasses.fields(plan):
        value = getattr(plan, field.name)
        if field.name == "is_synthetic" and value.all():
            continue  # so that the file is one that earlier versions wrote and read
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
        elif isinstance(value, tuple):
            arrays.update({f"{field.name}.{i}": array for i, array in enumerate(value)})
            metadata["lengths"][field.name] = len(value)
        else:
            metadata["values"][field.name] = value
    _FILE.write(path, arrays, metadata)


def read_plan(path: str | os.PathLike[str], kind: type) -> dict[str, Any]:
    """Read the fields of a plan.

    Args:
        path: The file.
        kind: Data class whose fields are wanted.

    Returns:
        Value of every field by its name.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the file holds no plan, or was damaged or changed, or a value cannot be one of a plan.
    """
    arrays, metadata = _FILE.read(path)
    with _FILE.checking(path):
        lengths, values = metadata.get("lengths"), metadata.get("values")
        if not isinstance(values, dict) or not isinstance(lengths, dict):
            raise ValueError("its metadata must hold values and lengths.")
        for name, length in lengths.items():
            if type(length) is not int or not 0 <= length <= len(arrays):
                raise ValueError(f"{name} cannot be {length!r} of its {len(arrays)} arrays.")
            values[name] = tuple(arrays.pop(f"{name}.{i}", None) for i in range(length))
        fields = {**values, **arrays}
        if "label" in arrays:
            fields.setdefault("is_synthetic", np.ones(arrays["label"].shape, dtype=bool))
        wanted = [field.name for field in dataclasses.fields(kind)]
        if fields.keys() != set(wanted):
            raise ValueError(f"its fields must be {', '.join(sorted(wanted))}; got {', '.join(sorted(fields))}.")
        for name, hint in get_type_hints(kind).items():
            if name in fields:
                _check_kind(name, fields[name], hint)
        _check_samples(fields)
        _check_options(fields["options"])
    return fields


def _check_kind(name: str, value: Any, hint: Any) -> None:
    """Check a value against the annotation of its field, as far as the annotation names a class."""
    kind: Any = get_origin(hint) or hint
    if not isinstance(kind, type):
        return
    is_kind = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if not is_kind:
        raise ValueError(f"{name} must be {kind.__name__}; got {type(value).__name__}.")
    if kind is np.ndarray and get_args(hint):
        (dtype,) = get_args(get_args(hint)[1])
        if dtype is not Any and value.dtype != dtype:
            raise ValueError(f"{name} must be {np.dtype(dtype)}; got {value.dtype}.")
    if kind is tuple:
        for i, part in enumerate(value):
            _check_kind(f"{name}.{i}", part, get_args(hint)[0])


def _check_samples(fields: dict[str, Any]) -> None:
    """Check the arrays of the samples and the tables: shapes, and values in their ranges."""
    shape, count = fields["label"].shape, fields["num_real"]
    if len(shape) != 1 or count < 0:
        raise ValueError(f"label must have one dimension and num_real be 0 or more; got {shape} and {count}.")
    for name, value in fields.items():
        if isinstance(value, np.ndarray) and value.shape[:1] != shape:
            raise ValueError(f"{name} must have one row for each of the {shape[0]} samples; got shape {value.shape}.")
    for name in ("base", "neighbor", "lam", "is_synthetic"):
        if fields[name].shape != shape:
            raise ValueError(f"{name} must have shape {shape}; got {fields[name].shape}.")
    indices = {name: fields[name] for name in ("base", "neighbor")}
    for i, table in enumerate(fields["tables"]):
        indices[f"tables.{i}"] = table
        if table.ndim != 2 or table.shape[1] < 1:
            raise ValueError(f"tables.{i} must have shape (q, 1 + k); got {table.shape}.")
    for name, array in indices.items():
        if array.size and not (array.min() >= 0 and array.max() < count):
            raise ValueError(
                f"{name} must hold indices of the {count} real samples; got {array.min()} to {array.max()}."
            )
    lam, label = fields["lam"], fields["label"]
    if not ((lam >= 0) & (lam <= 1)).all():  # NaN fails too
        raise ValueError(f"lam must be in [0, 1]; got {lam.min()} to {lam.max()}.")
    if (label < 0).any():
        raise ValueError(f"label must be 0 or more; got {label.min()}.")
    is_blend = (fields["base"] != fields["neighbor"]) | (lam > 0)
    if wrong := np.flatnonzero(is_blend & ~fields["is_synthetic"]).tolist():
        raise ValueError(f"is_synthetic must be true for a blend; it is false for sample {wrong[0]}.")


def _check_options(options: dict[str, Any]) -> None:
    """Check that the options of every sampler are there, each of its kind."""
    checks: dict[str, Callable[[Any], bool]] = {
        "sampler": lambda value: isinstance(value, str),
        "k_neighbors": lambda value: value is None or (type(value) is int and value >= 1),
        "random_state": lambda value: value is None or type(value) in (int, str),
        "n_samples": lambda value: (
            isinstance(value, list)
            and all(isinstance(pair, list) and len(pair) == 2 and type(pair[1]) is int for pair in value)
        ),
        "small_class": lambda value: value in get_args(SmallClass),
    }
    for name, is_right in checks.items():
        if name not in options:
            raise ValueError(f"its options lack {name}.")
        if not is_right(options[name]):
            raise ValueError(f"its option {name} cannot be {options[name]!r}.")
    recorded_draws(options)
