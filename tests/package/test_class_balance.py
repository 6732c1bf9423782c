"""Class weights by the effective number of samples, and the log prior."""

import numpy as np
import pytest
import torch

from clesmote_losses import class_balanced_weights, log_prior


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


def test_a_beta_of_one_is_the_inverse_frequency() -> None:
    weights = class_balanced_weights([10, 1000, 40], beta=1.0)
    inverse = np.array([1 / 10, 1 / 1000, 1 / 40])
    np.testing.assert_allclose(weights, 3 * inverse / inverse.sum(), rtol=1e-6)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_the_log_prior_lets_raw_logits_score_balanced_classes(tau: float) -> None:
    counts = np.array([900, 90, 10])
    likelihood = np.array([0.2, 0.3, 0.5])  # of one image under each class
    posterior = likelihood * counts / (likelihood * counts).sum()  # what training on these counts learns
    raw = np.log(posterior) - log_prior(counts).numpy()
    np.testing.assert_allclose(raw - raw[0], np.log(likelihood / likelihood[0]), rtol=1e-5)
    np.testing.assert_allclose(log_prior(counts, tau), tau * np.log(counts / 1000), rtol=1e-6)
