"""Sums of rows, class by class, against a plain mean in float64."""

import pytest
import torch

from clesmote_losses.class_sums import ClassSums


@pytest.mark.parametrize("shape", [(8,), (3, 4, 5)], ids=["embeddings", "images"])
def test_means_are_those_of_the_counted_rows_over_all_batches(shape: tuple[int, ...]) -> None:
    rows, labels, counted = torch.randn(300, *shape), torch.randint(-1, 3, (300,)), torch.rand(300) < 0.6
    counted &= labels >= 0
    sums = ClassSums(4, rows)
    for part in range(3):
        sums.add(rows[part::3], labels[part::3], counted[part::3])
    means = sums.mean()
    assert means.dtype == torch.float32
    assert sums.counts.tolist() == [int((counted & (labels == c)).sum()) for c in range(4)]
    for c in range(3):
        torch.testing.assert_close(means[c], rows[counted & (labels == c)].double().mean(0).float(), rtol=0, atol=1e-7)
    assert means[3].isnan().all()


def test_a_row_that_is_not_finite_is_left_out() -> None:
    rows = torch.tensor([[1.0, 2.0], [torch.inf, 0.0], [0.0, torch.nan], [3.0, 4.0]])
    sums = ClassSums(1, rows)
    sums.add(rows, torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.bool))
    assert sums.counts.tolist() == [2]
    assert sums.mean().tolist() == [[2.0, 3.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mean_over_many_rows_loses_no_digits(dtype: torch.dtype) -> None:
    rows = torch.full((1000, 1), 1.1, dtype=dtype)
    sums = ClassSums(1, rows)
    for _ in range(200):
        sums.add(rows, torch.zeros(1000, dtype=torch.long), torch.ones(1000, dtype=torch.bool))
    assert sums.mean().item() == rows[0].float().item()
