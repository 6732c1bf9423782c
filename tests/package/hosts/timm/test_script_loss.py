"""The options of the script's loss, and runs in which the capped loss keeps them."""

import pytest
import torch
from timm.loss import BinaryCrossEntropy, LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch import nn
from torchvision.ops import sigmoid_focal_loss

from clesmote_losses import encode_target
from clesmote_losses.epochs import end_epoch
from clesmote_losses.hosts.timm.script_loss import OwnLoss, loss_options, uneven_weights
from tests.support.gloo import in_two_processes
from tests.support.timm_runs import KINDS, SMOTE, losses, run, variant

NOTHING = [*SMOTE, "--smote-strategy", "one=24"]  # as many as there are


def test_the_options_of_a_loss_are_kept():
    weight = torch.tensor([1.0, 2.0])
    options = loss_options(nn.CrossEntropyLoss(weight, label_smoothing=0.2, ignore_index=7))
    assert options.pop("weight") is not None
    assert options == {"label_smoothing": 0.2, "ignore_index": 7}
    assert loss_options(nn.CrossEntropyLoss())["weight"] is None
    assert loss_options(LabelSmoothingCrossEntropy(0.3)) == {"label_smoothing": 0.3}


@pytest.mark.parametrize(
    "loss", [None, nn.MultiMarginLoss(), nn.CrossEntropyLoss(reduction="sum"), SoftTargetCrossEntropy()]
)
def test_another_loss_is_refused_by_name(loss):
    name = "None" if loss is None else type(loss).__name__
    with pytest.raises(ValueError, match=f"trains with {name}; the capped loss can replace only .* averaged"):
        loss_options(loss)


def test_the_label_smoothing_of_the_script_is_kept(data, tmp_path):
    arguments = ["--workers", "1", "--smoothing"]
    rows = run("old", data, tmp_path / "with", NOTHING, *arguments, "0.1")
    alone = run("old", data, tmp_path / "alone", [], *arguments, "0.1")
    assert losses(rows) == pytest.approx(losses(alone), rel=1e-5)
    plain = run("old", data, tmp_path / "plain", [], *arguments, "0.3")
    assert losses(rows) != pytest.approx(losses(plain), rel=1e-2)


def test_the_options_of_the_scripts_loss_are_kept(data, tmp_path):
    own = "torch.nn.CrossEntropyLoss()\n"
    weighted = "torch.nn.CrossEntropyLoss(torch.tensor([9.0, 1.0, 1.0]), label_smoothing=0.2, ignore_index=2)\n"
    script = variant(tmp_path, "old", own, weighted)
    arguments = ["--smoothing", "0", "--workers", "1"]
    alone = run("old", data, tmp_path / "alone", [], *arguments, script=script)
    rows = run("old", data, tmp_path / "with", NOTHING, *arguments, script=script)
    assert losses(rows) == pytest.approx(losses(alone), rel=1e-6)  # with weights equal to rounding
    assert losses(run("old", data, tmp_path / "plain", NOTHING, *arguments)) != pytest.approx(losses(alone), rel=1e-2)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("torch.nn.MultiMarginLoss()", "trains with MultiMarginLoss"),
        ("torch.nn.CrossEntropyLoss(reduction='sum')", "averaged"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_script_with_another_loss_is_refused(kind, loss, message, data, tmp_path):
    script = variant(tmp_path, kind, "torch.nn.CrossEntropyLoss()\n", f"{loss}\n")
    with pytest.raises(SystemExit, match=message):
        run(kind, data, tmp_path, SMOTE, "--smoothing", "0", script=script)


def test_a_loop_that_calls_another_loss_is_warned_of(data, tmp_path, caplog):
    script = variant(tmp_path, "old", "loss = loss_fn(", "loss = other_loss(")
    text = script.read_text().replace("import torch\n", "import torch\nfrom clesmote_losses import decode_target\n", 1)
    script.write_text(
        text.replace(
            "\n\ndef train_one_epoch",
            "\n\ndef other_loss(output, target):\n"
            "    return torch.nn.functional.cross_entropy(output, decode_target(target)[0])\n\n\ndef train_one_epoch",
        )
    )
    with pytest.warns(UserWarning, match="the loss saw no synthetic sample") as warned:
        run("old", data, tmp_path, SMOTE, script=script)
    said = [str(warning.message) for warning in warned] + caplog.messages
    assert sum("saw no synthetic sample" in message for message in said) == 1


def focal(output, labels):
    return sigmoid_focal_loss(output, nn.functional.one_hot(labels, 3).float(), reduction="mean")


def squared_error(output, labels):
    return nn.functional.mse_loss(output.softmax(1)[:, 1], labels.float())


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1, reduction="sum"),
        LabelSmoothingCrossEntropy(0.1),
        BinaryCrossEntropy(smoothing=0.1, target_threshold=0.2, sum_classes=True),
        nn.MultiMarginLoss(),
        focal,
        squared_error,
    ],
    ids=lambda loss: getattr(loss, "__name__", type(loss).__name__),
)
def test_where_nothing_is_capped_the_loss_is_the_scripts_own_on_labels(loss):
    torch.manual_seed(0)
    output, labels = torch.randn(6, 3, requires_grad=True), torch.tensor([0, 1, 2, 0, 1, 2])
    flags = torch.tensor([False, True, False, True, True, False])
    own, expected = OwnLoss(loss), loss(output, labels)
    value = own(output, encode_target(labels, flags))
    assert torch.equal(value, expected)
    gradients = [torch.autograd.grad(of, output, retain_graph=True)[0] for of in (value, expected)]
    assert torch.equal(*gradients)
    own(output, encode_target(labels, ~flags))
    assert own.stats["synthetic"] == 6
    own.reset_stats()
    assert own.stats["synthetic"] == 0


