"""``python -m benchmarks demo``, run for real on a few dozen images."""

import json
import shutil
from importlib.metadata import version

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

import benchmarks.run
from benchmarks.__main__ import main
from benchmarks.datasets import augmented, digits, image_folder, to_input
from benchmarks.methods import METHODS, criterion, training_set
from benchmarks.results import Results
from benchmarks.run import Settings, run, steps_per_epoch
from clesmote_losses import cosine_cap, decode_target, encode_target
from clesmote_losses.embeddings import EmbeddingHook

TINY = ["--classes", "3=20", "8=5", "--epochs", "2", "--seeds", "0", "--batch-size", "16"]


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
        assert record["auroc"] == record["curve"][-1]["auroc"]
        assert record["config"]["experiment"]["counts"] == [20, 5]
        assert record["environment"]["torch"] == version("torch")
        assert record["seconds"]["training"] > 0
    assert [record["training_samples"] for record in records] == [25, 40, 40]
    assert [record["pretraining_steps"] > 0 for record in records] == [False, False, True]
    assert [record["share_capped"] is None for record in records] == [True, True, False]
    assert 0 <= records[2]["share_capped"] <= 1


def test_every_method_makes_as_many_steps(finished):
    _, records = finished
    assert {record["steps"] for record in records} == {2 * 3}  # 2 epochs; 3 * 16 covers 2 classes of 20


def test_the_auroc_is_that_of_the_scores_kept(finished):
    folder, records = finished
    for record in records:
        kept = Results(folder).arrays(record["id"])
        positive, negative = (kept["scores"][kept["labels"] == label, 1] for label in (1, 0))
        pairs = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
        assert record["auroc"] == pytest.approx(pairs, abs=1e-12)
        assert record["auroc"] == roc_auc_score(kept["labels"], kept["scores"][:, 1])
        assert len(kept["labels"]) == sum(record["config"]["experiment"]["test_counts"])


def test_the_auroc_of_three_classes_is_the_mean_over_one_against_the_rest():
    record, kept = run(digits({"3": 12, "8": 4, "9": 4}), METHODS["none"], Settings(epochs=1, batch_size=16), seed=0)
    each = [roc_auc_score(kept["labels"] == label, kept["scores"][:, label]) for label in range(3)]
    assert len({round(value, 6) for value in each}) == 3
    assert record["auroc"] == pytest.approx(np.mean(each), abs=1e-12)


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


def test_a_run_leaves_random_numbers_and_threads_as_they_were(tmp_path):
    state = torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        demo(tmp_path, *TINY, "--methods", "smote")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert torch.equal(torch.get_rng_state(), state)


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


def test_the_table_shows_mean_and_variance_of_the_seeds(tmp_path, capsys):
    records = demo(tmp_path, "--classes", "3=20", "8=5", "--epochs", "1", "--seeds", "0", "1", "--methods", "none")
    values = [record["auroc"] for record in records]
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
    assert min(pixels.shape) > 400
    assert 0.02 < (pixels < 200).mean() < 0.9
    assert path.stat().st_size < 300_000


def test_the_gallery_shows_blends_of_their_parents_those_first_that_use_most_of_their_cap(finished):
    folder, records = finished
    kept = Results(folder).arrays(records[2]["id"])
    usage = kept["synthetic_loss"] / kept["synthetic_cap"]
    assert len(usage) == 15
    assert len(np.unique(usage)) > 10
    assert usage[kept["shown"]].tolist() == sorted(usage, reverse=True)[: len(kept["shown"])]
    base, synthetic, neighbor = (kept[f"shown_{part}"].astype(float) for part in ("base", "synthetic", "neighbor"))
    lam = kept["shown_lam"][:, None, None, None]
    assert lam.min() > 0
    assert lam.max() < 1
    assert abs((1 - lam) * base + lam * neighbor - synthetic).max() <= 0.5 + 1e-4
    assert abs(base - neighbor).max() > 100
    assert set(kept["shown_label"]) == {1}


