"""Scores of a network, and the epoch that counts."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.data.experiments import of_classes
from benchmarks.data.trials import draw
from benchmarks.methods.networks import ConvNet
from benchmarks.metrics import METRICS, Metric
from benchmarks.training.evaluation import Curve, on_device, predict, take, to_input
from tests.support.benchmark_images import pictures, small_source

CPU = torch.device("cpu")


def test_a_curve_keeps_the_scores_of_its_best_epoch():
    trial = draw(small_source(), of_classes("x", {"a": 30, "b": 10}), 0)
    curve = Curve(trial.validation, trial.tests, ["a", "b"], CPU)
    models = [ConvNet(2, image_size=16) for _ in range(4)]
    is_best = [curve.add(model) for model in models]
    result = curve.result()
    values = [point["auroc"]["validation"] for point in result["curve"]]
    assert is_best == [value > max([-1, *values[:i]]) for i, value in enumerate(values)]
    best = models[result["chosen_epoch"] - 1]
    test = trial.tests["test"]
    scores = predict(best, on_device(test.images, CPU), to_input)
    assert result["chosen"]["test"]["auroc"] == roc_auc_score(test.labels, scores[:, 1])
    assert np.allclose(scores.sum(1), 1)


def test_one_logit_is_the_score_of_class_1():
    model = ConvNet(1, image_size=16)
    images = on_device(small_source().images[:9], CPU)
    scores = predict(model, images, to_input)
    assert np.allclose(scores[:, 1], torch.sigmoid(model(to_input(images)).double())[:, 0].detach().numpy())


def test_every_metric_of_the_table_is_computed_of_every_part(monkeypatch):
    monkeypatch.setitem(METRICS, "error", Metric("Error", lambda labels, scores: (scores.argmax(1) != labels).mean()))
    trial = draw(small_source(), of_classes("x", {"a": 30, "b": 10}), 0)
    curve = Curve(trial.validation, trial.tests, ["a", "b"], CPU)
    curve.add(ConvNet(2, image_size=16), loss=0.5)
    result = curve.result()
    for chosen in (result["chosen"], result["last"]):
        assert list(chosen) == ["validation", "test"]
        assert all(list(values) == [*METRICS] for values in chosen.values())
    assert 0 <= result["chosen"]["test"]["error"] <= 1
    assert result["curve"][0]["loss"] == 0.5
    assert not result["diverged"]


def test_without_validation_images_the_last_epoch_counts():
    trial = draw(small_source(), of_classes("x", {"a": 30, "b": 10}), 0, validate=False)
    curve = Curve(trial.validation, trial.tests, ["a", "b"], CPU)
    assert all(curve.add(ConvNet(2, image_size=16)) for _ in range(3))
    assert curve.result()["chosen_epoch"] == 3
    assert curve.seconds > 0


def test_scores_that_are_not_finite_count_as_chance():
    trial = draw(small_source(), of_classes("x", {"a": 30, "b": 10}), 0)
    curve = Curve(trial.validation, trial.tests, ["a", "b"], CPU)
    model = ConvNet(2, image_size=16)
    torch.nn.init.constant_(model.fc.bias, torch.nan)
    curve.add(model)
    assert curve.result()["diverged"]
    assert curve.result()["chosen"]["test"]["auroc"] == 0.5


def test_images_are_taken_where_their_indices_are():
    images = on_device(pictures([0, 1, 2], 16), CPU)
    assert images.shape == (3, 3, 16, 16)
    assert torch.equal(take(images, torch.tensor([2, 0])), images[[2, 0]])
    extremes = torch.tensor([0, 255], dtype=torch.uint8)
    assert to_input(extremes).tolist() == [-1, 1]
