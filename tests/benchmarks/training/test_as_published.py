"""The preset ``as_published``: each defect is there, and is the one described."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE

import benchmarks.training.pretraining
from benchmarks.data.experiments import of_classes
from benchmarks.data.trials import draw
from benchmarks.methods.networks import ConvNet
from benchmarks.methods.registry import ABLATION, BASELINES, CLE_SMOTE, METHODS, UPPER_BOUND
from benchmarks.training.as_published import (
    _LOSSES,
    MeanImageTracker,
    published_data,
    published_search,
    published_settings,
    scrambled,
)
from benchmarks.training.training_images import TrainingData
from clesmote_losses import decode_target, encode_target
from clesmote_losses.restore import preserved_rng
from tests.support.benchmark_images import small_source, training_of

PAPERS = [method.name for method in (*BASELINES, *ABLATION, CLE_SMOTE, UPPER_BOUND)]


CPU = torch.device("cpu")
TWO = of_classes("x", {"a": 60, "b": 12})
THREE = of_classes("x", {"a": 30, "b": 20, "c": 8})


@pytest.fixture(scope="module")
def trial():
    return draw(small_source(size=32), TWO, 0, validate=False)


def run(trial, method, settings=None, seed=0, experiment=TWO, **options):
    settings = settings or replace(published_settings(2), epochs=2, pretraining_epochs=1, batch_size=16)
    with preserved_rng(seed=seed):
        return settings.train(trial, experiment, METHODS[method], seed, device=CPU, **options)[2]


def test_images_are_reshaped_and_not_transposed():
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    found = scrambled(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert torch.equal(found, torch.from_numpy(images.reshape(2, 3, 4, 4).astype(np.float32)))
    assert found[0, 0, 0].tolist() == [0, 1, 2, 3]  # values of three colours in one row of one channel


def test_smote_wraps_around_as_imbalanced_learn_does_on_uint8(trial):
    data = published_data(trial, TWO, METHODS["smote"], 5, CPU)
    labels, is_synthetic = (part.numpy() for part in decode_target(data.target))
    flat = trial.train.images.reshape(len(trial.train), -1)
    expected, expected_labels = SMOTE(k_neighbors=5, random_state=5).fit_resample(flat, trial.train.labels)
    # the values in their order in memory are those of the file: only the shape is another
    images = data.images.reshape(len(data), -1).numpy()
    assert np.array_equal(images, expected)
    assert np.array_equal(labels, expected_labels)
    sound, _ = SMOTE(k_neighbors=5, random_state=5).fit_resample(flat.astype(float), trial.train.labels)
    made = is_synthetic.nonzero()[0]
    assert len(made) == 48
    wrong = abs(images[made] - sound[made]) > 1
    assert 0.3 < wrong.mean() < 0.7  # the notes say about half


def test_the_centroid_is_the_embedding_of_the_mean_image_with_dropout_on():
    torch.manual_seed(0)
    model = ConvNet(1).eval()
    images = 255 * torch.rand(6, 3, 32, 32)
    target = encode_target(torch.tensor([0, 1, 0, 1, 1, 1]), torch.arange(6) >= 4)  # synthetic ones are left out
    data = TrainingData(images, target, torch.zeros(6))
    means = torch.stack([images[[0, 2]].mean(0), images[[1, 3]].mean(0)])
    tracker = MeanImageTracker(model, "act")

    def centroids():
        tracker.refresh(data)
        return tracker.centroids_for(torch.empty(0), torch.empty(0), torch.empty(0))[0]

    found = [centroids() for _ in range(8)]
    assert found[0].shape == (2, 50)
    assert any(not torch.equal(found[0], other) for other in found)
    model.drop.p = 0.0  # what is left of the forward pass up to the embedding is the same in training mode
    features = torch.relu(torch.max_pool2d(model.conv1(means), 2))
    features = torch.relu(torch.max_pool2d(model.conv2(features), 2)).flatten(1)
    expected = model.embed(features)
    assert torch.allclose(centroids(), expected, rtol=1e-4)
    assert (expected < 0).any()  # before ReLU


@pytest.mark.parametrize("name", PAPERS)
def test_every_method_of_the_paper_runs_the_steps_it_announces(trial, name):
    settings = replace(published_settings(2), epochs=2, pretraining_epochs=1, batch_size=16)
    made = []
    result = run(trial, name, settings, on_steps=made.append)
    assert sum(made) == settings.total_steps(trial, TWO, METHODS[name])
    assert result["chosen_epoch"] == 2  # the last: nothing is held out
    assert result["chosen"]["test"] == pytest.approx(result["last"]["test"], rel=0, abs=0, nan_ok=True)
    assert (result["pretraining_loss"] != []) == name.startswith("cle-smote")
    if name.startswith("cle-smote"):
        assert result["pretraining_loss"][0] == pytest.approx(1000, abs=100)  # the margin: the hinge never closes


def test_three_classes_run_too():
    trial = draw(small_source(size=32), THREE, 0, validate=False)
    settings = replace(published_settings(3), epochs=1, pretraining_epochs=1, batch_size=16)
    assert settings.constant_cap == 1
    for name in ("weighted", "cle-smote"):
        result = run(trial, name, settings, experiment=THREE)
        assert 0 <= result["chosen"]["test"]["auroc"] <= 1


def test_triplets_of_three_classes_take_the_rarest_for_the_second(monkeypatch):
    seen = []
    draw_batches = benchmarks.training.pretraining.draw_batches
    monkeypatch.setattr(
        benchmarks.training.pretraining,
        "draw_batches",
        lambda labels, *given, **options: seen.append(labels) or draw_batches(labels, *given, **options),
    )
    trial = draw(small_source(size=32), THREE, 0, validate=False)
    settings = replace(published_settings(3), epochs=1, pretraining_epochs=1)
    run(trial, "cle-smote-v1", settings, experiment=THREE)
    assert np.bincount(seen[0]).tolist() == [30, 60]


def test_capped_methods_without_pretraining_begin_uncapped(trial):
    settings = replace(published_settings(2), epochs=4, batch_size=16, beta=1e-4)
    shares = [point["share_capped"] for point in run(trial, "class-cosine-cap", settings)["curve"]]
    assert shares[:2] == [0, 0]
    assert shares[2] > 0.3
    assert run(trial, "cle-smote", replace(settings, pretraining_epochs=1))["curve"][0]["share_capped"] > 0.3


def test_weighted_loss_weights_the_rare_class_a_hundredfold_and_divides_by_the_number_of_images():
    logits, target = torch.tensor([[2.0], [2.0], [-1.0]]), torch.tensor([0, 1, 1])
    training = training_of(None, np.array([5000, 50]))
    loss = _LOSSES["class_balanced"](published_settings(2), METHODS["weighted"], training)
    expected = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(100.0))(logits[:, 0], target.float())
    assert loss(logits, target).item() == pytest.approx(expected.item())


def test_only_what_no_notebook_tells_is_searched():
    assert published_search(METHODS["smote"]) == [("lr", (5e-4, 1e-3, 3e-3, 1e-2))]
    assert published_search(METHODS["euclidean-cap"]) == [("beta", (1.0, 10.0, 100.0))]
    assert published_search(METHODS["cle-smote"]) == []


def test_a_method_that_is_none_of_the_papers_is_refused(trial):
    with pytest.raises(ValueError, match="ldam-drw is none of the paper's methods"):
        run(trial, "ldam-drw")
