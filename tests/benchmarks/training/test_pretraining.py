"""Stage 2 of a run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.methods.networks import ConvNet
from benchmarks.methods.registry import METHODS
from benchmarks.training.evaluation import to_input
from benchmarks.training.pretraining import PRETRAININGS, Pretraining, pretrain
from benchmarks.training.training_images import TrainingData
from clesmote_losses import encode_target
from clesmote_losses.triplet_loss import triplet_margin_loss
from clesmote_losses.triplet_sampling import draw_batches
from tests.support.benchmark_images import pictures, training_of

LABELS = np.array([0] * 12 + [1] * 8)
IS_SYNTHETIC = np.arange(20) >= 15


@pytest.fixture
def training():
    torch.manual_seed(0)
    images = torch.from_numpy(pictures(LABELS, 16)).permute(0, 3, 1, 2)
    target = torch.from_numpy(encode_target(LABELS, IS_SYNTHETIC))
    model = ConvNet(2, image_size=16)
    model.drop.p = 0.0
    return training_of(model, np.array([12, 3]), TrainingData(images, target, target), "act", seed=5)


def run(training, name="cle-smote", steps=4, margin=1.0, lr=0.0, **options):
    optimizer = torch.optim.SGD(training.model.parameters(), lr=lr)
    return pretrain(training, METHODS[name], optimizer, to_input, steps=steps, batch_size=8, margin=margin, **options)


def test_the_loss_is_that_of_the_librarys_triplets(training):
    history = run(training, steps=3)
    assert training.step == 3
    batches = draw_batches(LABELS, IS_SYNTHETIC, anchors="all", sampling="dataset", batch_size=8, seed=[5, 0])
    assert len(batches) == 3
    losses = []
    for batch in batches:
        features = torch.relu(
            torch.max_pool2d(training.model.conv1(training.data.inputs(torch.tensor(batch.indices))), 2)
        )
        features = torch.relu(torch.max_pool2d(training.model.conv2(features), 2)).flatten(1)
        embeddings = training.model.embed(features)
        parts = (embeddings[torch.tensor(part)] for part in (batch.anchors, batch.positives, batch.negatives))
        losses.append(triplet_margin_loss(*parts, 1.0).item())
    assert history == [pytest.approx(np.mean(losses), rel=1e-4)]


@pytest.mark.parametrize("name", ["cle-smote", "cle-smote-v1", "cle-smote-in-batch", "cle-smote-supcon"])
def test_it_makes_so_many_steps_in_passes_over_the_anchors_and_changes_the_embedding(training, name):
    made, before = [], training.model.conv1.weight.detach().clone()
    training.on_steps = made.append
    history = run(training, name, steps=7, lr=0.01)
    assert sum(made) == training.step == 7
    passes = 2 if name == "cle-smote-v1" else 3  # 15 real anchors, or 20 anchors in batches of 8
    assert len(history) == {2: 4, 3: 3}[passes]
    assert all(np.isfinite(history))
    assert not torch.equal(training.model.conv1.weight, before)


def test_no_step_is_made_for_a_method_without_stage_2(training):
    assert run(training, "smote", steps=0) == []
    assert training.step == 0


def test_classes_from_a_number_on_count_as_one(training, monkeypatch):
    seen = []
    monkeypatch.setitem(
        PRETRAININGS,
        "triplets",
        Pretraining("dataset", lambda embeddings, labels, batch, margin: seen.append(labels) or embeddings.sum()),
    )
    training.data = replace(training.data, target=torch.from_numpy(encode_target(np.arange(20) % 3, IS_SYNTHETIC)))
    run(training, steps=2, num_classes=2)
    assert torch.cat(seen).unique().tolist() == [0, 1]


def test_a_pretraining_that_is_not_known_is_refused_and_the_known_ones_are_named(training, monkeypatch):
    monkeypatch.setitem(METHODS, "new", replace(METHODS["cle-smote"], pretraining="mae"))
    with pytest.raises(ValueError, match="no pretraining 'mae'; there are triplets, batch_triplets, supcon"):
        run(training, "new")
