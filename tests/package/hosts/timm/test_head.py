"""The classifier that is fitted again after timm's script has ended."""

import logging
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.data import create_dataset, create_transform
from torch.utils.data import DataLoader

from clesmote_losses import rebalanced_head
from clesmote_losses.hosts.timm import main
from tests.support.gloo import launch
from tests.support.timm_runs import KIND, KINDS, SMOTE, command, losses, run, variant

HEAD = ["--rebalance-head", "logistic"]
LEARNING = ["--no-aug", "--lr", "0.05", "--model-ema"]


def model_of(file: Path) -> Any:
    return timm.create_model("test_resnet", num_classes=3, checkpoint_path=str(file)).eval()


def images_of(data: Path, split: str) -> Any:
    """The images as timm's evaluation prepares them."""
    dataset = create_dataset("", root=str(data), split=split, is_training=False)
    config = timm.create_model("test_resnet").default_cfg
    names = ("mean", "std", "interpolation", "crop_pct")
    dataset.transform = create_transform((3, 32, 32), **{name: config[name] for name in names})
    return dataset


def recall(model: Any, dataset: Any) -> float:
    images, labels = next(iter(DataLoader(dataset, len(dataset))))
    with torch.no_grad():
        predicted = model(images).argmax(1)
    return float(np.mean([float((predicted[labels == c] == c).float().mean()) for c in labels.unique()]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_checkpoint_gets_a_new_classifier(
    kind: str, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "clesmote_losses"):
        run(kind, data, tmp_path, HEAD, *LEARNING)
    folder = tmp_path / "run"
    best, rebalanced = (model_of(folder / f"model_best{name}.pth.tar") for name in ("", "_rebalanced"))
    changed = [n for n, value in best.state_dict().items() if not torch.equal(value, rebalanced.state_dict()[n])]
    assert changed == ["fc.weight", "fc.bias"]
    state = torch.load(folder / "model_best.pth.tar", weights_only=False)
    average = state["state_dict_ema"]["fc.weight"]
    assert torch.equal(best.fc.weight, average)
    assert not torch.equal(average, state["state_dict"]["fc.weight"])

    before = recall(best, images_of(data, "validation"))
    rebalanced_head(best, images_of(data, "train"), "logistic")
    torch.testing.assert_close(best.fc.weight, rebalanced.fc.weight, rtol=1e-3, atol=1e-5)
    (message,) = (record.getMessage() for record in caplog.records if "fitted again" in record.getMessage())
    shown = re.search(r"validation images (\S+) -> (\S+): ", message)
    assert shown is not None
    assert shown.groups() == (f"{before:.3f}", f"{recall(rebalanced, images_of(data, 'validation')):.3f}")


@pytest.mark.slow
def test_training_is_the_scripts_own(data: Path, tmp_path: Path) -> None:
    workers = ("--workers", "1")  # several versions of timm cannot do without
    head, alone = (run(KIND, data, tmp_path / str(i), flags, *workers) for i, flags in enumerate([HEAD, []]))
    assert losses(head) == losses(alone)


def test_with_synthetic_samples_the_real_images_are_fitted(data: Path, tmp_path: Path) -> None:
    run(KIND, data, tmp_path, [*SMOTE, "--rebalance-head", "lda"], "--no-aug")
    best, rebalanced = (model_of(tmp_path / "run" / f"model_best{name}.pth.tar") for name in ("", "_rebalanced"))
    rebalanced_head(best, images_of(data, "train"), "lda")
    torch.testing.assert_close(best.fc.weight, rebalanced.fc.weight, rtol=1e-3, atol=1e-5)


def test_a_recorded_run_is_repeated_with_its_head(data: Path, tmp_path: Path) -> None:
    run(KIND, data, tmp_path / "first", HEAD)
    run(KIND, data, tmp_path / "again", [], "--config", str(tmp_path / "first" / "run" / "args.yaml"))
    first, again = (model_of(tmp_path / name / "run" / "model_best_rebalanced.pth.tar") for name in ("first", "again"))
    torch.testing.assert_close(first.fc.weight, again.fc.weight)


def test_flags_of_the_samples_need_samples(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--cap-beta needs synthetic samples"):
        run(KIND, data, tmp_path, [*HEAD, "--cap-beta", "2"])


def test_a_classifier_that_cannot_be_written_is_refused_before_training(data: Path, tmp_path: Path) -> None:
    old = "    model.set_grad_checkpointing("
    script = variant(
        tmp_path, "old", old, f"    torch.nn.utils.parametrizations.weight_norm(model.get_classifier())\n{old}"
    )
    with pytest.raises(SystemExit, match="computed from other parameters"):
        run("old", data, tmp_path / "output", HEAD, script=script)
    assert not (tmp_path / "output" / "run" / "summary.csv").exists()


def train_on_rank(rank: int, script: Path, data: Path, output: Path) -> None:
    sys.modules.pop(script.stem, None)
    main([*HEAD, *command(KIND, data, output, script), "--no-aug", "--model", "test_vit", "--batch-size", "4"])
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("ends_group", [True, False])
def test_one_of_two_ranks_writes_the_checkpoint(ends_group: bool, data: Path, tmp_path: Path) -> None:
    end = "torch.distributed.destroy_process_group()"
    launch(train_on_rank, tmp_path, variant(tmp_path, KIND, end, end if ends_group else "pass"), data, tmp_path / "two")
    best, rebalanced = (
        timm.create_model("test_vit", num_classes=3, checkpoint_path=str(tmp_path / "two" / "run" / name))
        for name in ("model_best.pth.tar", "model_best_rebalanced.pth.tar")
    )
    changed = [n for n, value in best.state_dict().items() if not torch.equal(value, rebalanced.state_dict()[n])]
    assert changed == ["head.weight", "head.bias"]
