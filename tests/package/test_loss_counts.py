"""Counts of the loss: exact in any precision, of each rank its own, and warnings about counts that cannot be right."""

import copy
import itertools
import math
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Subset, TensorDataset, WeightedRandomSampler

from clesmote_losses import (
    CappedSMOTELoss,
    ClassCentroidTracker,
    SMOTEDataset,
    begin_epoch,
    decode_target,
    encode_target,
    end_epoch,
)
from clesmote_losses.loss_counts import LossCounts
from tests.support.gloo import in_two_processes
from tests.support.loss_batch import WEIGHT, make_batch


class Whole(nn.Module):
    """Network and loss in one module, as trainers wrap, cast and copy them."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Linear(4, 2)
        self.criterion = CappedSMOTELoss(beta=0.01, distance=None)

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = self.criterion(self.network(images), target)
        return loss


def add(counts: LossCounts, flags: Tensor, **floats: Tensor) -> None:
    """Count rows of class 0, of which the synthetic ones are subject to the cap, over it and without a centroid."""
    floats = {name: floats.get(name, torch.zeros(len(flags))) for name in ("cap", "loss", "kept")}
    counts.add(torch.zeros_like(flags).long(), flags, 1, subject=flags, capped=flags, without_centroid=flags, **floats)


def target(synthetic: int, rows: int = 9) -> Tensor:
    return encode_target(torch.arange(rows) % 2, torch.arange(rows) < synthetic)


def seen(criterion: CappedSMOTELoss) -> float:
    return float(criterion.stats["synthetic"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_module_in_half_precision_counts_exactly(dtype: torch.dtype) -> None:
    whole = Whole().to(dtype)
    for _ in range(400):
        whole(torch.rand(9, 4, dtype=dtype), target(9))
    assert seen(whole.criterion) == 3600
    whole.criterion.weight = torch.ones(2)
    assert whole.half().criterion.weight.dtype == torch.float16  # type: ignore[union-attr]


def test_counts_and_mean_cap_are_exact_beyond_the_digits_of_float32() -> None:
    counts, rows = LossCounts(), 2**20 + 1  # 17 times an odd number, beyond 2**24
    flags, tenth = torch.ones(rows, dtype=torch.bool), torch.full((rows,), 0.1)
    for _ in range(17):
        add(counts, flags, cap=tenth, loss=tenth, kept=tenth)
    stats = counts.stats()
    assert 17 * rows > 2**24
    assert [int(stats[name]) for name in ("synthetic", "capped", "without_centroid")] == [17 * rows] * 3
    assert stats["mean_cap"] == torch.tensor(0.1)
    assert stats["mass_kept"] == 1
    total = torch.full((3,), 17 * rows * float(torch.tensor(0.1)), dtype=torch.float64)
    torch.testing.assert_close(counts.sums[1, 1], total, rtol=1e-12, atol=0)
    assert stats["share_capped"] == 1


def test_the_default_dtype_does_not_round_the_share() -> None:
    criterion = CappedSMOTELoss(beta=0.5, distance=None)
    torch.set_default_dtype(torch.float16)
    try:
        for rows in (2**20, 1):
            criterion(torch.zeros(rows, 2), encode_target(torch.zeros(rows, dtype=torch.long), torch.ones(rows) > 0))
        criterion(torch.tensor([[9.0, 0.0]]), target(1, 1))
        share = criterion.stats["share_capped"]
    finally:
        torch.set_default_dtype(torch.float32)
    assert share == torch.tensor((2**20 + 1) / (2**20 + 2))


def test_the_mean_cap_is_that_of_the_finite_caps_of_synthetic_samples() -> None:
    counts, cap = LossCounts(), torch.tensor([0.1, 1e6, torch.inf, torch.nan, 5.0])
    synthetic = torch.tensor([True, True, True, True, False])
    for _ in range(1000):
        add(counts, synthetic, cap=cap)
    expected = math.fsum(float(value) for value in cap[:2]) / 2
    assert counts.stats()["mean_cap"] == torch.tensor(expected, dtype=torch.float32)


@pytest.mark.parametrize("oversampled", [None, [1, 2], [3]])
@pytest.mark.parametrize("gradient", ["stop", "scale"])
def test_the_mass_kept_is_the_share_of_the_loss_of_the_oversampled_classes_that_trains(
    gradient: Any, oversampled: Any
) -> None:
    logits, labels, flags, _ = make_batch()
    criterion = CappedSMOTELoss(1.5, distance=None, gradient=gradient, weight=WEIGHT)
    if oversampled is not None:
        criterion.set_oversampled_classes(oversampled)
    flags = flags & ((labels == 1) | (labels == 2))
    for _ in range(2):
        criterion(logits, labels, is_synthetic=flags)
    before = kept = 0.0
    ignored = labels == -100
    losses = F.cross_entropy(logits, labels, WEIGHT, reduction="none")
    for loss, label, flag, skip in zip(losses.tolist(), labels.tolist(), flags.tolist(), ignored.tolist(), strict=True):
        if not skip and label in {1, 2, *(oversampled or ())}:
            cap = 1.5 * WEIGHT[label].item()
            before += loss
            kept += loss if not flag or loss <= cap else {"stop": 0, "scale": cap}[gradient]
    assert criterion.stats["mass_kept"] == pytest.approx(kept / before, rel=1e-6)
    assert kept < before


def test_a_class_that_is_blended_and_not_oversampled_is_watched_too() -> None:
    criterion = CappedSMOTELoss(1e-3, distance=None)
    criterion.set_oversampled_classes([])  # balanced before, with blend="all"
    criterion(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]), is_synthetic=torch.tensor([False, False, True, True]))
    assert criterion.stats["mass_kept"] == 0.5
    criterion(torch.zeros(3, 2), torch.tensor([1, 1, 1]), is_synthetic=torch.tensor([True, True, False]))
    with pytest.warns(UserWarning, match="only 40 % of the loss of class 1 still trains"):
        criterion.reset_stats()


def test_tables_hold_each_class_and_real_and_synthetic_samples_apart() -> None:
    logits, labels, flags, _ = make_batch()
    criterion = CappedSMOTELoss(1.5, distance=None)
    for rows in (slice(0, 30), slice(30, None)):
        criterion(
            logits[rows, :3] if rows.start == 0 else logits[rows], labels[rows].clamp(max=2), is_synthetic=flags[rows]
        )
    labels = labels.clamp(max=2)
    counts, sums = criterion._counts.counts, criterion._counts.sums
    assert counts.shape == (6, 2, 6)  # of ignored rows first; the table grows with the number of classes
    for label, synthetic in itertools.product((-100, 0, 1, 2, 3, 4), (False, True)):
        index, chosen = max(label, -1) + 1, (labels == label) & (flags == synthetic)
        assert counts[index, int(synthetic), 0] == chosen.sum()
        assert sums[index, int(synthetic), 0] == pytest.approx(1.5 * chosen.sum() * synthetic)
    losses = torch.cat(
        [
            F.cross_entropy(logits[:30, :3], labels[:30], reduction="none"),
            F.cross_entropy(logits[30:], labels[30:], reduction="none"),
        ]
    )
    assert sums[:, :, 1].sum().item() == pytest.approx(losses.sum().item(), rel=1e-6)
    capped = flags & (losses > 1.5)
    assert capped.any()
    assert sums[:, :, 2].sum().item() == pytest.approx(losses[~capped].sum().item(), rel=1e-6)


def test_a_loss_that_overflows_does_not_spoil_the_share() -> None:
    criterion = CappedSMOTELoss(5.0, distance=None)
    for logits in ([[0.0, torch.inf]], [[torch.nan, 0.0]], [[0.0, 0.0]]):
        criterion(torch.tensor(logits), target(1, 1))
    assert criterion.stats["mass_kept"] == 1


def test_without_a_sample_of_an_oversampled_class_there_is_no_share() -> None:
    criterion = CappedSMOTELoss(5.0, distance=None)
    criterion.set_oversampled_classes([1])
    assert criterion.stats["mass_kept"].isnan()
    criterion(torch.zeros(2, 2), torch.tensor([0, 0]))
    assert criterion.stats["mass_kept"].isnan()


def test_a_class_of_which_less_than_half_of_the_loss_trains_is_named_once() -> None:
    criterion = CappedSMOTELoss(0.5, distance=None)
    found = []
    for labels in ([1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 2]):  # of each class the first sample is real
        flags = torch.tensor([False, True, True, True])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            criterion(torch.zeros(4, 3), torch.tensor(labels), is_synthetic=flags)
            end_epoch(criterion)
            criterion.reset_stats()
        found.append([str(warning.message) for warning in caught])
    assert [len(messages) for messages in found] == [1, 0, 1]
    assert found[0][0].startswith(
        "only 0 % of the loss of class 0, 33 % of the loss of class 1 still trains: raise beta (now 0.5), or "
    )
    assert "ln(3) = 1.10 nats" in found[0][0]
    assert "class 2 still trains" in found[2][0]
    assert "class 1" not in found[2][0]


@pytest.mark.parametrize("options", [{"gradient": "scale"}, {"warmup_epochs": 1}, {"beta": 1.0}])
def test_a_class_that_trains_is_not_warned_of(options: dict[str, Any]) -> None:
    criterion = CappedSMOTELoss(**{"beta": 0.5, "distance": None, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        begin_epoch(criterion, data_set(6), 0)
        criterion(torch.zeros(9, 2), target(9))
        end_epoch(criterion)


def test_real_samples_that_are_capped_are_warned_of_without_a_synthetic_one() -> None:
    criterion = CappedSMOTELoss(0.5, distance=None, capped="oversampled")
    criterion.set_oversampled_classes([1])
    criterion.reset_stats(expected_synthetic=0)
    criterion(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]))
    with pytest.warns(UserWarning, match="only 0 % of the loss of class 1 still trains"):
        criterion.reset_stats()


def test_counts_are_neither_state_nor_buffers_and_are_copied_and_pickled_with_the_loss() -> None:
    whole = Whole()
    state = whole.state_dict()
    assert not list(whole.buffers())
    whole(torch.rand(9, 4), target(3))
    assert str(whole.state_dict()) == str(state)
    copies = [copy.deepcopy(whole), pickle.loads(pickle.dumps(whole)), AveragedModel(whole, use_buffers=True).module]
    for other in copies:
        other(torch.rand(9, 4), target(5))
        assert (seen(other.criterion), seen(whole.criterion)) == (8, 3)


def test_a_loss_made_on_the_meta_device_counts() -> None:
    with torch.device("meta"):
        whole = Whole()
    whole = whole.to_empty(device="cpu")
    whole(torch.rand(9, 4), target(3))
    assert seen(whole.criterion) == 3
    whole.to("meta")(torch.rand(9, 4, device="meta"), target(3).to("meta"))
    assert whole.criterion.stats["synthetic"].device.type == "meta"


def test_a_validation_in_inference_mode_may_come_first() -> None:
    whole = Whole().eval()
    for mode in (torch.inference_mode(), torch.no_grad()):
        with mode, pytest.warns(UserWarning, match="3 synthetic samples"):
            whole(torch.rand(9, 4), target(3))
        whole.train().eval()
    whole.train()
    whole(torch.rand(9, 4), target(4))
    assert seen(whole.criterion) == 4


def count_in_ddp(rank: int) -> list[float]:
    """Rank 0 has 1 synthetic sample in a batch, rank 1 has 7."""
    whole = DistributedDataParallel(Whole())
    criterion = whole.module.criterion
    for _ in range(10):
        whole(torch.rand(9, 4), target(1 if rank == 0 else 7)).backward()
    found = [seen(criterion)]
    for _ in range(2):  # the second time changes nothing
        criterion.all_reduce_stats()
        found.append(seen(criterion))
    whole(torch.rand(9, 4), target(1))
    return [*found, seen(criterion)]


def epochs_of_ranks(rank: int) -> list[tuple[float, int]]:
    """Synthetic samples and warnings of epochs in which one rank, no rank, and one rank of unequal lengths has some."""
    criterion, found = CappedSMOTELoss(beta=5.0, distance=None), []
    criterion.reset_stats(expected_synthetic=4)
    for batches in ([[target(4)], [target(0)]], [[target(0)], [target(0)]], [[], [target(4), target(1)]]):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for batch in batches[rank]:
                criterion(torch.zeros(9, 2), batch)
            found.append(end_epoch(criterion)["synthetic"])
            criterion.reset_stats()
        found[-1] = found[-1], len(caught)
    return found


def test_under_ddp_each_rank_counts_its_own_samples_and_all_are_added_once(tmp_path: Path) -> None:
    assert in_two_processes(count_in_ddp, tmp_path) == [[10, 80, 80, 11], [70, 80, 80, 71]]


def test_the_sum_over_the_ranks_decides_whether_a_synthetic_sample_was_seen(tmp_path: Path) -> None:
    assert in_two_processes(epochs_of_ranks, tmp_path) == [[(4, 0), (0, 1), (5, 0)]] * 2


def mass_on_rank(rank: int) -> list[Any]:
    """Rank 0 trains all of class 1, rank 1 caps three quarters of it, in an epoch of unequal shares; then rank 0 alone."""
    criterion = CappedSMOTELoss(0.5, distance=None)
    criterion.set_oversampled_classes([1])
    found: list[Any] = []
    for synthetic in ([0, 6], [4, None]):
        flags = synthetic[rank]
        if flags is not None:
            is_synthetic = torch.arange(8) < flags
            criterion(torch.zeros(8, 2), torch.ones(8, dtype=torch.long), is_synthetic=is_synthetic)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found.append((end_epoch(criterion)["mass_kept"], len(caught)))
            criterion.reset_stats()
    return found


def test_the_mass_kept_is_of_the_sums_over_the_ranks(tmp_path: Path) -> None:
    assert in_two_processes(mass_on_rank, tmp_path) == [[(0.625, 0), (0.5, 0)]] * 2


def data_set(rare: int) -> SMOTEDataset:
    return SMOTEDataset(TensorDataset(torch.rand(10 + rare, 3, 8, 8), torch.tensor([0] * 10 + [1] * rare)))


def loop(train_set: SMOTEDataset, *, epochs: int = 2, change: Any = None, **loader: Any) -> list[str]:
    """Train a loop and return its warnings; ``change`` is made to each target."""
    criterion = CappedSMOTELoss(beta=5.0, distance=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch in range(epochs):
            begin_epoch(criterion, train_set, epoch)
            for images, labels in DataLoader(train_set, batch_size=5, **loader):
                criterion(images.flatten(1)[:, :2], labels if change is None else change(labels))
            end_epoch(criterion)
    return [str(warning.message) for warning in caught]


def test_an_epoch_without_the_synthetic_samples_of_its_set_is_warned_about_once() -> None:
    base_sampler = WeightedRandomSampler([0.1] * 10 + [0.2] * 6, num_samples=16)
    decoded_before = loop(data_set(6), change=lambda labels: decode_target(labels)[0])
    with_sampler = loop(data_set(6), sampler=base_sampler)
    for messages, rows in ((decoded_before, 20), (with_sampler, 16)):
        assert len(messages) == 2  # one in each epoch
        for message in messages:
            assert f"none of the {rows} samples" in message
            assert "the training set has 4" in message


def test_an_epoch_that_never_calls_the_loss_is_warned_about_at_its_end_only() -> None:
    criterion = CappedSMOTELoss(beta=5.0, distance=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for epoch in range(2):
            begin_epoch(criterion, data_set(6), epoch)
    with pytest.warns(UserWarning, match="saw no synthetic sample, though the training set has 4: it was not called"):
        end_epoch(criterion)


def test_a_right_loop_and_a_balanced_set_are_not_warned_about() -> None:
    assert loop(data_set(6), shuffle=True) == []
    assert loop(data_set(10)) == []
    assert loop(data_set(10), change=lambda labels: decode_target(labels)[0]) == []


def test_a_loop_without_begin_epoch_is_warned_at_its_reset_and_not_at_the_first() -> None:
    criterion = CappedSMOTELoss(beta=5.0, distance=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        criterion.reset_stats()
        criterion(torch.zeros(9, 2), target(1))
        criterion.reset_stats()
        criterion.reset_stats()
    criterion(torch.zeros(9, 2), target(0))
    with pytest.warns(UserWarning, match="none of the 9 samples") as caught:
        criterion.reset_stats()
    assert caught[0].filename == __file__  # the user's line
    criterion.reset_stats(expected_synthetic=0)
    criterion(torch.zeros(9, 2), target(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        criterion.reset_stats()


def read_by(criterion: CappedSMOTELoss, read: str) -> None:
    reads: dict[str, Any] = {
        "stats": lambda: criterion.stats,
        "reset": criterion.reset_stats,
        "train": criterion.train,
        "end_epoch": lambda: end_epoch(criterion),
    }
    reads[read]()


@pytest.mark.parametrize("read", ["stats", "reset", "train", "end_epoch"])
def test_synthetic_samples_in_evaluation_are_warned_about_at_once_and_once(read: str) -> None:
    criterion = CappedSMOTELoss(beta=5.0, distance=None)
    criterion(torch.zeros(9, 2), target(2))
    criterion.eval()
    criterion(torch.zeros(9, 2), target(0))
    for evaluation in range(2):
        match = r"2 synthetic samples came to the loss in evaluation mode.*split first"
        with pytest.warns(UserWarning, match=match) as caught:
            criterion(torch.zeros(9, 2), target(2))  # the script may end here
        assert caught[0].filename == __file__  # the user's line, through torch's
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            criterion(torch.zeros(9, 2), target(2))
            read_by(criterion, read)
            criterion.history.is_ended = False  # the next epoch is begun by hand
            criterion.train()
            assert criterion.stats["synthetic"] == (0 if read == "reset" else 2), evaluation
            criterion.eval()(torch.zeros(9, 2), target(0))  # a validation set without them


@pytest.mark.parametrize("read", ["stats", "reset", "train", "end_epoch"])
def test_on_a_gpu_synthetic_samples_in_evaluation_are_not_read_before_the_end(read: str) -> None:
    criterion = CappedSMOTELoss(beta=5.0, distance=None)
    criterion.eval()
    for _ in range(3):  # values of a meta tensor cannot be read
        criterion(torch.zeros(9, 2, device="meta"), target(2).to("meta"))
    assert criterion._counts._evaluated is not None
    criterion._counts._evaluated = torch.tensor(6)
    with pytest.warns(UserWarning, match="6 synthetic samples came"):
        read_by(criterion, read)


def trained_online(epochs: Any, tracker: ClassCentroidTracker, train_set: SMOTEDataset) -> list[str]:
    """Train some epochs and return the warnings."""
    criterion = CappedSMOTELoss(beta=5.0, tracker=tracker)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch in epochs:
            begin_epoch(criterion, train_set, epoch)
            for images, encoded in DataLoader(train_set, batch_size=20, shuffle=True):
                criterion(tracker.model(images), encoded)
            end_epoch(criterion)
    return [str(warning.message) for warning in caught]


def test_a_resumed_online_run_without_the_trackers_state_is_warned_of_and_no_other() -> None:
    train_set = SMOTEDataset(TensorDataset(torch.rand(20, 4), torch.arange(20) // 14), features=torch.rand(20, 3))
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with ClassCentroidTracker(network, 2, classifier="2", mode="online") as tracker:
        assert trained_online(range(3), tracker, train_set) == []
        saved = tracker.state_dict()
    with ClassCentroidTracker(network, 2, classifier="2", mode="online") as tracker:
        (message,) = trained_online(range(3, 6), tracker, train_set)
        assert "no sample of class 1 had a centroid" in message
        assert "save tracker.state_dict() in the checkpoint" in message
    with ClassCentroidTracker(network, 2, classifier="2", mode="online") as tracker:
        tracker.load_state_dict(saved)
        assert trained_online(range(3, 5), tracker, train_set) == []


@pytest.mark.parametrize("first", ["set_epoch", "reset_stats"])
def test_a_loop_of_own_calls_in_any_order_is_warned_of_lost_centroids_only(first: str) -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    for epochs, is_lost in ((range(3), False), (range(2, 5), True)):
        tracker = ClassCentroidTracker(network, 2, classifier="2", mode="online")
        criterion = CappedSMOTELoss(beta=5.0, tracker=tracker)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for epoch in epochs:
                for call in (first, {"set_epoch": "reset_stats", "reset_stats": "set_epoch"}[first]):
                    getattr(criterion, call)(*[epoch] * (call == "set_epoch"))
                tracker.refresh()
                criterion(network(torch.rand(9, 4)), target(4))
            criterion.all_reduce_stats()
        tracker.detach()
        assert bool(caught) == is_lost


def test_a_class_whose_images_a_refresh_did_not_read_is_named() -> None:
    base = TensorDataset(torch.rand(20, 4), torch.arange(20) // 14)
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with ClassCentroidTracker(network, 2, classifier="2") as tracker:
        criterion = CappedSMOTELoss(beta=5.0, tracker=tracker)
        tracker.refresh(Subset(base, range(14)))
        criterion(network(torch.rand(9, 4)), encode_target(torch.ones(9).long(), torch.arange(9) < 4))
        with pytest.warns(UserWarning, match=r"no sample of class 1 had a centroid.*classes with images in data"):
            end_epoch(criterion)


@pytest.mark.slow
def test_counting_compiles_into_one_graph_in_training_and_evaluation() -> None:
    torch._dynamo.reset()
    criterion = CappedSMOTELoss(beta=0.01, distance=None)
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    with torch.inference_mode():
        criterion.eval()
        compiled(torch.zeros(9, 2), target(2))
    criterion.train()
    for _ in range(2):
        compiled(torch.zeros(9, 2), target(4))
        criterion.all_reduce_stats()
    assert seen(criterion) == 8
