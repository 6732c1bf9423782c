"""Distances by hand; the criterion's options are tested by the tables of ``inspect_synthetic``."""

import numpy as np
import torch

from clesmote_losses import CappedSMOTELoss
from clesmote_losses.inspection.rule import CapRule, cap_rule

NAN = float("nan")
CENTROIDS = torch.tensor([[1.0, 0.0], [0.0, 2.0], [NAN, NAN]])
ROWS = torch.tensor([[3.0, 0.0], [1.0, 1.0], [NAN, 1.0]])


def test_distances_are_to_every_known_centroid() -> None:
    half = 1 - np.sqrt(0.5)
    expected = [[0.0, 1.0, np.inf], [half, half, np.inf], [NAN, NAN, NAN]]
    np.testing.assert_allclose(CapRule().distances(ROWS, CENTROIDS), expected, atol=1e-6)
    expected = [[2.0, np.sqrt(13), np.inf], [1.0, np.sqrt(2), np.inf], [NAN, NAN, NAN]]
    np.testing.assert_allclose(CapRule(distance="euclidean").distances(ROWS, CENTROIDS), expected, atol=1e-6)


def test_a_constant_cap_is_beta_times_the_weight_of_the_class() -> None:
    rule = cap_rule(CappedSMOTELoss(0.5, distance=None, weight=torch.tensor([1.0, 3.0, 2.0])), None, None, ...)
    assert rule.caps(ROWS, torch.tensor([0, 1, 2]), CENTROIDS).tolist() == [0.5, 1.5, 1.0]
    np.testing.assert_allclose(rule.distances(ROWS, CENTROIDS), CapRule().distances(ROWS, CENTROIDS))
