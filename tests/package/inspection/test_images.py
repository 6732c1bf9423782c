"""Which real images are run."""

import numpy as np
import torch
from torch.utils.data import TensorDataset

from clesmote_losses.inspection.images import choose_real
from tests.support.colored_blobs import colors, smote


def test_small_sets_are_run_whole() -> None:
    assert choose_real(smote(colors())).tolist() == list(range(80))


def test_a_large_class_is_sampled_evenly_and_no_raised_image_or_parent_is_left_out() -> None:
    labels = torch.arange(5030) % 5030 >= 5000
    train_set = smote(TensorDataset(torch.rand(5030, 1, 2, 2), labels.long()))
    chosen = choose_real(train_set)
    of_large = chosen[chosen < 5000]
    assert len(of_large) == 2000
    assert set(np.diff(of_large)) == {2, 3}  # evenly
    assert (of_large[0], of_large[-1]) == (0, 4999)
    assert chosen[chosen >= 5000].tolist() == list(range(5000, 5030))
    every = smote(TensorDataset(torch.rand(5030, 1, 2, 2), labels.long()), blend="all", partners="any")
    parents = np.union1d(every.plan.base, every.plan.neighbor)
    assert np.isin(parents, choose_real(every)).all()
    assert len(parents) > 2030
