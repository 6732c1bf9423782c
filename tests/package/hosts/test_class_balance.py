"""Class weights and logit adjustment by flags: values from the counts of the training set, and a run that uses them."""

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from torch.utils.data import TensorDataset

from clesmote_losses.errors import ArgumentError
from clesmote_losses.hosts.class_balance import balance_options, keeps_own_loss
from clesmote_losses.hosts.options import Options
from clesmote_losses.hosts.recipe import build_loss, training_set
from tests.support.timm_runs import SMOTE, losses, run, variant

PARTLY = ["--smote", "smote", "--smote-strategy", "three=16", "--cap", "none"]  # one 24, three 16, two 12


def wanted(**options):
    return Options.from_given({"smote": "smote", "cap": "none", **options})


def train_set_of(options, counts=(20, 8, 10)):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return training_set(TensorDataset(torch.rand(len(labels), 3, 8, 8), labels), options)


def test_values_are_of_the_counts_of_real_and_synthetic_samples():
    options = wanted(smote_strategy="1=16", class_weights="inverse", logit_adjustment=0.5)
    found = balance_options(train_set_of(options), 3, options, label_smoothing=0.1, weight=None)
    inverse = 1 / np.array([20, 16, 10])
    np.testing.assert_allclose(found["weight"], 3 * inverse / inverse.sum(), rtol=1e-6)
    np.testing.assert_allclose(found["logit_adjustment"], 0.5 * np.log(np.array([20, 16, 10]) / 46), rtol=1e-6)
    assert found["label_smoothing"] == 0.1
    criterion = build_loss(nn.Linear(2, 3), 3, options, **found)
    assert torch.equal(criterion.weight, found["weight"])
    assert torch.equal(criterion.logit_adjustment, found["logit_adjustment"])


@pytest.mark.parametrize("flag", [{"class_weights": "effective"}, {"logit_adjustment": 1.0}])
def test_on_a_balanced_set_they_are_warned_to_have_no_effect(flag, caplog):
    for strategy, warnings in (("auto", 1), ("1=16", 0)):
        caplog.clear()
        options = wanted(smote_strategy=strategy, **flag)
        balance_options(train_set_of(options), 3, options)
        name = next(iter(flag)).replace("_", "-")
        expected = f"--{name} has no effect: the training set has 20 samples of each class"
        assert sum(expected in message for message in caplog.messages) == warnings


@pytest.mark.parametrize("flag", [{"class_weights": "effective"}, {"logit_adjustment": 1.0}])
def test_a_class_without_samples_is_named(flag):
    options = wanted(**flag)
    with pytest.raises(ArgumentError, match="needs a sample of each class; there is none of class 3, 4"):
        balance_options(train_set_of(options), 5, options)


def test_weights_beside_those_of_the_scripts_loss_are_refused():
    options = wanted(class_weights="inverse")
    with pytest.raises(ArgumentError, match="the script's loss has class weights already"):
        balance_options(train_set_of(options), 3, options, weight=torch.ones(3))


def test_the_scripts_own_loss_stays_only_where_nothing_in_it_changes():
    assert keeps_own_loss(wanted())
    assert not keeps_own_loss(wanted(cap="cosine"))
    assert not keeps_own_loss(wanted(class_weights="inverse"))
    assert not keeps_own_loss(wanted(logit_adjustment=1.0))


def test_weights_by_flag_are_those_of_a_script_that_sets_them_itself(data, tmp_path):
    weights = 3 / np.array([24, 16, 12]) / (1 / np.array([24, 16, 12])).sum()
    weighted = f"torch.nn.CrossEntropyLoss(torch.tensor({weights.tolist()}))\n"
    script = variant(tmp_path, "old", "torch.nn.CrossEntropyLoss()\n", weighted)
    arguments = ["--smoothing", "0", "--workers", "1"]
    expected = losses(run("old", data, tmp_path / "own", PARTLY, *arguments, script=script))
    found = run("old", data, tmp_path / "flag", [*PARTLY, "--class-weights", "inverse"], *arguments)
    assert losses(found) == pytest.approx(expected, rel=1e-5)
    plain = losses(run("old", data, tmp_path / "plain", PARTLY, *arguments))
    assert plain != pytest.approx(expected, rel=1e-3)


def test_the_flags_are_recorded_and_cap_real_samples(data, tmp_path):
    flags = [*SMOTE, "--cap", "constant", "--cap-beta", "0.9", "--cap-gradient", "scale", "--cap-on", "oversampled"]
    (row,) = run("old", data, tmp_path, [*flags, "--logit-adjustment", "1.5"], "--workers", "1")
    assert row["train_capped"] > row["train_synthetic"] == 28
    assert 0 < row["train_mass_kept"] < 1
    recorded = yaml.safe_load((tmp_path / "run" / "args.yaml").read_text())["clesmote"]
    assert (recorded["cap_on"], recorded["logit_adjustment"]) == ("oversampled", 1.5)
    assert Options.from_given({}, recorded).logit_adjustment == 1.5
