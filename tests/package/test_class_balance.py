"""Class weights by the effective number of samples."""

import numpy as np
import pytest
import torch

from clesmote_losses import class_balanced_weights


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999, 1 - 1e-12])
def test_weights_equal_the_sum_that_the_effective_number_stands_for(beta: float) -> None:
    counts = [5000, 50, 3]
    effective = [sum(beta**j for j in range(n)) for n in counts]  # 1 + beta + beta^2 ... = (1 - beta^n) / (1 - beta)
    expected = np.array([1 / n for n in effective])
    expected *= len(counts) / expected.sum()
    np.testing.assert_allclose(class_balanced_weights(counts, beta), expected, rtol=1e-5)


def test_beta_moves_from_equal_weights_to_inverse_frequency() -> None:
    assert torch.equal(class_balanced_weights([10, 1000], beta=0.0), torch.ones(2))
    rare, common = class_balanced_weights([10, 1000], beta=1 - 1e-12)
    assert rare / common == pytest.approx(100, rel=1e-4)


def test_weights_sum_to_the_number_of_classes_and_rarer_weighs_more() -> None:
    counts = torch.tensor([7, 1, 400, 30])
    weights = class_balanced_weights(counts)
    assert weights.sum().item() == pytest.approx(4)
    assert torch.equal(weights.argsort(), counts.argsort(descending=True))
