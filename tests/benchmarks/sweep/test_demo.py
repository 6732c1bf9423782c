"""``python -m benchmarks demo``, run for real on a few dozen images."""

import json
import shutil
from importlib.metadata import version

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.sweep.store import Results
from clesmote_losses import Inspection

TINY = ["--classes", "3=20", "8=5", "--epochs", "2", "--seeds", "0", "--batch-size", "16"]


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave the drawing out of tests that look at lines alone: it takes longer than the runs."""
    monkeypatch.setattr("benchmarks.sweep.demo.learning_curves", lambda *given: None)
    monkeypatch.setattr("benchmarks.sweep.demo_report.write_report", lambda *given, **options: None)
    monkeypatch.setattr(Inspection, "gallery", lambda *given: None)


def demo(folder, *options):
    main(["demo", "--out", str(folder), *options])
    return [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]


def without_times(record):
    return {key: value for key, value in record.items() if key != "seconds"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the runs of three methods, and the records."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, demo(folder, *TINY, "--methods", "none", "smote", "cle-smote")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of JPEG files of unequal size: one class is dark, the other bright."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 6)):
        for name, grey in (("dark", 60), ("bright", 190)):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                image = np.clip(rng.normal(grey, 40, (20 + i, 30, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(image).save(folder / part / name / f"{i}.jpg")
    return folder


def test_each_run_leaves_one_line_with_its_curve_and_its_share_of_capped_samples(finished):
    _, records = finished
    assert [record["config"]["method"]["name"] for record in records] == ["none", "smote", "cle-smote"]
    for record in records:
        assert [point["epoch"] for point in record["curve"]] == [1, 2]
        assert record["last"]["test"]["auroc"] == record["curve"][-1]["auroc"]["test"]
        assert record["chosen_epoch"] == 2  # nothing is held out to choose by
        assert record["config"]["experiment"]["counts"] == {"3": 20, "8": 5}
        assert record["environment"]["torch"] == version("torch")
        assert record["seconds"]["training"] > 0
    assert [record["training_samples"] for record in records] == [25, 40, 40]
    assert [record["steps"] for record in records] == [6, 6, 6]  # 2 epochs; 3 * 16 covers 2 classes of 20
    assert [record["pretraining_steps"] for record in records] == [0, 0, 1]  # a fifth of them
    assert [record["share_capped"] is None for record in records] == [True, True, False]
    assert 0 <= records[2]["share_capped"] <= 1


@pytest.mark.usefixtures("no_pictures")
def test_the_same_seed_gives_the_same_line_and_another_seed_another(finished, tmp_path):
    folder, records = finished
    torch.rand(1)  # the global generator has no say
    again = demo(tmp_path, *TINY, "--methods", "cle-smote")
    assert without_times(again[0]) == without_times(records[2])
    first, second = (Results(path).arrays(records[2]["id"]) for path in (folder, tmp_path))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    one, other = demo(tmp_path, *TINY, "--seeds", "0", "1", "--methods", "none")[1:]
    assert without_times(one) == without_times(records[0])
    assert other["config"]["seed"] == 1
    assert other["curve"] != one["curve"]


@pytest.mark.usefixtures("no_pictures")
def test_a_run_leaves_random_numbers_and_threads_as_they_were(tmp_path):
    state = torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        demo(tmp_path, *TINY, "--methods", "smote")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.usefixtures("no_pictures")
def test_a_run_that_is_there_is_not_made_again_and_a_line_cut_off_is(finished, tmp_path, capsys):
    shutil.copytree(finished[0], tmp_path, dirs_exist_ok=True)
    lines = (tmp_path / "runs.jsonl").read_bytes()
    (tmp_path / "runs.jsonl").write_bytes(lines[:-30] + b"x" * 10_000)  # the last of three, without its end
    records = demo(tmp_path, *TINY, "--methods", "none", "smote", "cle-smote")
    assert "2 of 3 runs are in" in capsys.readouterr().out
    assert (tmp_path / "runs.jsonl").read_bytes().startswith(lines[: lines.index(b"\n", lines.index(b"\n") + 1)])
    assert [without_times(record) for record in records] == [without_times(record) for record in finished[1]]
    before = (tmp_path / "runs.jsonl").read_bytes()
    demo(tmp_path, *TINY, "--methods", "none", "smote", "cle-smote")
    assert "3 of 3 runs are in" in capsys.readouterr().out
    assert (tmp_path / "runs.jsonl").read_bytes() == before
    changed = demo(tmp_path, *TINY, "--methods", "none", "--image-size", "24")
    assert len(changed) == 4
    assert changed[3]["config"]["experiment"]["image_size"] == 24


@pytest.mark.usefixtures("no_pictures")
def test_the_table_shows_mean_and_variance_of_the_seeds(tmp_path, capsys):
    records = demo(tmp_path, "--classes", "3=20", "8=5", "--epochs", "1", "--seeds", "0", "1", "--methods", "none")
    values = [record["last"]["test"]["auroc"] for record in records]
    assert values[0] != values[1]
    mean = sum(values) / 2
    variance = sum((value - mean) ** 2 for value in values)  # over n - 1 = 1
    printed = capsys.readouterr().out
    assert f"{mean:.4f} ({variance:.2e})" in printed
    assert "20 for training (1 : 1)" in printed
    assert "5 for training (1 : 4)" in printed


@pytest.mark.parametrize("name", ["curves.png", "gallery-cle-smote.png"])
def test_pictures_are_drawn_and_small(finished, name):
    path = finished[0] / name
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    assert min(pixels.shape) > 350
    assert 0.02 < (pixels < 200).mean() < 0.9
    assert path.stat().st_size < 300_000


def test_a_folder_of_jpeg_files_is_an_experiment_too(pictures, tmp_path, capsys):
    records = demo(
        tmp_path, "--data-dir", str(pictures), "--classes", "dark=12", "bright=3", "--epochs", "2", "--seeds", "0",
        "--methods", "none", "cle-smote", "balanced", "--batch-size", "16",
    )  # fmt: skip
    assert [record["training_samples"] for record in records] == [
        15,
        24,
        24,
    ]  # "balanced" has the three and nine to spare
    assert records[0]["config"]["experiment"]["source"] == pictures.name  # not where it lies
    assert list(records[0]["config"]["experiment"]["classes"]) == ["dark", "bright"]
    assert records[0]["config"]["experiment"]["test_counts"] == {"test": [6, 6]}
    assert str(pictures.parent) not in (tmp_path / "runs.jsonl").read_text()
    assert (tmp_path / "gallery-cle-smote.png").exists()
    report = (tmp_path / "report-cle-smote.html").read_text()
    assert f"{pictures.name}, training images dark=12, bright=3; CLE-SMOTE, seed 0." in report
    assert "12 for training (1 : 1)" in capsys.readouterr().out


@pytest.mark.usefixtures("no_pictures")
def test_on_a_folder_without_images_to_spare_there_is_no_upper_bound(pictures, tmp_path, capsys):
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    for i in range(3, 12):
        (folder / "train" / "bright" / f"{i}.jpg").unlink()
    options = ["--data-dir", str(folder), "--epochs", "1", "--seeds", "0"]
    records = demo(tmp_path / "out", *options, "--methods", "none", "balanced")
    printed = capsys.readouterr().out
    assert [record["config"]["method"]["name"] for record in records] == ["none"]
    assert "No class imbalance is left out: no class has images to spare, so it would be no method" in printed
    assert printed.index("1 runs to make: about a minute") < printed.index("AUROC on the test images")
    with pytest.raises(SystemExit):
        demo(tmp_path / "other", *options, "--methods", "balanced")
    assert "no class has images to spare" in capsys.readouterr().err


@pytest.mark.usefixtures("no_pictures")
def test_a_row_of_cle_smote_that_caps_nothing_is_marked(finished, tmp_path, capsys):
    for share, mark in ((0.004, "(in effect SMOTE + triplets)"), (0.3, "")):
        folder = tmp_path / str(share)
        shutil.copytree(finished[0], folder)
        records = [{**r, "share_capped": r["share_capped"] and share} for r in finished[1]]
        (folder / "runs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        demo(folder, *TINY, "--methods", "none", "smote", "cle-smote")
        rows = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
        assert rows == ["No method", "Vanilla SMOTE", "CLE-SMOTE", *([mark] if mark else [])]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "smot"], "no method 'smot'; there are none, oversampling"),
        (["--classes", "3=20", "eight=5"], "no class 'eight' among the training images; there are 0, 1, 2"),
        (["--classes", "3=2000", "8=5"], "2000 training images of class '3' are wanted; there are"),
        (["--classes", "3=20", "8=1"], "class '8' has 1 training image"),
        (["--classes", "3=20"], "two classes or more are needed"),
        (["--classes", "3=20", "3=5"], "names a class twice"),
        (["--classes", "3=20", "8=20"], "every class has 20 training images"),
        (["--classes", "3"], "wanted NAME=COUNT"),
        (["--epochs", "0"], "wanted a number of 1 or more"),
        (["--seeds", "x"], "wanted a number from 0"),
        (["--model", "resnet_of_mine"], "timm has no model 'resnet_of_mine'; it has test_"),
        (["--model", "test_vit", "--image-size", "20"], "test_vit does not take images of 20x20"),
        (["--data-dir", "{pictures}/train"], "has no folder train/"),
        (["--data-dir", "{pictures}", "--classes", "dark=12", "brihgt=2"], "no class 'brihgt' among the training images; there are bright, dark"),
        (["--out", "{pictures}/test/dark/0.jpg"], "cannot be written to: Not a directory"),
    ],
)  # fmt: skip
def test_a_mistake_ends_in_one_line_that_says_what_to_do(options, message, pictures, tmp_path, capsys):
    options = [option.format(pictures=pictures) for option in options]
    with pytest.raises(SystemExit) as end:
        main(["demo", "--out", str(tmp_path), *options])
    printed = capsys.readouterr()
    assert end.value.code == 2
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
