"""``python -m benchmarks run`` and ``report``, made for real: results on disk, killed runs, several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.sweep.store import Results, read_records
from benchmarks.training.run import Run, run_id
from tests.support.benchmark_images import write_folder

ROOT = Path(__file__).parents[3]
TINY = [
    "--experiments",
    "interclass",
    "--trials",
    "2",
    "--image-size",
    "16",
    "--steps",
    "10",
    "--epochs",
    "2",
    "--batch-size",
    "8",
]
TIMES = ("seconds", "environment")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("waves"), {"well": 60, "cough": 30, "fever": 30})


def command(data, out, *options):
    return ["run", "folder", "--normal", "well", "--data-dir", str(data), "--out", str(out), *TINY, *options]


def lines(folder):
    return [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]


def without_times(record):
    return {name: value for name, value in record.items() if name not in TIMES}


def by_id(folder):
    return {record["id"]: without_times(record) for record in lines(folder)}


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A folder with the runs of three methods."""
    folder = tmp_path_factory.mktemp("finished")
    main(command(data, folder, "--methods", "none", "smote", "cle-smote", "--lr", "1e-3", "1e-2"))
    return folder


def test_each_run_leaves_one_line_that_says_all_about_it(finished):
    records = lines(finished)
    assert len({record["id"] for record in records}) == len(records) == (2 + 2) + (2 + 2) + (2 + 2 + 2 + 2)
    assert [record["role"] for record in records].count("tuning") == 2 + 2 + 6
    for record in records:
        assert record["id"] == run_id(record["config"])
        assert record["config"]["experiment"]["counts"] == {
            "well": 54,
            "cough": 1 + 1,
            "fever": 1 + 1,
        }  # 40 : 1 : 1, two at least
        assert [point["step"] for point in record["curve"]] == [5, 10]
        assert set(record["curve"][0]["auroc"]) == {"validation", "test"}
        assert set(record["chosen"]["test"]) == {"auroc", "auprc", "balanced_accuracy", "ece", "conditions"}
        assert record["seconds"]["training"] > 0
        assert record["environment"]["torch"] == torch.__version__.split("+")[0]
    assert str(finished) not in (finished / "runs.jsonl").read_text()


def test_a_rerun_makes_nothing_anew_and_more_trials_only_what_is_missing(finished, data, capsys):
    before = (finished / "runs.jsonl").read_bytes()
    main(command(data, finished, "--methods", "none", "--lr", "1e-3", "1e-2"))
    assert "0 runs to make" in capsys.readouterr().out
    assert (finished / "runs.jsonl").read_bytes() == before


@pytest.mark.slow
def test_the_same_seed_gives_the_same_line_again_in_several_processes_too(finished, data, tmp_path):
    main(command(data, tmp_path, "--methods", "none", "smote", "cle-smote", "--lr", "1e-3", "1e-2", "--jobs", "2"))
    assert by_id(tmp_path) == by_id(finished)


def start(data, folder, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *command(data, folder, *options)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=(folder / f"stderr-{len(list(folder.iterdir()))}.txt").open("w"),
    )


def said(folder):
    return "".join(path.read_text() for path in folder.glob("stderr-*.txt"))


def test_a_killed_run_is_made_again_and_nothing_else_and_two_processes_share_the_work(data, tmp_path):
    options = ("--methods", "none", "smote", "--no-tuning", "--steps", "300", "--trials", "3")
    process = start(data, tmp_path, *options)
    deadline = time.monotonic() + 120
    while not (tmp_path / "runs.jsonl").exists() or not (tmp_path / "runs.jsonl").read_bytes():
        assert process.poll() is None, said(tmp_path)
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = (tmp_path / "runs.jsonl").read_bytes()
    done = len(first.splitlines())
    assert 1 <= done < 6
    with (tmp_path / "runs.jsonl").open("ab") as file:
        file.write(b'{"id": "none-seed')  # killed while it wrote
    processes = [start(data, tmp_path, *options) for _ in range(2)]
    assert [process.wait(timeout=240) for process in processes] == [0, 0], said(tmp_path)
    text = (tmp_path / "runs.jsonl").read_bytes()
    assert text.startswith(first)
    records = [json.loads(line) for line in text.splitlines()]
    assert len(records) == len({record["id"] for record in records}) == 6


