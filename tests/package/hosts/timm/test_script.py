"""timm's train.py by flags: the modes people train in. What depends on the kind of script runs on both kinds."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import yaml

from clesmote_losses import ClassCentroidTracker, SMOTEPlan
from clesmote_losses.caps import CAPS
from clesmote_losses.hosts.history import HISTORY_FILE
from clesmote_losses.triplet_checkpoint import read_state
from tests.support.timm_runs import KIND, KINDS, SCRIPTS, SMOTE, losses, run, run_alone, skip_unless_timm_has, variant

PLAIN = ("--no-aug", "--smoothing", "0")
ALONE = ("--epochs", "2", "--workers", "1")  # several versions of timm cannot do without a worker


@pytest.fixture(scope="module")
def rows_alone(data, tmp_path_factory):
    """Rows of each kind of script without the method."""
    return run_alone(data, {kind: tmp_path_factory.mktemp(kind) for kind in {KIND, "old"}}, *ALONE)


@pytest.fixture(scope="module")
def reference(data, tmp_path_factory):
    """An epoch without augmentation."""
    (row,) = run(KIND, data, tmp_path_factory.mktemp("reference"), SMOTE, *PLAIN)
    return row


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A run of one epoch: its rows, and the folder of its files."""
    folder = tmp_path_factory.mktemp("finished")
    flags = [*SMOTE, "--smote-seed", "3", "--smote-image-size", "32"]
    return run(KIND, data, folder, flags), folder / "run"


@pytest.mark.parametrize("kind", KINDS)
def test_without_flags_the_script_runs_as_alone(kind, data, rows_alone, tmp_path):
    assert run(kind, data, tmp_path, [], *ALONE) == rows_alone[kind]
    assert "clesmote" not in (tmp_path / "run" / "args.yaml").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_is_synthetic_the_losses_are_those_of_the_script_alone(kind, data, tmp_path):
    alone = run(kind, data, tmp_path / "alone", [], *ALONE, "--smoothing", "0")
    flags = [*SMOTE, "--smote-strategy", "one=24"]  # as many as there are
    rows = run(kind, data, tmp_path / "with", flags, *ALONE, "--smoothing", "0")
    assert [row["train_synthetic"] for row in rows] == [0, 0]
    for name in ("train_loss", "eval_loss", "eval_top1"):
        assert [row[name] for row in rows] == [row[name] for row in alone]


@pytest.mark.parametrize("kind", KINDS)
def test_summary_yaml_plan_and_checkpoint_of_a_run(kind, data, tmp_path):
    rows = run(kind, data, tmp_path, [*SMOTE, "--smote-seed", "3"], "--epochs", "2")
    folder = tmp_path / "run"
    for row in rows:
        assert row["train_synthetic"] == 28
        assert row["train_capped"] == pytest.approx(row["train_share_capped"] * 28)
        assert row["train_mean_cap"] >= 0.25  # beta / 2
        assert row["train_without_centroid"] == 0
    assert any(0 < row["train_share_capped"] < 1 for row in rows)  # the case is not degenerate
    for row, epoch in zip(rows, json.loads((folder / HISTORY_FILE).read_text()), strict=True):
        assert row["train_share_capped_two"] * 12 + row["train_share_capped_three"] * 16 == pytest.approx(
            row["train_capped"]
        )
        assert row["train_loss_real_three"] == epoch["classes"]["1"]["loss_real"]  # in the order of the folders
        assert "train_share_capped_one" not in row  # which is not raised
    recorded = yaml.safe_load((folder / "args.yaml").read_text())
    assert recorded["clesmote"]["smote_seed"] == 3
    assert recorded["clesmote"]["cap_beta"] == 0.5
    assert recorded["model"] == "test_resnet"
    plan = SMOTEPlan.load(folder / "smote-plan.safetensors")
    assert len(plan) == 28
    assert plan.options["random_state"] == 3
    stored = torch.load(folder / "last.pth.tar", weights_only=False)
    assert stored["args"].clesmote["smote_seed"] == 3
    model = timm.create_model("test_resnet", num_classes=3)
    assert stored["state_dict"].keys() == model.state_dict().keys()
    loaded = timm.create_model("test_resnet", num_classes=3, checkpoint_path=str(folder / "last.pth.tar"))
    assert torch.equal(loaded.state_dict()["fc.weight"], stored["state_dict"]["fc.weight"])


