"""Runs of the preset ``correct``, made for real on small images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.data.experiments import Experiment, of_classes
from benchmarks.data.trials import draw
from benchmarks.methods.registry import METHODS
from benchmarks.training.controlled import Settings
from clesmote_losses.restore import preserved_rng
from tests.support.benchmark_images import small_source

CPU = torch.device("cpu")
SICK = Experiment("x", "x", {"a": 40, "b": 12, "c": 4}, {"normal": ("a",), "abnormal": ("b", "c")})
SETTINGS = Settings(steps=20, epochs=4, batch_size=16)


@pytest.fixture(scope="module")
def trial():
    return draw(small_source(), SICK, 0)


def run(trial, method, settings=SETTINGS, seed=0, **options):
    method = METHODS[method] if isinstance(method, str) else method
    with preserved_rng(seed=seed):
        return settings.train(trial, SICK, method, seed, device=CPU, **options)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_within_the_same_number_of_steps(trial, name):
    made = []
    model, _, result = run(trial, name, on_steps=made.append)
    assert sum(made) == result["steps"] == SETTINGS.total_steps(trial, SICK, METHODS[name]) == 20
    is_pretrained = METHODS[name].pretraining != "none"
    assert result["pretraining_steps"] == (4 if is_pretrained else 0)
    # the points lie at the same steps for every method; a pretrained one begins later
    assert [point["step"] for point in result["curve"]] == ([5, 10, 15, 20])
    assert result["chosen"]["test"]["auroc"] == result["curve"][result["chosen_epoch"] - 1]["auroc"]["test"]
    assert set(result["chosen"]["test"]["conditions"]) == {"b", "c"}
    assert (result["share_capped"] is None) == (METHODS[name].loss != "capped")
    assert not result["diverged"]
    assert any(parameter.abs().sum() > 0 for parameter in model.parameters())


def test_the_epoch_is_chosen_on_validation_images_and_never_on_test_images(trial):
    _, _, result = run(trial, "oversampling", replace(SETTINGS, steps=48, epochs=12, lr=5e-4))
    validation = [point["auroc"]["validation"] for point in result["curve"]]
    test = [point["auroc"]["test"] for point in result["curve"]]
    assert result["chosen_epoch"] == validation.index(max(validation)) + 1
    assert len(set(test)) > 4
    # other test images change no choice and no weight
    shuffled = trial.tests["test"]
    shuffled = replace(shuffled, labels=1 - shuffled.labels)
    _, _, other = run(
        replace(trial, tests={"test": shuffled}), "oversampling", replace(SETTINGS, steps=48, epochs=12, lr=5e-4)
    )
    assert [point["loss"] for point in other["curve"]] == [point["loss"] for point in result["curve"]]
    assert other["chosen_epoch"] == result["chosen_epoch"]
    assert other["chosen"]["test"]["auroc"] == pytest.approx(1 - result["chosen"]["test"]["auroc"])


def test_what_is_scored_is_what_the_objective_gives_with_its_prior(trial):
    """Plain training on 40 : 16 scores the frequent class too high; a re-balanced head does not, and needs no correction."""
    settings = replace(SETTINGS, steps=60, epochs=2, lr=0.003)
    results = {name: run(trial, name, settings)[2]["last"]["test"] for name in ("none", "crt")}
    plain, head = results["none"], results["crt"]
    assert plain["balanced_accuracy"] < plain["balanced_accuracy_corrected"]
    assert head["balanced_accuracy"] == head["balanced_accuracy_corrected"]
    assert head["balanced_accuracy"] > plain["balanced_accuracy"]


def test_a_run_learns(trial):
    _, _, result = run(trial, "oversampling", replace(SETTINGS, steps=100, epochs=5, lr=0.006))
    assert result["curve"][-1]["loss"] < 0.8 * result["curve"][0]["loss"]
    assert result["chosen"]["test"]["auroc"] > 0.8


def test_the_learning_rate_falls_to_nothing_at_the_last_step(trial, monkeypatch):
    made = []

    class Spied(torch.optim.lr_scheduler.CosineAnnealingLR):
        def __init__(self, *given):
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr("torch.optim.lr_scheduler.CosineAnnealingLR", Spied)
    for name, steps in (("none", 20), ("cle-smote", 16)):  # a fifth is pretraining
        run(trial, name)
        assert made[-1].last_epoch == steps
        assert made[-1].get_last_lr() == [pytest.approx(0, abs=1e-12)]


def test_the_same_seed_gives_the_same_result_and_another_another(trial):
    first, again, other = (run(trial, "cle-smote", seed=seed)[2]["curve"] for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_beta_by_share_caps_about_that_share(trial):
    settings = replace(SETTINGS, steps=200, epochs=10, lr=0.003, augmentation="none")
    shares = []
    for share in (0.1, 0.5):
        method = replace(METHODS["cle-smote-share"], target_share=share, pretraining="none")
        _, _, result = run(trial, method, settings)
        shares.append(np.mean([point["share_capped"] for point in result["curve"][1:]]))
        assert len({point["beta"] for point in result["curve"]}) == 10
    assert shares[0] < 0.35 < shares[1] < 0.75


def test_warm_up_leaves_the_first_epochs_uncapped(trial):
    method = replace(METHODS["cle-smote-warmup"], beta=1e-3)
    _, _, result = run(trial, method)
    shares = [point["share_capped"] for point in result["curve"]]
    assert shares[:2] == [0, 0]
    assert min(shares[2:]) > 0.5


def test_a_network_that_diverges_scores_like_chance(trial):
    _, _, result = run(trial, "none", replace(SETTINGS, lr=1e30))
    assert result["diverged"]
    assert result["curve"][-1]["auroc"]["test"] == 0.5


@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_convnext"])
def test_networks_of_timm_train_too(model):
    source = small_source(size=160 if model == "test_vit" else 32, count=30, tested=5)
    trial = draw(source, of_classes("x", {"a": 20, "b": 7}), 0)
    experiment = of_classes("x", {"a": 20, "b": 7})
    with preserved_rng(seed=0):
        settings = Settings(model, steps=5, epochs=2, batch_size=4)
        _, _, result = settings.train(trial, experiment, METHODS["cle-smote"], 0, device=CPU)
    assert len(result["curve"]) == 2
    assert result["curve"][-1]["loss"] > 0


def test_autocast_and_layout_are_settings(trial):
    plain, amp = (run(trial, "cle-smote", replace(SETTINGS, amp=amp))[2]["curve"][-1]["loss"] for amp in (False, True))
    assert plain != amp
    assert plain == pytest.approx(amp, abs=0.1)
    other = run(trial, "cle-smote", replace(SETTINGS, channels_last=False))[2]["curve"][-1]["loss"]
    assert plain == pytest.approx(other, abs=0.05)
