"""The options of the script's loss, and runs in which the capped loss keeps them."""

import pytest
import torch
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch import nn

from clesmote_losses.hosts.timm.script_loss import loss_options
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
    assert losses(run("old", data, tmp_path / "with", NOTHING, *arguments, script=script)) == losses(alone)
    assert losses(run("old", data, tmp_path / "plain", NOTHING, *arguments)) != losses(alone)


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
    run("old", data, tmp_path, SMOTE, script=script)
    assert any("the loss saw no synthetic sample" in message for message in caplog.messages)
