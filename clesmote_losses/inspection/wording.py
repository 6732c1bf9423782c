"""How the pictures and the report write names, numbers and shares."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from clesmote_losses.smote.base_dataset import folder_and_name, image_path

if TYPE_CHECKING:
    from clesmote_losses.inspection.inspection import Inspection


def shorten(name: str, length: int = 40) -> str:
    """Cut the middle of a name that is longer than ``length``, since the end of a file's name tells it from others."""
    start = (length - 1) // 3
    return name if len(name) <= length else f"{name[:start]}…{name[start + 1 - length :]}"


def file_names(inspection: "Inspection", indices: Sequence[int]) -> list[str]:
    """Return folder and name of the files of some real images; where the data set knows none, their index."""
    paths = (image_path(inspection.train_set.base, int(index)) for index in indices)
    return [folder_and_name(path) if path else f"image {index}" for path, index in zip(paths, indices, strict=True)]


def class_name(inspection: "Inspection", label: int, length: int = 40) -> str:
    """Return the name of a class; its number if it has none."""
    names = inspection.class_names
    return shorten(str(names[label]) if 0 <= label < len(names) else str(label), length)


def has_copies(inspection: "Inspection") -> bool:
    """Return whether the synthetic images are plain copies of real ones, not blends."""
    return bool(inspection.train_set.plan.options["sampler"] == "RandomOverSampler")


def nats(value: float) -> str:
    """Write a loss or cap with as many digits as tell something."""
    if not np.isfinite(value):
        return "∞" if value > 0 else "not a number"
    return f"{value:.2f}" if value >= 0.095 or value == 0 else f"{value:.1g}"


def percent(share: float) -> str:
    """Write a share; one that is neither nothing nor all is never written as 0 % or 100 %."""
    digits = 1 if 0 < share < 0.1 or 0.99 < share < 1 else 0
    text = f"{100 * share:.{digits}f} %"
    return {"0.0 %": "under 0.1 %", "100.0 %": "over 99.9 %"}.get(text, text)


def loss_in_words(loss: float, cap: float) -> str:
    """Write a loss beside its cap."""
    if np.isinf(cap):
        return f"loss {nats(loss)}, no cap"
    return f"loss {nats(loss)}, {'over' if loss > cap else 'within'} its cap of {nats(cap)}"


def network_in_words(model: nn.Module) -> str:
    """Name a network (as timm does, if it is timm's) and count its parameters."""
    name = (getattr(model, "pretrained_cfg", None) or {}).get("architecture") or type(model).__name__
    count = sum(parameter.numel() for parameter in model.parameters())
    return f"{name}, {count / 1e6:.2f} million parameters"
