"""The preset ``as_published``: each defect is there, and is the one described."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE

import benchmarks.training.as_published
from benchmarks.data.experiments import of_classes
from benchmarks.data.trials import draw
from benchmarks.methods.networks import CONVNET, ConvNet, make_network
from benchmarks.methods.registry import ABLATION, BASELINES, CLE_SMOTE, METHODS, UPPER_BOUND
from benchmarks.training.as_published import (
    _MeanImageTracker,
    _training_data,
    published_settings,
    run_published,
    scrambled,
    total_steps,
)
from clesmote_losses.restore import preserved_rng
from tests.support.benchmark_images import small_source

PAPERS = [method.name for method in (*BASELINES, *ABLATION, CLE_SMOTE, UPPER_BOUND)]


@pytest.fixture(scope="module")
def trial():
    return draw(small_source(size=32), of_classes("x", {"a": 60, "b": 12}), 0, validate=False)


def run(trial, method, settings=None, seed=0, **options):
    settings = settings or replace(published_settings(2), epochs=2, pretraining_epochs=1, batch_size=16)
    with preserved_rng(seed=seed):
        return run_published(
            trial, METHODS[method], settings, seed, strata=["a", "b"], device=torch.device("cpu"), **options
        )[1]


def test_the_network_has_about_sixteen_thousand_parameters():
    model = make_network(CONVNET, num_classes=1, image_size=32)
    assert isinstance(model, ConvNet)
    assert 15_500 < sum(parameter.numel() for parameter in model.parameters()) < 16_500
    assert model.embed.out_features == 50


def test_images_are_reshaped_and_not_transposed():
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    found = scrambled(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert torch.equal(found, torch.from_numpy(images.reshape(2, 3, 4, 4).astype(np.float32)))
    assert found[0, 0, 0].tolist() == [0, 1, 2, 3]  # values of three colours in one row of one channel


def test_smote_wraps_around_as_imbalanced_learn_does_on_uint8(trial):
    images, labels, is_synthetic = _training_data(trial, METHODS["smote"], 5)
    flat = trial.train.images.reshape(len(trial.train), -1)
    expected, expected_labels = SMOTE(k_neighbors=5, random_state=5).fit_resample(flat, trial.train.labels)
    assert np.array_equal(images.reshape(len(images), -1), expected)
    assert np.array_equal(labels, expected_labels)
    sound, _ = SMOTE(k_neighbors=5, random_state=5).fit_resample(flat.astype(float), trial.train.labels)
    made = is_synthetic.nonzero()[0]
    assert len(made) == 48
    wrong = abs(images.reshape(len(images), -1)[made].astype(float) - sound[made]) > 1
    assert 0.3 < wrong.mean() < 0.7  # the notes say about half


def test_the_centroid_is_the_embedding_of_the_mean_image_with_dropout_on():
    torch.manual_seed(0)
    model = ConvNet(1).train()
    means = 255 * torch.rand(2, 3, 32, 32)
    tracker = _MeanImageTracker(model)
    found = []
    for _ in range(8):
        tracker.refresh(means)
        found.append(tracker.centroids_for(torch.empty(0), torch.empty(0), torch.empty(0))[0])
    assert found[0].shape == (2, 50)
    assert any(not torch.equal(found[0], other) for other in found)
    model.eval()
    tracker.refresh(means)
    features = torch.relu(torch.max_pool2d(model.conv1(means), 2))
    features = torch.relu(torch.max_pool2d(model.conv2(features), 2)).flatten(1)
    expected = model.embed(features)
    assert torch.allclose(tracker.centroids_for(torch.empty(0), torch.empty(0), torch.empty(0))[0], expected, rtol=1e-4)
    assert (expected < 0).any()  # before ReLU


@pytest.mark.parametrize("name", PAPERS)
def test_every_method_of_the_paper_runs_the_steps_it_announces(trial, name):
    settings = replace(published_settings(2), epochs=2, pretraining_epochs=1, batch_size=16)
    made = []
    result = run(trial, name, settings, on_steps=made.append)
    assert sum(made) == total_steps(trial, METHODS[name], settings)
    assert result["chosen_epoch"] == 2  # the last: nothing is held out
    assert result["chosen"] == result["last"]
    assert (result["pretraining_loss"] != []) == name.startswith("cle-smote")
    if name.startswith("cle-smote"):
        assert result["pretraining_loss"][0] == pytest.approx(1000, abs=100)  # the margin: the hinge never closes


def test_three_classes_run_too():
    trial = draw(small_source(size=32), of_classes("x", {"a": 30, "b": 20, "c": 8}), 0, validate=False)
    settings = replace(published_settings(3), epochs=1, pretraining_epochs=1, batch_size=16)
    assert settings.constant_cap == 1
    for name in ("weighted", "cle-smote"):
        with preserved_rng(seed=0):
            _, result = run_published(
                trial, METHODS[name], settings, 0, strata=["a", "b", "c"], device=torch.device("cpu")
            )
        assert 0 <= result["chosen"]["test"]["auroc"] <= 1


def test_triplets_of_three_classes_take_the_rarest_for_the_second(monkeypatch):
    seen = []
    monkeypatch.setattr(
        benchmarks.training.as_published, "pretrain", lambda *given, **options: seen.append(given[2]) or []
    )
    trial = draw(small_source(size=32), of_classes("x", {"a": 30, "b": 20, "c": 8}), 0, validate=False)
    with preserved_rng(seed=0):
        run_published(
            trial, METHODS["cle-smote-v1"], replace(published_settings(3), epochs=1), 0, strata=["a", "b", "c"],
            device=torch.device("cpu"),
        )  # fmt: skip
    assert np.bincount(seen[0]).tolist() == [30, 60]


def test_capped_methods_without_pretraining_begin_uncapped(trial):
    settings = replace(published_settings(2), epochs=4, batch_size=16, beta=1e-4)
    shares = [point["share_capped"] for point in run(trial, "class-cosine-cap", settings)["curve"]]
    assert shares[:2] == [0, 0]
    assert shares[2] > 0.3
    assert run(trial, "cle-smote", replace(settings, pretraining_epochs=1))["curve"][0]["share_capped"] > 0.3


def test_weighted_loss_weights_the_rare_class_a_hundredfold_and_divides_by_the_number_of_images():
    from benchmarks.training.as_published import _criterion

    logits, target = torch.tensor([[2.0], [2.0], [-1.0]]), torch.tensor([0, 1, 1])
    loss = _criterion(METHODS["weighted"], published_settings(2), np.array([5000, 50]), None)
    expected = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(100.0))(logits[:, 0], target.float())
    assert loss(logits, target, is_synthetic=torch.zeros(3, dtype=torch.bool)).item() == pytest.approx(expected.item())


def test_a_method_that_is_none_of_the_papers_is_refused(trial):
    with pytest.raises(ValueError, match="ldam-drw is none of the paper's methods"):
        run(trial, "ldam-drw")