@pytest.mark.slow
def test_workers_end_with_the_process_that_was_killed(data, tmp_path):
    process = start(data, tmp_path, "--methods", "none", "smote", "--no-tuning", "--steps", "20000", "--jobs", "2")
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("runs/*.lock"))) < 2:
        assert process.poll() is None, said(tmp_path)
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 60
    locks = list(tmp_path.glob("runs/*.lock"))
    results = Results(tmp_path)
    for lock in locks:  # a claim is held as long as its process lives
        while True:
            with results.claim(lock.stem) as is_free:
                if is_free:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_run_that_fails_stops_no_other(data, tmp_path, monkeypatch, capsys):
    make = Run.make

    def fails(run, *given, **options):
        if run.method.name == "smote":
            raise ValueError("no neighbours")
        return make(run, *given, **options)

    monkeypatch.setattr(Run, "make", fails)
    with pytest.raises(SystemExit, match=r"error: 2 runs have failed: smote-seed0-.*: ValueError: no neighbours"):
        main(command(data, tmp_path, "--methods", "smote", "none", "--no-tuning"))
    assert [record["config"]["method"]["name"] for record in lines(tmp_path)] == ["none", "none"]
    assert "no neighbours" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2 runs have failed"):  # tuning runs; their trials are not waited for
        main(command(data, tmp_path, "--methods", "smote", "--lr", "1e-3", "1e-2"))
    monkeypatch.undo()
    main(command(data, tmp_path, "--methods", "smote", "none", "--no-tuning"))
    assert len(lines(tmp_path)) == 4


def test_a_command_that_is_broken_off_ends_in_one_line(data, tmp_path, monkeypatch, capsys):
    def stopped(run, *given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "make", stopped)
    with pytest.raises(
        SystemExit, match=r"^Broken off\. What was done is kept; the same command goes on from there\.$"
    ):
        main(command(data, tmp_path, "--methods", "none", "--no-tuning"))


def test_without_validation_all_images_are_trained_on(data, tmp_path):
    main(command(data, tmp_path, "--methods", "none", "--no-tuning", "--no-validation", "--trials", "1"))
    (record,) = lines(tmp_path)
    assert record["config"]["experiment"]["counts"]["well"] == 60 > 54  # a tenth would be held out
    assert set(record["chosen"]) == {"test"}


def test_a_claim_is_of_one_process_at_a_time(tmp_path):
    first, second = Results(tmp_path), Results(tmp_path)
    with first.claim("a") as mine, second.claim("a") as theirs, second.claim("b") as other:
        assert (mine, theirs, other) == (True, False, True)
        first.add({"id": "a"})
    with second.claim("a") as again:
        assert not again  # it is done
    assert second.has("a")


def test_two_processes_keep_each_others_lines(tmp_path):
    first, second = Results(tmp_path), Results(tmp_path)  # each has seen an empty file
    for i, results in enumerate((first, second, first, second)):
        results.add({"id": f"run{i}"})
    assert list(Results(tmp_path).records) == ["run0", "run1", "run2", "run3"]
    assert list(first.records) == ["run0", "run1", "run2"]
    first.reload()
    assert list(first.records) == ["run0", "run1", "run2", "run3"]


def test_a_line_that_is_no_record_is_named(tmp_path):
    Results(tmp_path).add({"id": "a"})
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write("[1]\n")
    with pytest.raises(ValueError, match=r"line 2 of .* is no record of a run"):
        read_records(tmp_path)


def test_lines_of_several_files_are_read_together(tmp_path):
    Results(tmp_path).add({"id": "a"})
    (tmp_path / "another-machine.jsonl").write_text('{"id": "b"}\n')
    assert read_records(tmp_path).keys() == {"a", "b"}


def test_arrays_belong_to_their_line(tmp_path):
    results = Results(tmp_path)
    results.add({"id": "a"}, {"scores": np.arange(3)})
    assert results.arrays("a")["scores"].tolist() == [0, 1, 2]
    assert results.has("a")
    (tmp_path / "runs" / "a.npz").unlink()
    assert not Results(tmp_path).has("a")