def test_the_gallery_says_when_nothing_is_capped(finished, monkeypatch, tmp_path):
    from matplotlib.figure import Figure

    from benchmarks.report import gallery

    titles = []
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **options: titles.append(text))
    kept = Results(finished[0]).arrays(finished[1][2]["id"])
    for cap in (0.0001, np.inf):
        gallery([finished[1][2]], [kept | {"synthetic_cap": np.full(15, cap)}], tmp_path / "gallery.png")
    assert "15 of 15 synthetic images are over their cap" in titles[0]
    assert "None of 15 synthetic images is over its cap" in titles[1]


def test_loss_and_cap_of_synthetic_images_are_those_of_the_library(monkeypatch):
    seen = {}
    judged = benchmarks.run._judged
    monkeypatch.setattr(benchmarks.run, "_judged", lambda *given: seen.update(given=given) or judged(*given))
    _, kept = run(digits({"3": 12, "8": 4}), METHODS["cle-smote"], Settings(epochs=1, batch_size=16), seed=0)
    model, _, train_set, beta = seen["given"]
    place = len(train_set) - 1  # the last synthetic one
    train_set.transform = to_input
    image, target = train_set[place]
    real = torch.stack([train_set[i][0] for i in range(12, 16)])
    with torch.no_grad(), EmbeddingHook(model) as hook:
        model(real)
        centroids = torch.stack([torch.zeros_like(hook.embeddings[0]), hook.embeddings.mean(0)])
        logits = model(image[None])
        embedding = hook.embeddings
    label = torch.tensor([decode_target(target)[0]])
    loss = torch.nn.functional.cross_entropy(logits, label)
    cap = cosine_cap(embedding, label, centroids, beta)
    assert kept["synthetic_loss"][-1] == pytest.approx(loss.item(), rel=1e-4)
    assert kept["synthetic_cap"][-1] == pytest.approx(cap.item(), rel=1e-4)


def test_a_folder_of_jpeg_files_is_an_experiment_too(pictures, tmp_path, capsys):
    records = demo(
        tmp_path, "--data-dir", str(pictures), "--classes", "dark=12", "bright=3", "--epochs", "2", "--seeds", "0",
        "--methods", "none", "cle-smote", "balanced", "--batch-size", "16",
    )  # fmt: skip
    assert [record["training_samples"] for record in records] == [15, 24, 24]
    assert records[0]["config"]["experiment"]["name"] == pictures.name  # not where it lies
    assert records[0]["config"]["experiment"]["classes"] == ["dark", "bright"]
    assert records[0]["config"]["experiment"]["test_counts"] == [6, 6]
    assert str(pictures.parent) not in (tmp_path / "runs.jsonl").read_text()
    assert (tmp_path / "gallery-cle-smote.png").exists()
    assert "12 for training (1 : 1)" in capsys.readouterr().out


def test_images_of_a_folder_come_at_one_size_under_their_own_label(pictures):
    experiment = image_folder(pictures, {"bright": 4, "dark": 12}, image_size=16)
    assert experiment.pool.images.shape == (24, 16, 16, 3)
    assert experiment.pool.images.dtype == np.uint8
    means = [experiment.test.images[experiment.test.labels == label].mean() for label in (0, 1)]
    assert means[0] > 150 > 100 > means[1]


def test_a_trial_has_the_counts_asked_for_and_shares_its_images_with_the_balanced_set():
    experiment = digits({"3": 40, "8": 5, "9": 7})
    trial, other = experiment.draw(0), experiment.draw(1)
    assert np.bincount(trial.train.labels).tolist() == [40, 5, 7]
    assert np.bincount(trial.balanced.labels).tolist() == [40, 40, 40]
    rows, balanced, test = (
        {image.tobytes() for image in part.images} for part in (trial.train, trial.balanced, experiment.test)
    )
    assert rows < balanced
    assert not balanced & test
    assert not np.array_equal(trial.train.images, other.train.images)
    assert np.array_equal(trial.train.images, experiment.draw(0).train.images)


