"""A batch for the capped loss, of which some rows are synthetic and some ignored."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

N, C = 64, 5
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 0.25, 3.0])


def make_batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Make logits, target (some ignored), flags and caps."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(N, C, generator=generator)
    target = torch.randint(0, C, (N,), generator=generator)
    flags = torch.rand(N, generator=generator) < 0.5
    target[:4] = -100
    flags[:4] = False
    return logits, target, flags, 3 * torch.rand(N, generator=generator)


def naive(
    logits: Tensor,
    target: Tensor,
    flags: Tensor,
    cap: Tensor,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
    reduction: str,
) -> Any:
    """The equation, row by row, in float64."""
    w = np.ones(logits.shape[1]) if weight is None else weight.double().numpy()
    losses, weights = [], []
    for z, y, s, c in zip(logits.double().numpy(), target.tolist(), flags.tolist(), cap.double().tolist(), strict=True):
        if y == ignore_index:
            losses.append(0.0)
            continue
        ce = np.log(np.exp(z).sum()) - z
        smoothed = (1 - label_smoothing) * w[y] * ce[y] + label_smoothing * (w * ce).mean()
        losses.append(min(smoothed, w[y] * c) if s else smoothed)
        weights.append(w[y])
    return {"none": losses, "sum": sum(losses), "mean": sum(losses) / sum(weights)}[reduction]