def test_synthetic_samples_in_an_evaluation_are_told():
    own = OwnLoss(nn.CrossEntropyLoss()).eval()
    with pytest.warns(UserWarning, match="1 synthetic samples came to the loss in evaluation mode"):
        own(torch.zeros(2, 3), encode_target(torch.tensor([0, 1]), torch.tensor([True, False])))


def count_on_rank(rank):
    own = OwnLoss(nn.CrossEntropyLoss())
    own(torch.zeros(4, 3), encode_target(torch.tensor([0, 1, 2, 0]), torch.arange(4) <= rank))
    return end_epoch(own)["synthetic"]


@pytest.mark.slow
def test_synthetic_samples_are_counted_over_all_ranks(tmp_path):
    assert in_two_processes(count_on_rank, tmp_path) == [3, 3]  # one on rank 0, two on rank 1


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_cap_a_script_trains_by_its_own_loss(kind, data, tmp_path):
    script = variant(tmp_path, kind, "torch.nn.CrossEntropyLoss()\n", "torch.nn.MultiMarginLoss()\n")
    arguments = ["--smoothing", "0", "--workers", "1"]
    alone = run(kind, data, tmp_path / "alone", [], *arguments, script=script)
    nothing = ["--smote", "smote", "--smote-strategy", "one=24", "--cap", "none"]
    assert losses(run(kind, data, tmp_path / "with", nothing, *arguments, script=script)) == losses(alone)
    (row,) = run(kind, data, tmp_path / "smote", ["--smote", "smote", "--cap", "none"], *arguments, script=script)
    assert row["train_synthetic"] == 28
    assert 0 < row["train_loss"] < 2 * alone[0]["train_loss"]  # of targets that are not decoded it is an error


@pytest.mark.parametrize(
    ("loss", "weights"),
    [
        (nn.CrossEntropyLoss(), None),
        (nn.CrossEntropyLoss(torch.ones(2)), None),
        (nn.CrossEntropyLoss(torch.tensor([1.0, 20.0])), [1, 20]),
        (nn.BCEWithLogitsLoss(pos_weight=torch.tensor(20.0)), [20]),
        (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0])), None),
        (BinaryCrossEntropy(pos_weight=torch.tensor([2.0, 2.0])), [2, 2]),
        (focal, None),
    ],
)
def test_weights_that_favour_a_class_are_found(loss, weights):
    assert uneven_weights(loss) == weights


def test_weights_on_top_of_synthetic_samples_are_warned_of(data, tmp_path, caplog):
    weighted = "torch.nn.CrossEntropyLoss(torch.tensor([1.0, 3.0, 2.0]))\n"
    script = variant(tmp_path, "old", "torch.nn.CrossEntropyLoss()\n", weighted)
    for name, flags, warned in (
        ("capped", SMOTE, 1),
        ("uncapped", ["--smote", "smote", "--cap", "none"], 1),
        ("nothing", NOTHING, 0),
    ):
        caplog.clear()
        run("old", data, tmp_path / name, flags, "--smoothing", "0", script=script)
        found = [message for message in caplog.messages if "favour the rare classes twice" in message]
        assert len(found) == warned
        assert all("(1, 3, 2)" in message for message in found)
