"""The history of the loss: an oracle row by row, what ends an epoch, ranks, and the state of a resumed run."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_model, save_model
from timm.utils import ModelEmaV3
from torch import nn

from clesmote_losses import CappedSMOTELoss, end_epoch, log_prior
from tests.support.gloo import in_two_processes
from tests.support.loss_batch import WEIGHT, make_batch, naive

LOGITS, TARGET, FLAGS, _ = make_batch()
PRIOR = log_prior([5, 4, 3, 2, 1])


def mean(values: list[float]) -> Any:
    return pytest.approx(sum(values) / len(values), rel=1e-5) if values else None


@pytest.mark.filterwarnings("ignore:only .* still trains")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": WEIGHT, "label_smoothing": 0.2},
        {"logit_adjustment": PRIOR, "ignore_index": 3},
        {"capped": "oversampled"},
        {"warmup_epochs": 1},
        {"gradient": "scale", "reduction": "none"},
    ],
    ids=str,
)
def test_an_epoch_holds_the_numbers_of_each_class(options: dict[str, Any]) -> None:
    criterion = CappedSMOTELoss(1.5, distance=None, **options)
    criterion.set_epoch(0)
    criterion.set_oversampled_classes([1, 2])
    ignored, weight = criterion.ignore_index, criterion.weight
    labels = TARGET.masked_fill(TARGET < 0, ignored)
    for rows in (slice(0, 20), slice(20, None)):
        criterion(LOGITS[rows], labels[rows], is_synthetic=FLAGS[rows])
    end_epoch(criterion)
    logits = LOGITS + options.get("logit_adjustment", 0)
    never = torch.zeros_like(FLAGS)
    losses = naive(logits, labels, never, LOGITS[:, 0], weight, criterion.label_smoothing, ignored, "none")
    expected = {}
    for label in {0, 1, 2, 3, 4} - {ignored}:
        rows = [i for i in range(len(labels)) if labels[i] == label]
        subject = rows if options.get("capped") and label in (1, 2) else [i for i in rows if FLAGS[i]]
        if options.get("capped") and label not in (1, 2):
            subject = []
        ceiling = 1.5 * (1 if weight is None else weight[label].item())
        expected[label] = {
            "synthetic": sum(bool(FLAGS[i]) for i in rows),
            "real": sum(not FLAGS[i] for i in rows),
            "share_capped": mean([losses[i] > ceiling and not options.get("warmup_epochs") for i in subject]),
            "mean_cap": mean([1.5] * len(subject)),
            "loss_synthetic": mean([losses[i] for i in rows if FLAGS[i]]),
            "loss_real": mean([losses[i] for i in rows if not FLAGS[i]]),
        }
    assert criterion.history.epochs == [{"epoch": 0, "classes": expected}]
    shares = [numbers["share_capped"] or 0 for numbers in criterion.history.rows()]
    assert any(0 < share < 1 for share in shares) != ("warmup_epochs" in options)  # the case is not degenerate


def test_a_single_logit_has_two_classes_and_real_samples_alone_have_no_share() -> None:
    criterion = CappedSMOTELoss(0.5, distance=None)
    criterion(torch.tensor([0.0, 2.0, -2.0]), torch.tensor([1, 1, 0]), is_synthetic=torch.tensor([False, True, False]))
    criterion.reset_stats()
    one, other = criterion.history.epochs[0]["classes"].values()
    none = dict.fromkeys(["share_capped", "mean_cap", "loss_synthetic"])
    assert one == {"synthetic": 0, "real": 1, **none, "loss_real": pytest.approx(0.126928)}
    assert other == {
        "synthetic": 1,
        "real": 1,
        "share_capped": 0,
        "mean_cap": 0.5,
        "loss_synthetic": pytest.approx(0.126928),
        "loss_real": pytest.approx(0.693147),
    }


def test_a_loss_that_overflows_is_left_out_of_the_mean() -> None:
    criterion = CappedSMOTELoss(5.0, distance=None)
    criterion.reset_stats(expected_synthetic=0)
    for logits in ([[0.0, torch.inf]], [[torch.nan, 0.0]], [[0.0, 0.0]]):
        criterion(torch.tensor(logits), torch.tensor([0]))
        criterion(torch.tensor([[torch.nan, 0.0]]), torch.tensor([1]))
    end_epoch(criterion)
    assert [row["loss_real"] for row in criterion.history.rows()] == [pytest.approx(0.693147), None]


def batch(criterion: nn.Module, real: int) -> None:
    """Show the loss a synthetic sample and some real ones of class 0."""
    flags = torch.arange(real + 1) == 0
    criterion(torch.zeros(real + 1, 2), torch.zeros(real + 1, dtype=torch.long), is_synthetic=flags)


def seen(criterion: Any) -> list[tuple[int, int]]:
    """Epochs and the number of real samples in each."""
    return [(row["epoch"], row["real"]) for row in criterion.history.rows()]


LOOPS: dict[str, Callable[[Any, int], None]] = {
    "end_epoch, then set_epoch and reset_stats": lambda loss, epoch: (
        loss.set_epoch(epoch),
        loss.reset_stats(),
        batch(loss, epoch + 3),
        end_epoch(loss),
    ),
    "reset_stats, then set_epoch": lambda loss, epoch: (
        loss.reset_stats(),
        loss.set_epoch(epoch),
        batch(loss, epoch + 3),
    ),
    "set_epoch alone": lambda loss, epoch: (loss.set_epoch(epoch), batch(loss, epoch + 3)),
    "set_epoch and all_reduce_stats": lambda loss, epoch: (
        loss.set_epoch(epoch),
        batch(loss, 1),
        loss.all_reduce_stats(),
        batch(loss, epoch + 2),
        loss.all_reduce_stats(),
    ),
    "reset_stats alone": lambda loss, epoch: (batch(loss, epoch + 3), loss.reset_stats()),
    "all_reduce_stats and reset_stats": lambda loss, epoch: (
        batch(loss, epoch + 3),
        loss.all_reduce_stats(),
        loss.reset_stats(),
    ),
    "set_epoch in each step": lambda loss, epoch: (
        loss.set_epoch(epoch),
        batch(loss, 2),
        loss.set_epoch(epoch),
        batch(loss, epoch + 1),
    ),
}


@pytest.mark.parametrize("loop", LOOPS)
def test_each_epoch_of_any_loop_is_kept_once(loop: str) -> None:
    criterion = CappedSMOTELoss(5.0, distance=None)
    for epoch in range(3):
        LOOPS[loop](criterion, epoch)
    criterion.reset_stats()
    synthetic = 2 if "step" in loop or loop.startswith("set_epoch and") else 1
    assert seen(criterion) == [(0, 3), (1, 4), (2, 5)]
    assert [row["synthetic"] for row in criterion.history.rows()] == [synthetic] * 3
    assert criterion.stats["synthetic"] == 0


def test_an_epoch_that_is_run_again_replaces_its_row_and_the_later_ones() -> None:
    criterion = CappedSMOTELoss(5.0, distance=None)
    for epoch, real in ((0, 3), (1, 4), (2, 5), (1, 6)):
        criterion.set_epoch(epoch)
        criterion.reset_stats()
        batch(criterion, real)
        end_epoch(criterion)
    assert seen(criterion) == [(0, 3), (1, 6)]


def test_an_evaluation_and_an_epoch_without_a_batch_add_nothing() -> None:
    criterion = CappedSMOTELoss(5.0, distance=None).eval()
    criterion(torch.zeros(3, 2), torch.zeros(3, dtype=torch.long))
    criterion.train()
    for epoch in range(2):
        criterion.set_epoch(epoch)
        criterion.reset_stats()
        end_epoch(criterion)
    assert criterion.history.epochs == []


class Whole(nn.Module):
    """Network and loss in one module."""

    def __init__(self) -> None:
        super().__init__()
        self.criterion = CappedSMOTELoss(5.0, distance=None, weight=torch.ones(2))
        self.network = nn.Linear(4, 2)


def trained(epochs: range, whole: Whole) -> Whole:
    for epoch in epochs:
        whole.criterion.set_epoch(epoch)
        whole.criterion.reset_stats()
        batch(whole.criterion, epoch + 3)
        end_epoch(whole.criterion)
    return whole


def test_a_resumed_run_keeps_its_epochs(tmp_path: Path) -> None:
    first = trained(range(2), Whole())
    torch.save(first.criterion.state_dict(), tmp_path / "state.pt")
    save_model(first.criterion, str(tmp_path / "state.safetensors"))
    for name in ("state.pt", "state.safetensors"):
        resumed = Whole()
        if name == "state.pt":
            resumed.criterion.load_state_dict(torch.load(tmp_path / name, weights_only=True))
        else:
            load_model(resumed.criterion, tmp_path / name)
        assert resumed.criterion.history.epochs == first.criterion.history.epochs
        assert seen(trained(range(2, 4), resumed).criterion) == [(0, 3), (1, 4), (2, 5), (3, 6)]
    assert seen(first.criterion) == [(0, 3), (1, 4)]
    own_loop = CappedSMOTELoss(5.0, distance=None, weight=torch.ones(2))  # which never tells the epoch
    own_loop.load_state_dict(first.criterion.state_dict())
    batch(own_loop, 9)
    own_loop.reset_stats()
    assert seen(own_loop) == [(0, 3), (1, 4), (2, 9)]


def test_the_state_of_a_network_with_the_loss_in_it_keeps_its_shapes() -> None:
    whole = Whole()
    shapes = {name: value.shape for name, value in whole.state_dict().items()}
    average = ModelEmaV3(whole)
    trained(range(2), whole)
    assert {name: value.shape for name, value in whole.state_dict().items()} == shapes
    average.update(whole)
    whole.load_state_dict(Whole().state_dict())  # of another run: the epochs stay
    assert seen(whole.criterion) == [(0, 3), (1, 4)]


def test_a_state_without_history_loads() -> None:
    whole = Whole()
    whole.load_state_dict(
        {"network.weight": torch.ones(2, 4), "network.bias": torch.ones(2), "criterion.weight": torch.ones(2)}
    )
    whole.criterion.load_state_dict(nn.CrossEntropyLoss(weight=torch.zeros(2)).state_dict())
    assert whole.criterion.weight is not None
    assert whole.criterion.weight.tolist() == [0, 0]
    with pytest.raises(RuntimeError, match=r"Missing key.*weight"):
        whole.criterion.load_state_dict({})


def test_copies_and_pickles_have_a_history_of_their_own() -> None:
    whole = trained(range(2), Whole())
    for other in (copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        assert seen(trained(range(2, 3), other).criterion) == [(0, 3), (1, 4), (2, 5)]
    assert seen(whole.criterion) == [(0, 3), (1, 4)]


def test_numbers_are_plain_and_rows_are_flat() -> None:
    history = trained(range(2), Whole()).criterion.history
    assert json.loads(json.dumps(history.rows())) == history.rows()
    assert list(history.rows()[1].items())[:4] == [("epoch", 1), ("class", 0), ("synthetic", 1), ("real", 4)]


def on_rank(rank: int) -> list[Any]:
    """Epoch 0 with unequal ranks, 1 without a batch on rank 1, 2 without a sum over the ranks, 3 without a reset before."""
    criterion = CappedSMOTELoss(0.5, distance=None)
    for epoch, rows in enumerate(([8, 4], [6, 0], [5, 5], [2, 3])):
        criterion.set_epoch(epoch)
        if epoch < 3:
            criterion.reset_stats(expected_synthetic=0)
        if count := rows[rank]:
            labels = torch.full((count,), rank)
            criterion(torch.zeros(count, 2 + rank), labels, is_synthetic=torch.arange(count) >= 2)
        if epoch != 2:
            criterion.all_reduce_stats()
    return criterion.history.epochs


def test_an_epoch_is_that_of_all_ranks(tmp_path: Path) -> None:
    epochs, others = in_two_processes(on_rank, tmp_path)
    assert epochs == others
    ln2, ln3 = (pytest.approx(torch.tensor(n).log().item()) for n in (2.0, 3.0))

    def numbers(synthetic: int, loss: Any) -> dict[str, Any]:
        some = synthetic > 0
        return {
            "synthetic": synthetic,
            "real": 2,
            "share_capped": 1 if some else None,
            "mean_cap": 0.5 if some else None,
            "loss_synthetic": loss if some else None,
            "loss_real": loss,
        }

    assert epochs == [
        {"epoch": 0, "classes": {0: numbers(6, ln2), 1: numbers(2, ln3)}},
        {"epoch": 1, "classes": {0: numbers(4, ln2)}},
        {"epoch": 3, "classes": {0: numbers(0, ln2), 1: numbers(1, ln3)}},
    ]


@pytest.mark.slow
def test_the_history_of_a_compiled_loss_is_that_of_the_eager_one() -> None:
    torch._dynamo.reset()
    eager = CappedSMOTELoss(5.0, distance=None)
    compiled: Any = torch.compile(CappedSMOTELoss(5.0, distance=None), fullgraph=True, backend="aot_eager")
    for criterion in (eager, compiled):
        for epoch in range(2):
            criterion.set_epoch(epoch)
            criterion.reset_stats()
            for _ in range(2):
                batch(criterion, 4)
            end_epoch(criterion)
    assert seen(compiled) == [(0, 8), (1, 8)]
    assert compiled.history.epochs == eager.history.epochs
