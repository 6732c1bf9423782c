"""The report at the end of the demo, and the numbers that are kept of a run."""

from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.data.digits import load_digit_images
from benchmarks.data.experiments import of_classes
from benchmarks.data.trials import draw
from benchmarks.methods.networks import make_network
from benchmarks.methods.registry import METHODS
from benchmarks.sweep.demo_report import inspect_run, report_files, task_of
from benchmarks.training.controlled import Settings
from benchmarks.training.evaluation import to_input
from benchmarks.training.run import Run
from benchmarks.training.training_images import training_data
from clesmote_losses import cosine_cap, decode_target
from clesmote_losses.embeddings import EmbeddingHook


@pytest.fixture(scope="module")
def run():
    settings = Settings("test_resnet", steps=6, epochs=2, batch_size=16, validate=False)
    source = load_digit_images(["3", "8"])
    return Run("demo", source, of_classes("demo", {"3": 20, "8": 5}), METHODS["cle-smote"], settings, 0)


def test_a_run_leaves_report_and_gallery_and_the_numbers_of_every_synthetic_image(run, tmp_path):
    _, kept = run.make(torch.device("cpu"), look=partial(inspect_run, run, tmp_path))
    assert {name: values.shape for name, values in kept.items()} == {"synthetic_loss": (15,), "synthetic_cap": (15,)}
    assert len(np.unique(kept["synthetic_loss"] / kept["synthetic_cap"])) > 10
    report, gallery = report_files(tmp_path, "cle-smote")
    capped = int((kept["synthetic_loss"] > kept["synthetic_cap"]).sum())
    assert f"{capped} of 15 synthetic images" in report.read_text()
    assert "training images 3=20, 8=5; CLE-SMOTE, seed 0." in report.read_text()
    assert gallery.read_bytes().startswith(b"\x89PNG")


def test_loss_and_cap_are_those_of_the_library_and_no_file_is_written_without_a_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trial = draw(run.source, run.experiment, 0, validate=False)
    data = training_data(trial, run.method, run.experiment, 0, torch.device("cpu"))
    torch.manual_seed(0)
    model = make_network("test_resnet", num_classes=2, image_size=32)
    kept = inspect_run(run, None, model, data)
    assert not list(tmp_path.iterdir())
    inputs = to_input(data.images)
    with torch.no_grad(), EmbeddingHook(model.eval()) as hook:
        model(inputs[20:25])
        centroids = torch.stack([torch.zeros_like(hook.embeddings[0]), hook.embeddings.mean(0)])
        logits = model(inputs[25:])
        embeddings = hook.embeddings
    labels = decode_target(data.target)[0][25:]
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    np.testing.assert_allclose(kept["synthetic_loss"], losses, rtol=1e-4)
    np.testing.assert_allclose(
        kept["synthetic_cap"], cosine_cap(embeddings, labels, centroids, run.method.beta), rtol=1e-3
    )


def test_a_long_name_is_cut_and_a_dollar_sign_is_itself():
    experiment = {"source": "mine", "counts": {"a$b": 3, "a name that is long": 4}}
    assert task_of({"config": {"experiment": experiment}}) == "mine, training images a$b=3, a name that i…=4"
