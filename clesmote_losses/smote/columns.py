"""One value for each sample, from a list, an array, a tensor or a column of a table."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_GAPS = ("", "nan", "NaN", "None", "<NA>", "NaT")  # and what a gap becomes where a table is turned into strings


def to_array(name: str, values: Any) -> NDArray[Any]:
    """Convert values to an array, one column of shape ``(N, 1)`` to shape ``(N,)``.

    Args:
        name: The argument, as a message names it.
        values: List, array, tensor, or Series of pandas, taken by position.

    Raises:
        ValueError: If the values have no common shape, or the index of a Series numbers the samples in another order.
    """
    if isinstance(values, Tensor):
        array: NDArray[Any] = values.detach().cpu().numpy()
    else:
        index = np.asarray(getattr(getattr(values, "index", None), "values", ()))  # a list has a method of this name
        is_shuffled = index.dtype.kind in "iu" and np.array_equal(np.sort(index), np.arange(len(index)))
        if is_shuffled and (np.diff(index) < 0).any():
            raise ValueError(
                f"{name} is a Series whose index numbers the samples in another order than its rows. Pass "
                f"{name}.to_numpy() if its rows are in the order of the data set, else {name}.sort_index().to_numpy()."
            )
        try:
            array = np.asarray(values)
        except ValueError as error:
            raise ValueError(f"{name} must hold one value for each sample; {error}.") from error
        if array.dtype.kind in "US" and isinstance(values, list | tuple):
            array = np.array(values, dtype=object)  # numpy turns a gap or number among strings into a string
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def check_column(name: str, values: Any, length: int) -> NDArray[Any]:
    """Convert values to numbers, bools or strings of shape ``(length,)``.

    Raises:
        ValueError: If the shape is wrong, a value is missing, or there are numbers and strings.
    """
    array = to_array(name, values)
    if array.shape != (length,):
        raise ValueError(
            f"{name} must have shape {(length,)}, one group for each sample; got {array.shape}.{advice_for_subset(name, array.size, length)}"
        )
    if gaps := gaps_in(array):
        others = f" ({len(gaps)} samples have none)" if len(gaps) > 1 else ""
        raise ValueError(
            f"{name} must give every sample a group; sample {gaps[0]} has {array.tolist()[gaps[0]]!r}{others}. "
            "Fill the gaps, or leave these samples out (Subset)."
        )
    if array.dtype == object:
        kinds = {"str" if isinstance(value, str) else "number" for value in array}
        if len(kinds) > 1:
            raise ValueError(f"{name} must be numbers or strings; got both. Convert them: [str(g) for g in {name}].")
        array = np.array(array.tolist())
    return array


def advice_for_subset(name: str, given: int, length: int) -> str:
    """Say what to pass where values are of the whole data set that a ``Subset`` is a part of."""
    return f" If they are of the whole data set of a Subset, pass {name}[subset.indices]." if given > length else ""


def gaps_in(array: NDArray[Any]) -> list[int]:
    """Return the positions that hold no value: NaN, ``None``, pandas' ``NA``, an empty string, or ``"nan"``."""
    if array.dtype.kind == "f":
        return np.flatnonzero(np.isnan(array)).tolist()
    if array.dtype.kind in "OUSM":
        return [i for i, value in enumerate(array) if is_gap(value)]
    return []


def is_gap(value: Any) -> bool:
    """Return whether a value stands for none."""
    if isinstance(value, str):
        return value.strip() in _GAPS
    if isinstance(value, float | np.floating | np.datetime64):
        return bool(value != value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")  # pandas need not be installed
