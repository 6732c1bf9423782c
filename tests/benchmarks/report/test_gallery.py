"""The gallery of synthetic images, and the scores that it shows."""

from functools import partial

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from benchmarks.data.digits import load_digit_images
from benchmarks.data.experiments import of_classes
from benchmarks.data.trials import draw
from benchmarks.methods.networks import make_network
from benchmarks.methods.registry import METHODS
from benchmarks.report.gallery import draw_gallery, score_synthetic_images
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


@pytest.fixture(scope="module")
def kept(run):
    """Train a run and return its scores."""
    look = partial(score_synthetic_images, beta=run.method.beta, num_classes=2)
    return run.make(torch.device("cpu"), look=look)[1]


def test_the_gallery_shows_blends_of_their_parents_those_first_that_use_most_of_their_cap(kept):
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


def test_the_gallery_says_when_nothing_is_capped(run, kept, monkeypatch, tmp_path):
    titles = []
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **options: titles.append(text))
    record = {"config": run.config}
    for cap in (0.0001, np.inf):
        draw_gallery([record], [kept | {"synthetic_cap": np.full(15, cap)}], tmp_path / "gallery.png")
    assert "15 of 15 synthetic images are over their cap" in titles[0]
    assert "None of 15 synthetic images is over its cap" in titles[1]


def test_loss_and_cap_of_synthetic_images_are_those_of_the_library():
    experiment = of_classes("x", {"3": 12, "8": 4})
    trial = draw(load_digit_images(["3", "8"]), experiment, 0, validate=False)
    data = training_data(trial, METHODS["smote"], experiment, 0, torch.device("cpu"))
    torch.manual_seed(0)
    model = make_network("test_resnet", num_classes=2, image_size=32)
    kept = score_synthetic_images(model, data, 0.3, 2)
    inputs = to_input(data.images)
    with torch.no_grad(), EmbeddingHook(model.eval()) as hook:
        model(inputs[12:16])
        centroids = torch.stack([torch.zeros_like(hook.embeddings[0]), hook.embeddings.mean(0)])
        logits = model(inputs[-1:])
        embedding = hook.embeddings
    label = decode_target(data.target)[0][-1:]
    loss = torch.nn.functional.cross_entropy(logits, label)
    assert len(kept["synthetic_loss"]) == 8
    assert kept["synthetic_loss"][-1] == pytest.approx(loss.item(), rel=1e-4)
    assert kept["synthetic_cap"][-1] == pytest.approx(cosine_cap(embedding, label, centroids, 0.3).item(), rel=1e-4)
