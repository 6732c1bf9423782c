"""Plans with fields that a newcomer might add, and a comparison of all fields."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clesmote_losses import SMOTEPlan


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class WeightedPlan(SMOTEPlan):
    """A plan with another array of the samples, and another value of the whole."""

    weight: NDArray[np.float64]
    note: dict[str, Any]


def with_more_fields(plan: SMOTEPlan) -> WeightedPlan:
    values = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    return WeightedPlan(**values, weight=np.random.default_rng(9).random(len(plan)), note={"made": "today", "by": [1]})


def same_bits(one: Any, other: Any) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def equal_plans(one: SMOTEPlan, other: SMOTEPlan) -> bool:
    """Tell whether every field of two plans is the same, arrays bit by bit."""
    if type(one) is not type(other) or vars(one).keys() != vars(other).keys():
        return False
    for name, value in vars(one).items():
        theirs = getattr(other, name)
        if isinstance(value, tuple):
            if len(value) != len(theirs) or not all(map(same_bits, value, theirs)):
                return False
        elif not (same_bits(value, theirs) if isinstance(value, np.ndarray) else value == theirs):
            return False
    return True
