"""The row of a GPU."""

import pytest
import torch

from benchmarks.micro import gpu


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_item_waits_for_the_gpu_and_an_addition_does_not():
    value = torch.ones((), device="cuda")
    assert gpu._does_wait(value.item) == 1
    assert gpu._does_wait(lambda: value + 1) == 0


def test_its_row_is_possible_where_torch_finds_a_gpu(monkeypatch):
    (row,) = gpu.BENCHMARKS
    assert row.is_possible() == torch.cuda.is_available()
