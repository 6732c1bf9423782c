"""The command ``clesmote-timm``, in processes of its own where that is what is tested."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from clesmote_losses import SMOTEPlan
from clesmote_losses.epochs import tracker_of
from clesmote_losses.hosts.timm import command as command_module
from clesmote_losses.hosts.timm import main
from clesmote_losses.hosts.timm.script import Stages
from tests.support.gloo import launch
from tests.support.timm_runs import (
    SCRIPTS,
    SMOTE,
    command,
    losses,
    one_thread,
    run,
    skip_unless_timm_has,
    summary,
)

ROOT = Path(__file__).parents[4]
MODULE = [sys.executable, "-m", "clesmote_losses.hosts.timm"]


def test_help_groups_the_flags_and_does_not_import_timm():
    code = "import sys; from clesmote_losses.hosts.timm import main\ntry: main(['--help'])\nfinally: assert 'timm' not in sys.modules"
    text = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    groups = [text.index(f"stage {stage}:") for stage in (1, 3, 2)]
    assert groups == sorted(groups)
    for flag in ("--smote-plan", "--cap-beta", "--centroids", "--triplet-epochs"):
        assert flag in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--smote", "smote"], "the following arguments are required: script"),
        (["--smote", "svm", "train.py"], "invalid choice: 'svm'"),
        (["--smot", "smote", "train.py"], "unrecognized arguments: --smot"),
        (["missing.py"], "missing.py is no file"),
        ([str(SCRIPTS / "old_train.py"), "--smote", "smote"], "put it before"),
        ([str(SCRIPTS / "old_train.py"), "--cap-beta=2"], "--cap-beta is a flag of the method"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_a_script_that_is_no_train_py_is_refused_with_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_loop.py").write_text(
        "def main(): pass\ndef train_one_epoch(epoch, net): pass\ndef create_dataset(): pass\n"
    )
    with pytest.raises(
        SystemExit,
        match=r"_parse_args, create_loader, train_one_epoch\(model=\).*task=\) or \(loss_fn=\).*Tested with train.py of timm 1.0.15",
    ):
        main(["--smote", "smote", str(tmp_path / "my_loop.py")])
    del sys.modules["my_loop"]
    main([str(tmp_path / "my_loop.py")])  # without flags it is only run
    del sys.modules["my_loop"]
    (tmp_path / "torch.py").write_text("")
    with pytest.raises(SystemExit, match="give it another name"):
        main([str(tmp_path / "torch.py")])


@pytest.mark.slow
def test_the_integration_script_trains_with_workers_that_are_spawned(data, tmp_path):
    launcher = tmp_path / "launcher.py"  # as macOS and Windows start workers
    launcher.write_text(
        "import multiprocessing, runpy, sys\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.set_start_method('spawn')\n"
        f"    runpy.run_path({str(ROOT / 'integrations' / 'timm_train.py')!r}, run_name='__main__')\n"
    )
    arguments = [*SMOTE, "--smote-redraw", "epoch", *command("old", data, tmp_path), "--workers", "2", "--epochs", "2"]
    subprocess.run([sys.executable, launcher, *arguments], check=True, env=one_thread())
    assert [row["train_synthetic"] for row in summary(tmp_path)] == [28, 28]


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_whole_files_and_can_be_resumed(data, tmp_path):
    arguments = [*SMOTE, "--centroids", "online", *command("old", data, tmp_path)]
    process = subprocess.Popen([*MODULE, *arguments, "--epochs", "1000"], env=one_thread())
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoint-1.pth.tar").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    written = [path for path in (tmp_path / "run").iterdir() if path.name.endswith(".safetensors")]
    assert len(written) >= 3  # the plan, and centroids of two epochs
    for path in written:
        with safe_open(path, "pt") as file:
            assert file.keys()
    done = torch.load(tmp_path / "run" / "last.pth.tar", weights_only=False)["epoch"]
    checkpoint = str(tmp_path / "run" / "last.pth.tar")
    rows = run(
        "old",
        data,
        tmp_path / "rest",
        [*SMOTE, "--centroids", "online"],
        "--resume",
        checkpoint,
        "--epochs",
        f"{done + 2}",
    )
    assert rows[0]["epoch"] == done + 1
    assert rows[0]["train_without_centroid"] == 0


@pytest.mark.slow
def test_a_kill_while_the_plan_is_written_leaves_no_plan(data, tmp_path):
    plan = tmp_path / "plan.safetensors"
    arguments = [*SMOTE, "--smote-plan", str(plan), *command("old", data, tmp_path)]
    code = (
        "import os, signal, sys\nfrom clesmote_losses import atomic_write as files\nfrom clesmote_losses.hosts.timm import main\n"
        "files.os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)\nmain(sys.argv[1:])"
    )
    process = subprocess.run([sys.executable, "-c", code, *arguments], env=one_thread(), check=False)
    assert process.returncode == -signal.SIGKILL
    assert not plan.exists()
    run("old", data, tmp_path, [*SMOTE, "--smote-plan", str(plan)])
    assert len(SMOTEPlan.load(plan)) == 28
    stamp = plan.stat().st_mtime_ns
    rows = run(
        "old", data, tmp_path / "again", ["--smote-plan", str(plan), "--cap-beta", "0.5"]
    )  # the plan is all it takes
    assert rows[0]["train_synthetic"] == 28
    assert plan.stat().st_mtime_ns == stamp


def train(rank, arguments):
    """Run the command, and return what each epoch of this rank left: plan, centroids, counts, metrics."""
    made, epochs = [], []

    class Recorded(Stages):
        def train_one_epoch(self, *values, **keywords):
            metrics = super().train_one_epoch(*values, **keywords)
            tracker = tracker_of(self.criterion)
            made.append((self.train_set.plan, tracker.centroids, tracker.counts, metrics))
            epochs.append(values[2].sampler.epoch)
            return metrics

    modules = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command_module, "Stages", Recorded)
        main(arguments)
    for name in {"script_arguments", "task_train", "old_train"} - modules:
        sys.modules.pop(name, None)  # this process serves other tests
    assert epochs == list(range(len(epochs)))  # DistributedSampler shuffles anew each epoch
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "centroids"), [("task", "epoch"), ("old", "online")])
def test_two_processes_train_as_one_does_at_the_same_global_batch(kind, centroids, data, tmp_path):
    skip_unless_timm_has(kind)
    options = ["--model", "test_vit", "--no-aug", "--epochs", "2"]  # without batch norm, which ranks do not share
    flags = ["--smote", "smote", "--cap-beta", "0.01", "--centroids", centroids, "--smote-redraw", "epoch"]
    results = {}
    for processes, batch in ((1, 16), (2, 8)):
        output = tmp_path / str(processes)
        output.mkdir()
        arguments = [*flags, *command(kind, data, output), *options, "--batch-size", str(batch)]
        results[processes] = launch(train, output, arguments, processes=processes)
    for of_ranks in zip(*results[2], *results[1], strict=True):
        plans, centroid_sets, counts, metrics = zip(*of_ranks, strict=True)
        for plan in plans:
            for name in ("base", "neighbor", "lam", "label"):
                assert (getattr(plan, name) == getattr(plans[0], name)).all()
        assert torch.equal(counts[0], counts[1])
        assert torch.equal(counts[0], counts[2])
        assert torch.equal(centroid_sets[0].nan_to_num(), centroid_sets[1].nan_to_num())
        torch.testing.assert_close(centroid_sets[0], centroid_sets[2], rtol=1e-4, atol=1e-4, equal_nan=True)
        assert metrics[0] == pytest.approx(metrics[2], rel=1e-4, nan_ok=True)
        assert metrics[0]["capped"] == metrics[1]["capped"] == metrics[2]["capped"]
    rows = summary(tmp_path / "2")
    assert [len(of_rank) for of_rank in (*results[1], *results[2])] == [2] * 3  # epochs that were recorded
    assert rows[-1]["train_capped"] > 0
    assert losses(rows) == pytest.approx(losses(summary(tmp_path / "1")), rel=1e-4)


@pytest.mark.slow
def test_two_processes_do_not_wait_for_each_other_in_batches_without_a_class(data, tmp_path):
    arguments = [*SMOTE, "--triplet-epochs", "1", *command("old", data, tmp_path), "--batch-size", "2"]
    first, second = launch(train, tmp_path, arguments)
    assert first[0][3] == second[0][3]
    assert first[0][3]["synthetic"] == 28
