"""The triplet loss against its equation, and against torch's where it has a margin."""

import numpy as np
import pytest
import torch
from torch import nn

from clesmote_losses import triplet_margin_loss


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_loss_equals_the_equation_row_by_row(margin: float) -> None:
    anchors, positives, negatives = (torch.randn(40, 8) for _ in range(3))
    rows = [
        max(0.0, float(np.sqrt(((a - p) ** 2).sum()) - np.sqrt(((a - n) ** 2).sum())) + margin)
        for a, p, n in zip(*(t.double().numpy() for t in (anchors, positives, negatives)), strict=True)
    ]
    assert 0 < np.count_nonzero(rows) < 40
    loss = triplet_margin_loss(anchors, positives, negatives, margin)
    assert loss.item() == pytest.approx(np.mean(rows), rel=1e-5)
    if margin > 0:  # torch's own refuses the paper's margin
        torch.testing.assert_close(loss, nn.TripletMarginLoss(margin, eps=0.0)(anchors, positives, negatives))


def test_at_distance_zero_the_gradient_is_finite() -> None:
    parts = [torch.ones(3, 4, requires_grad=True) for _ in range(3)]
    triplet_margin_loss(*parts, margin=1.0).backward()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in parts)


def test_gradient_equals_finite_differences() -> None:
    parts = [torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    # the loss works in float32, so the steps must be coarse
    assert torch.autograd.gradcheck(
        lambda *p: triplet_margin_loss(*p, margin=0.3), parts, eps=1e-3, atol=1e-2, rtol=1e-2
    )


def test_no_triplet_costs_nothing() -> None:
    assert triplet_margin_loss(*torch.empty(3, 0, 4)) == 0
