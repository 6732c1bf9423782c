"""Each candidate on planted labels, and the precision by hand."""

import itertools

import numpy as np
import pytest

from benchmarks.suspects.candidates import all_scores, precision
from clesmote_losses import inspect_synthetic
from tests.support.colored_blobs import RARE, colors, smote, trained


def test_every_candidate_finds_wrong_labels_that_are_plain_to_see():
    wrong = 4
    scores = all_scores(inspect_synthetic(trained(), smote(colors(wrong=wrong)), beta=0.5))
    is_wrong = np.arange(RARE) < wrong
    assert {"loss", "distance", "head", "capped", "blends", "head and loss"} <= set(scores)
    for name, values in scores.items():
        assert values.shape == (RARE,), name
        assert precision(values, is_wrong) > 0.9, name


def test_the_distance_is_to_the_centroid_without_the_image():
    inspection = inspect_synthetic(trained(), smote(colors(wrong=4)))
    rows = inspection.real_embeddings.astype(np.float64)
    own, other = rows[60:], rows[:60].mean(0)

    def cosine(one, two):
        return 1 - one @ two / np.linalg.norm(one) / np.linalg.norm(two)

    expected = [cosine(row, np.delete(own, i, 0).mean(0)) / cosine(row, other) for i, row in enumerate(own)]
    np.testing.assert_allclose(all_scores(inspection)["distance"], expected, rtol=1e-6)


@pytest.mark.parametrize("scores", [[3, 2, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0], [0, 2, 2, 1]])
def test_precision_is_the_mean_over_the_orders_of_ties(scores):
    is_wrong = np.array([True, False, True, False])
    orders = [
        order
        for order in itertools.permutations(range(4))
        if all(scores[one] >= scores[two] for one, two in itertools.pairwise(order))
    ]
    expected = np.mean([is_wrong[list(order[:2])].mean() for order in orders])
    assert precision(np.array(scores, dtype=float), is_wrong) == pytest.approx(expected)
