"""What one rank makes for all."""

import torch
from torch.utils.data import TensorDataset

from clesmote_losses.distributed import from_rank_0
from clesmote_losses.hosts.options import Options
from clesmote_losses.hosts.recipe import training_set
from tests.support.gloo import in_two_processes


def share(rank):
    value = from_rank_0(lambda: f"made on rank {rank}")
    try:
        from_rank_0(lambda: [][rank])
    except IndexError as error:
        return value, str(error)


class Counted(TensorDataset):
    reads = 0

    def __getitem__(self, index):
        self.reads += 1
        return super().__getitem__(index)


def wrap(rank):
    base = Counted(torch.rand(300, 3, 4, 4, generator=torch.Generator().manual_seed(rank)), torch.arange(300) // 200)
    base.targets = base.tensors[1]
    train_set = training_set(base, Options(smote="smote"))
    return train_set.base.reads, train_set.plan.lam.tolist()


def test_only_rank_0_reads_images_for_the_plan(tmp_path):
    (reads, lams), (other_reads, other_lams) = in_two_processes(wrap, tmp_path)
    assert reads >= 100 > other_reads
    assert lams == other_lams


def test_rank_0_makes_and_all_get_it_or_its_error(tmp_path):
    assert in_two_processes(share, tmp_path) == [("made on rank 0", "list index out of range")] * 2