def test_weights_are_kept_so_that_timm_loads_them(data, tmp_path):
    main(
        command(
            data,
            tmp_path,
            "--methods",
            "none",
            "--no-tuning",
            "--save-weights",
            "--model",
            "test_resnet",
            "--image-size",
            "32",
        )
    )
    record = lines(tmp_path)[0]
    model = timm.create_model(
        "test_resnet", num_classes=2, checkpoint_path=tmp_path / "runs" / f"{record['id']}.safetensors"
    )
    from sklearn.metrics import roc_auc_score

    from benchmarks.data.image_files import image_files, read_images
    from benchmarks.training.evaluation import on_device, predict, to_input

    files = {name: image_files(data / "test" / name) for name in ("well", "cough", "fever")}
    images = read_images([file for found in files.values() for file in found], 32)
    labels = np.repeat([0, 1, 1], 12)
    scores = predict(model, on_device(images, torch.device("cpu")), to_input)
    assert roc_auc_score(labels, scores[:, 1]) == pytest.approx(record["chosen"]["test"]["auroc"], abs=1e-6)


def test_the_report_is_made_from_the_lines_alone_and_byte_for_byte_again(finished, tmp_path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "runs.jsonl").write_bytes((finished / "runs.jsonl").read_bytes())
        main(["report", str(tmp_path / folder)])
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "second").iterdir())
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    assert {"report.md", "figure-3-correct-convnet.png", "differences-correct-convnet.png"} < set(files)
    text = (tmp_path / "first" / "report.md").read_text()
    values = [record["chosen"]["test"]["auroc"] for record in lines(finished) if record["role"] == "trial"
              and record["config"]["method"]["name"] == "smote"]  # fmt: skip
    assert f"| interclass | Vanilla SMOTE | {np.mean(values):.4f} | {np.var(values, ddof=1):.2e} |" in text
    for name in files:
        if name.endswith(".png"):
            with Image.open(tmp_path / "first" / name) as image:
                pixels = np.asarray(image.convert("L"))
            assert min(pixels.shape) > 250
            assert 0.005 < (pixels < 200).mean() < 0.9
            assert (tmp_path / "first" / name).stat().st_size < 300_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "smot"], "no method 'smot'; there are none, oversampling"),
        (["--experiments", "intercalss"], "no experiment 'intercalss' in folder; there are interclass"),
        (["--normal", "wel"], "--normal wel is no class: which of cough, fever, well are all others told from?"),
        (["--model", "resnet_of_mine"], "timm has no model 'resnet_of_mine'"),
        (["--steps", "1"], "--steps 1 must be at least --epochs 2"),
        (["--lr", "-1"], "wanted a finite number above 0"),
        (["--trials", "0"], "wanted a number of 1 or more"),
        (["--device", "quantum"], "--device quantum cannot be used"),
        (["--data-dir", "{data}/train"], "has no folder train/"),
        (["--out", "{data}/test/well/0000.png"], "cannot be written to: Not a directory"),
        (["--preset", "as_published"], "is fixed by preset as_published: leave it out"),
        (["--external", "{data}"], "--external is of chexpert, and folder has no use for it"),
        (["--no-tuning", "--lr", "1e-3", "1e-2"], "--no-tuning takes one --lr"),
        (["--image-size", "8"], "convnet takes images of 16x16 and more"),
    ],
)
def test_a_mistake_ends_in_one_line_that_says_what_to_do(options, message, data, tmp_path, capsys):
    options = [option.format(data=data) for option in options]
    with pytest.raises(SystemExit) as end:
        main(command(data, tmp_path, *options))
    printed = capsys.readouterr()
    assert end.value.code == 2
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_as_published_is_of_one_suite(data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(
            [
                "run",
                "folder",
                "--normal",
                "well",
                "--data-dir",
                str(data),
                "--out",
                str(tmp_path),
                "--preset",
                "as_published",
            ]
        )
    assert "preset as_published is of cifar10-ablation" in capsys.readouterr().err


def test_a_report_on_nothing_says_so(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["report", str(tmp_path)])
    assert "python -m benchmarks run writes one" in capsys.readouterr().err


def test_the_list_shows_suites_experiments_and_methods(data, capsys):
    main(["list"])
    printed = capsys.readouterr().out
    for text in ("cifar10-ablation", "chexpert", "kermany", "medmnist", "--data-dir", "cle-smote", "LDAM-DRW"):
        assert text in printed
    main(["list", "folder", "--data-dir", str(data), "--normal", "well"])
    shown = capsys.readouterr().out
    assert "intraclass-single-cough well 28, cough 27, fever 2 (too few images for 20 : 1" in " ".join(shown.split())