def test_augmentation_shifts_and_changes_nothing_else():
    image = np.zeros((16, 16, 3), dtype=np.uint8)
    image[7:9, 7:9] = 255
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shifted = [augmented(image) for _ in range(50)]
    assert len({tuple(tensor.nonzero()[0].tolist()) for tensor in (part + 1 for part in shifted)}) > 10
    for tensor in shifted:
        assert tensor.shape == (3, 16, 16)
        assert (tensor == 1).sum() == 12  # the bright square moved by at most 2, so it is whole
        assert (tensor == -1).sum() == 3 * 256 - 12
    assert to_input(image).min() == -1
    assert to_input(image).max() == 1


def test_each_method_samples_and_weighs_what_it_says():
    trial = digits({"3": 30, "8": 6}).draw(0)
    counts = {}
    for name, method in METHODS.items():
        loader = torch.utils.data.DataLoader(training_set(method, trial, seed=0), batch_size=100)
        _, target = next(iter(loader))
        labels, is_synthetic = decode_target(target)
        counts[name] = (*np.bincount(labels).tolist(), int(is_synthetic.sum()))
    assert counts == {
        "none": (30, 6, 0),
        "oversampling": (30, 30, 0),
        "weighted": (30, 6, 0),
        "smote": (30, 30, 24),
        "cle-smote": (30, 30, 24),
        "balanced": (30, 30, 0),
    }
    logits, target = (
        torch.tensor([[2.0, 0.0], [2.0, 0.0]]),
        encode_target(torch.tensor([0, 1]), torch.tensor([False, True])),
    )
    plain, weighted = (criterion(METHODS[name], [30, 6], None)(logits, target) for name in ("smote", "weighted"))
    ce = torch.tensor([0.126928, 2.126928])
    assert plain.item() == pytest.approx(ce.mean().item(), abs=1e-5)
    assert weighted.item() == pytest.approx((ce * torch.tensor([1, 5])).sum().item() / 6, abs=2e-3)


@pytest.mark.parametrize("name", ["none", "cle-smote"])
def test_a_run_makes_the_steps_it_announces(name):
    experiment, settings, made = digits({"3": 14, "8": 4}), Settings(epochs=2, batch_size=8), []
    record, _ = run(experiment, METHODS[name], settings, seed=0, on_steps=made.append)
    assert steps_per_epoch(experiment, settings) == 4  # 28 images, were the classes alike
    assert made.count(1) == record["steps"] == 2 * 4
    assert sum(made) == record["steps"] + record["pretraining_steps"]
    assert record["pretraining_steps"] == 4 * len(record["pretraining"])


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


def test_a_folder_that_does_not_fit_is_refused(pictures, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(pictures, folder)
    (folder / "train" / "dark" / "3.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"3\.jpg cannot be read as an image"):
        image_folder(folder, {"dark": 12, "bright": 3})
    shutil.copy(pictures / "train" / "dark" / "3.jpg", folder / "train" / "dark")
    shutil.rmtree(folder / "test" / "bright")
    with pytest.raises(ValueError, match=r"class 'bright' is in train/ but there is no image in .*bright"):
        image_folder(folder, {"dark": 12, "bright": 3})
    shutil.rmtree(folder / "test")
    with pytest.raises(ValueError, match="has no folder test/"):
        image_folder(folder)


def test_a_line_that_is_no_record_is_named(tmp_path):
    results = Results(tmp_path)
    results.add({"id": "a"}, {"scores": np.zeros(1)})
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write("[1]\n")
    with pytest.raises(ValueError, match=r"line 2 of .* is no record of a run"):
        Results(tmp_path)


def test_two_processes_keep_each_others_lines(tmp_path):
    first, second = Results(tmp_path), Results(tmp_path)  # each has seen an empty file
    for i, results in enumerate((first, second, first, second)):
        results.add({"id": f"run{i}"}, {"scores": np.zeros(3)})
    assert list(Results(tmp_path).records) == ["run0", "run1", "run2", "run3"]