def test_a_recorded_run_is_repeated_from_its_args_yaml(data, finished, tmp_path):
    rows, folder = finished
    recorded = ["--config", str(folder / "args.yaml")]
    assert run(KIND, data, tmp_path / "again", [], *recorded) == rows
    assert losses(run(KIND, data, tmp_path / "other", ["--smote-seed", "4"], *recorded)) != losses(rows)
    plain = run(KIND, data, tmp_path / "plain", ["--cap", "none"], *recorded)
    assert not any("share_capped" in column for column in plain[0])
    assert not (tmp_path / "plain" / "run" / HISTORY_FILE).exists()
    assert plain[0]["train_synthetic"] == 28
    off = run(KIND, data, tmp_path / "off", ["--smote", "none"], *recorded, "--workers", "1")
    assert off == run(KIND, data, tmp_path / "never", [], "--workers", "1")


@pytest.mark.parametrize(
    ("arguments", "tolerance"),
    [
        (["--workers", "2"], 0),
        (["--no-prefetcher"], 1e-5),  # normalised in another order of operations
        (["--channels-last"], 1e-2),
        (["--grad-checkpointing"], 0),
        (["--model-ema"], 0),
        (["--clip-grad", "1e6"], 1e-6),
        pytest.param(["--torchcompile", "aot_eager"], 1e-3, marks=pytest.mark.slow),
        (["--amp"], 0.05),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_modes_that_should_not_change_the_loss_do_not(arguments, tolerance, data, reference, tmp_path):
    (row,) = run(KIND, data, tmp_path, SMOTE, *PLAIN, *arguments)
    expected = reference
    assert 0 < expected["train_share_capped"] < 1  # the case is not degenerate
    for name in ("train_loss", "train_mean_cap"):
        assert row[name] == pytest.approx(expected[name], rel=tolerance, abs=0)
    assert row["train_synthetic"] == 28
    assert abs(row["train_capped"] - expected["train_capped"]) <= (2 if tolerance else 0)


def test_both_kinds_of_script_train_alike(data, reference, tmp_path):
    skip_unless_timm_has("task")
    assert run("old", data, tmp_path, SMOTE, *PLAIN) == [reference]


@pytest.mark.parametrize("argument", [["--grad-accum-steps", "3"], ["--sched-on-updates"]], ids=lambda value: value[0])
def test_modes_that_train_differently_see_every_sample_once(argument, data, reference, tmp_path):
    (row,) = run(KIND, data, tmp_path, SMOTE, *PLAIN, *argument)
    assert row["train_synthetic"] == 28
    assert row["train_loss"] != reference["train_loss"]


@pytest.mark.parametrize(
    "flags",
    [
        ["--smote", "borderline", "--smote-features", "FEATURES"],
        ["--smote", "adasyn", "--cap", "none", "--smote-features", "FEATURES"],
        ["--smote", "smote", "--cap", "constant", "--cap-gradient", "scale", "--smote-redraw", "epoch"],
        ["--smote", "smote", "--cap", "euclidean", "--cap-gradient", "flow", "--centroids", "batch"],
        ["--smote", "over", "--cap", "constant"],
        ["--smote", "smote", "--smote-blend", "all", "--smote-blend-share", "0.4", "--smote-partners", "any"],
    ],
    ids=" ".join,
)
def test_every_sampler_and_cap_trains(flags, data, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(44, 3)))  # in which the classes overlap
    flags = [str(tmp_path / "rows.npy") if flag == "FEATURES" else flag for flag in flags]
    rows = run(KIND, data, tmp_path, flags, "--epochs", "2", "--workers", "1")
    assert all(row["train_synthetic"] > 10 and row["train_loss"] > 0 for row in rows)
    assert all(("train_mean_cap" in row) == ("none" not in flags) for row in rows)


def test_a_cap_that_is_registered_later_trains(data, tmp_path, monkeypatch):
    def manhattan(embeddings, labels, centroids, beta):
        return beta / (embeddings - centroids[labels]).abs().sum(dim=1)

    monkeypatch.setitem(CAPS, "manhattan", manhattan)
    (row,) = run(KIND, data, tmp_path, ["--smote", "smote", "--cap", "manhattan"])
    assert row["train_synthetic"] == 28
    assert row["train_without_centroid"] == 0
    assert 0 < row["train_mean_cap"] < 0.5  # below what the cosine gives: the distance has no bound


def test_the_training_set_answers_what_a_script_asks_of_timms(data, tmp_path, caplog):
    asked = (
        "is_training=True)\n"
        "    assert dataset_train.reader.class_to_idx == {'one': 0, 'three': 1, 'two': 2}\n"
        "    assert len(dataset_train.reader.samples) == len(dataset_train.filenames()) == 44\n"
        "    assert dataset_train.filename(0, basename=True) == 'one00.png'\n"
        "    dataset_train.transform = None\n"
    )
    script = variant(tmp_path, "old", "is_training=True)\n", asked)
    caplog.set_level("INFO")
    assert run("old", data, tmp_path, SMOTE, "--workers", "1", script=script)[0]["train_synthetic"] == 28
    assert any("an epoch has 72 samples instead of 44" in message for message in caplog.messages)
    assert any("1.64 times as many steps" in message for message in caplog.messages)


def moved(data, folder):
    """Copies of a folder whose validation classes differ; what the run then says, or ``None`` if they are the same."""
    for name, change in {
        "other": lambda part: (part / "two").rename(part / "zwei"),
        "missing": lambda part: shutil.rmtree(part / "one"),
        "empty": lambda part: [file.unlink() for file in (part / "three").iterdir()],
        "more": lambda part: shutil.copytree(part / "one", part / "four"),
        "hidden": lambda part: shutil.copytree(part / "one", part / ".ipynb_checkpoints"),
        "last": lambda part: shutil.rmtree(part / "two"),
    }.items():
        shutil.copytree(data, folder / name)
        change(folder / name / "validation")
    return folder


@pytest.mark.parametrize("order", ["training first", "validation first"])
def test_validation_classes_that_are_not_those_of_the_training_are_refused_by_name(order, data, tmp_path, caplog):
    folder = moved(data, tmp_path / "data")
    script = None
    if order == "validation first":
        text = (SCRIPTS / "old_train.py").read_text()
        lines = [
            f"    {line}\n"
            for line in map(str.strip, text.splitlines())
            if line.startswith(("dataset_train = create", "dataset_eval = create"))
        ]
        script = variant(tmp_path, "old", "".join(lines), "".join(reversed(lines)))
    for name, message in {
        "other": "'zwei' is 2 there and missing in training",
        "missing": "'three' is 0 there and 1 in training; 'two' is 1 there and 2 in training",
        "empty": "'two' is 1 there and 2 in training",
        "more": "'four' is 0 there and missing in training; 'one' is 1 there and 0 in training",
        "hidden": "'.ipynb_checkpoints' is 0 there and missing in training",
    }.items():
        with pytest.raises(SystemExit, match=f"other classes than the training set: {re.escape(message)}"):
            run("old", folder / name, tmp_path / "out", SMOTE, script=script)
        assert not (tmp_path / "out").exists()
    assert run("old", folder / "last", tmp_path / "out", SMOTE, script=script)[0]["train_synthetic"] == 28
    assert any("no image of class two" in message for message in caplog.messages)


def test_numbers_of_classes_go_where_the_script_logs_and_those_of_many_to_the_file_alone(
    data, tmp_path, monkeypatch, caplog
):
    logged = []
    caplog.set_level("INFO")
    monkeypatch.setattr("timm.utils.summary.wandb", SimpleNamespace(log=logged.append), raising=False)
    script = variant(tmp_path, "old", '"summary.csv"),', '"summary.csv"), log_wandb=True,')
    for folder, most in (("few", 20), ("many", 1)):
        monkeypatch.setattr("clesmote_losses.hosts.history.MOST_CLASSES", most)
        caplog.clear()
        (row,) = run("old", data, tmp_path / folder, SMOTE, script=script)
        columns = [column for column in row if column.startswith("train_share_capped_")]
        assert columns == [f"train_share_capped_{name}" for name in ("three", "two") if folder == "few"]
        assert [column for column in logged.pop() if column in row] == list(row)
        assert any("are in smote-history.json alone" in message for message in caplog.messages) == (folder == "many")
        (epoch,) = json.loads((tmp_path / folder / "run" / HISTORY_FILE).read_text())
        assert list(epoch["classes"]) == ["0", "1", "2"]


def test_warm_up_caps_nothing(data, tmp_path):
    rows = run(KIND, data, tmp_path, [*SMOTE, "--cap-warmup-epochs", "1"], "--epochs", "2")
    assert [row["train_capped"] > 0 for row in rows] == [False, True]


def test_a_loader_of_the_script_need_not_know_all_options_of_timms(data, tmp_path):
    script = variant(
        tmp_path,
        "old",
        "\n\ndef main():",
        "\n\ntimms = create_loader\n\n\ndef create_loader(dataset, is_training=False, no_aug=False, crop_pct=None, **common):\n"
        "    assert 'persistent_workers' not in common\n"
        "    return timms(dataset, is_training=is_training, no_aug=no_aug, crop_pct=crop_pct, **common)\n\n\ndef main():",
    )
    assert run("old", data, tmp_path, SMOTE, "--workers", "1", script=script)[0]["train_synthetic"] == 28


def test_a_refresh_runs_under_the_autocast_of_the_training(data, tmp_path, monkeypatch):
    seen = []
    refresh = ClassCentroidTracker.refresh

    def watched(*values, **options):
        seen.append(torch.is_autocast_enabled("cpu"))
        refresh(*values, **options)

    monkeypatch.setattr(ClassCentroidTracker, "refresh", watched)
    for folder, arguments in (("plain", []), ("amp", ["--amp"])):
        run(KIND, data, tmp_path / folder, SMOTE, *arguments)
    assert seen == [False, True]


@pytest.mark.parametrize(("kind", "centroids"), [("task", "epoch"), ("task", "online"), ("old", "online")])
def test_a_resumed_run_equals_the_uninterrupted_one(kind, centroids, data, tmp_path):
    flags = [*SMOTE, "--centroids", centroids, "--smote-redraw", "epoch", "--triplet-epochs", "1"]
    whole = run(kind, data, tmp_path / "whole", flags, "--epochs", "3")
    run(kind, data, tmp_path / "part", flags)
    checkpoint = str(tmp_path / "part/run/last.pth.tar")
    assert run(kind, data, tmp_path / "rest", flags, "--epochs", "3", "--resume", checkpoint) == whole[1:]
    assert whole[1]["train_capped"] > 0
    assert whole[1]["train_without_centroid"] == 0
    histories = [json.loads((tmp_path / name / "run" / HISTORY_FILE).read_text()) for name in ("whole", "rest")]
    assert histories[0] == histories[1]
    assert [row["epoch"] for row in histories[0]] == [0, 1, 2]


@pytest.mark.slow
def test_a_resumed_run_keeps_the_recorded_draws(data, tmp_path):
    flags = [*SMOTE, "--smote-real-share", "0.75", "--smote-partners", "any", "--smote-redraw", "epoch"]
    whole = run(KIND, data, tmp_path / "whole", flags, "--epochs", "2")
    run(KIND, data, tmp_path / "part", flags, "--epochs", "1")
    folder = tmp_path / "part/run"
    recorded = ["-c", str(folder / "args.yaml"), "--resume", str(folder / "last.pth.tar"), "--epochs", "2"]
    assert run(KIND, data, tmp_path / "rest", [], *recorded) == whole[1:]
    assert whole[1]["train_synthetic"] > 5
    with pytest.raises(SystemExit, match=r"real_share=0.75 \(wanted 0.9\)"):
        run(KIND, data, tmp_path, ["--smote-real-share", "0.9"], *recorded)


def test_a_run_resumed_without_the_flags_is_warned_of(data, finished, tmp_path, caplog):
    arguments = ["--resume", str(finished[1] / "last.pth.tar"), "--epochs", "2", "--workers", "1"]
    for flags, warnings in ([*SMOTE, "--smote-seed", "3", "--smote-image-size", "32"], 0), ([], 1):
        caplog.clear()
        run(KIND, data, tmp_path / str(warnings), flags, *arguments)
        assert sum("goes on without it" in message for message in caplog.messages) == warnings


def test_online_centroids_that_are_lost_leave_one_epoch_uncapped(data, tmp_path):
    flags = [*SMOTE, "--centroids", "online"]
    run(KIND, data, tmp_path, flags)
    (tmp_path / "run" / "centroids-0.safetensors").unlink()
    checkpoint = str(tmp_path / "run" / "last.pth.tar")
    rows = run(KIND, data, tmp_path / "rest", flags, "--epochs", "3", "--resume", checkpoint)
    assert [row["train_without_centroid"] for row in rows] == [28, 0]


def test_saved_centroids_go_when_timm_deletes_their_checkpoint(data, tmp_path):
    run(KIND, data, tmp_path, [*SMOTE, "--centroids", "online"], "--epochs", "6", "--lr", "0")  # all metrics alike
    folder = tmp_path / "run"
    kept = {int(path.stem.split("-")[1].split(".")[0]) for path in folder.glob("checkpoint-*.pth.tar")}
    assert len(kept) == 2
    assert {int(path.stem.split("-")[1]) for path in folder.glob("centroids-*.safetensors")} == kept | {4, 5}


def test_the_plan_of_a_resumed_run_is_that_of_its_folder(data, finished, tmp_path):
    folder = shutil.copytree(finished[1], tmp_path / "part")
    plan = SMOTEPlan.load(folder / "smote-plan.safetensors")
    plan.lam[:] = 0.25  # what no computation would give
    plan.save(folder / "smote-plan.safetensors")
    recorded = ["-c", str(folder / "args.yaml"), "--resume", str(folder / "last.pth.tar"), "--epochs", "2"]
    run(KIND, data, tmp_path / "rest", [], *recorded)
    assert set(SMOTEPlan.load(tmp_path / "rest/run/smote-plan.safetensors").lam) == {0.25}
    with pytest.raises(SystemExit, match="made with other options"):
        run(KIND, data, tmp_path, ["--smote-k", "2"], *recorded)


def pretrained(kind, data, folder, *arguments):
    """The weights that the pretraining left, after an epoch that changes none, and the run's checkpoint."""
    flags = [*SMOTE, "--triplet-epochs", "1", "--triplet-lr", "0.01", "--triplet-checkpoint", str(folder) + ".pt"]
    run(kind, data, folder, flags, "--lr", "0", *arguments)
    state = read_state(str(folder) + ".pt")
    assert len(state["history"]) == 1
    weights = {name.removeprefix("0."): tensor for name, tensor in state["trained"].items()}
    return weights, torch.load(folder / "run" / "last.pth.tar", weights_only=False)


@pytest.mark.parametrize("kind", KINDS)
def test_pretraining_comes_before_the_first_epoch_and_reaches_the_moving_average(kind, data, tmp_path):
    weights, stored = pretrained(kind, data, tmp_path / "a", "--model-ema")
    model = timm.create_model("test_resnet", num_classes=3)
    for name, parameter in model.named_parameters():
        assert torch.equal(stored["state_dict"][name], weights[name])
        torch.testing.assert_close(stored["state_dict_ema"][name], weights[name])
        assert name.startswith("fc") or not torch.equal(weights[name], parameter)
    model.load_state_dict(stored["state_dict_ema"])  # strict
    (tmp_path / "a" / "run" / "summary.csv").unlink()
    again, _ = pretrained(kind, data, tmp_path / "a", "--model-ema")  # found done
    assert all(torch.equal(again[name], weights[name]) for name in weights)


@pytest.mark.slow
def test_pretraining_follows_prefetching_seed_augmentation_and_autocast_of_the_script(data, tmp_path):
    arguments = ([], ["--no-prefetcher"], ["--amp"], ["--no-aug"], ["--seed", "7"])
    weights = [
        pretrained(KIND, data, tmp_path / str(i), *extra)[0]["conv1.0.weight"] for i, extra in enumerate(arguments)
    ]
    state = read_state(tmp_path / "4.pt")
    assert state["settings"]["seed"] == 7
    rounding, autocast, *others = [float((other - weights[0]).norm()) for other in weights[1:]]
    assert 0 < rounding < autocast / 2 < min(others) / 2


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        ("test_resnet", []),
        ("test_convnext", []),
        ("test_vit", []),
        ("test_efficientnet", []),
        ("dpn48b", ["k_sec=[1,1,1,1]"]),  # a 1x1 convolution classifies
        ("deit_tiny_distilled_patch16_224", ["depth=1", "img_size=32"]),  # two heads
        ("crossvit_tiny_240", ["depth=[[1,1,0]]", "img_size=120"]),
        ("efficientvim_m1", []),
        pytest.param("resnet50_clip", [], marks=pytest.mark.slow),
    ],
)
def test_families_with_special_heads_train(model, arguments, data, tmp_path):
    if model not in timm.list_models():
        pytest.skip(f"this timm has no {model}")
    size = {"crossvit_tiny_240": "120", "efficientvim_m1": "64", "resnet50_clip": "64"}.get(model, "32")
    extra = ["--model-kwargs", *arguments] if arguments else []
    rows = run(KIND, data, tmp_path, SMOTE, "--model", model, "--img-size", size, "--batch-size", "24", *extra)
    assert rows[0]["train_synthetic"] == 28
    assert rows[0]["train_mean_cap"] >= 0.25
