"""What each method trains on."""

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE

from benchmarks.data.experiments import Experiment
from benchmarks.data.trials import draw
from benchmarks.methods.registry import METHODS
from benchmarks.training.evaluation import to_input
from benchmarks.training.training_images import sample, training_data
from clesmote_losses import decode_target
from tests.support.benchmark_images import small_source

CPU = torch.device("cpu")
SICK = Experiment("x", "x", {"a": 40, "b": 12, "c": 4}, {"normal": ("a",), "abnormal": ("b", "c")})


@pytest.fixture(scope="module")
def trial():
    return draw(small_source(), SICK, 0)


def strata_of(data):
    return np.bincount(data.strata, minlength=3).tolist(), int(decode_target(data.target)[1].sum())


def test_each_method_trains_on_what_it_says(trial):
    found = {
        name: strata_of(training_data(trial, METHODS[name], SICK, 0, CPU))
        for name in ("none", "oversampling", "smote", "borderline-smote", "adasyn", "balanced")
    }
    assert found["none"] == ([40, 12, 4], 0)
    assert found["oversampling"] == ([40, 20, 20], 0)  # as many abnormal as normal, sub-conditions alike
    assert found["smote"] == ([40, 20, 20], 8 + 16)
    assert found["balanced"] == ([40, 20, 20], 0)
    assert found["borderline-smote"][0][0] == 40
    assert sum(found["adasyn"][0]) - found["adasyn"][1] == 56  # the real ones


def test_oversampling_is_that_of_the_data_set_too_but_for_the_flags(trial):
    """The sampling ``over`` is imbalanced-learn's sampler in a ``SMOTEDataset``; ``oversampled`` repeats indices."""
    repeated = training_data(trial, METHODS["oversampling"], SICK, 5, CPU)
    flagged = training_data(trial, METHODS["cap-oversampled"], SICK, 5, CPU)
    assert torch.equal(flagged.images, repeated.images)
    assert torch.equal(flagged.strata, repeated.strata)
    labels, is_synthetic = decode_target(flagged.target)
    assert torch.equal(labels, decode_target(repeated.target)[0])
    assert is_synthetic.nonzero()[:, 0].tolist() == list(range(56, 80))


def test_repairs_of_smote_blend_half_of_the_rare_class_or_half_of_every_class(trial):
    half = training_data(trial, METHODS["smote-real-share"], SICK, 0, CPU)
    assert strata_of(half) == ([40, 20, 20], 8 + 10)  # b has 12 real images of 20 as it is, c gets 6 copies
    for name in ("smote-all", "smote-all-any"):
        data = training_data(trial, METHODS[name], SICK, 0, CPU)
        _, is_synthetic = decode_target(data.target)
        assert np.bincount(data.strata[~is_synthetic]).tolist() == [40, 20, 20], name
        assert np.bincount(data.strata[is_synthetic]).tolist() == [40, 20, 20], name


def test_synthetic_images_are_those_of_imbalanced_learn_rounded_and_lie_behind_the_real_ones():
    trial = draw(small_source(), Experiment("x", "x", {"a": 40, "b": 12, "c": 8}, SICK.classes), 0)
    data = training_data(trial, METHODS["smote"], SICK, 3, CPU)
    labels, is_synthetic = decode_target(data.target)
    assert not is_synthetic[:60].any()
    assert is_synthetic[60:].all()
    assert labels.tolist() == (data.strata > 0).long().tolist()
    pixels = trial.train.images.reshape(60, -1).astype(np.float64)
    sampler = SMOTE(sampling_strategy={1: 20, 2: 20}, k_neighbors=5, random_state=3)
    expected, strata = sampler.fit_resample(pixels, trial.train.strata)
    assert data.strata.tolist() == strata.tolist()
    ours = data.images.permute(0, 2, 3, 1).reshape(len(expected), -1).numpy()
    assert len(expected) == 80
    assert np.abs(ours - expected).max() <= 0.5 + 1e-4
    assert len(np.unique(ours[60:], axis=0)) == 20


def test_a_fresh_draw_replaces_the_synthetic_images_and_no_real_one(trial):
    data = training_data(trial, METHODS["smote-redraw"], SICK, 0, CPU)
    before = data.images.clone()
    data.begin_epoch(1)
    assert torch.equal(data.images[:56], before[:56])
    assert (data.images[56:] != before[56:]).flatten(1).any(1).float().mean() > 0.8
    once = data.images.clone()
    data.begin_epoch(1)
    assert torch.equal(data.images, once)


def test_centroids_are_of_the_real_images_of_oversampled_classes(trial):
    data = training_data(trial, METHODS["smote"], SICK, 0, CPU)
    images, labels = (torch.cat(part) for part in zip(*data.real_batches(by_stratum=False), strict=True))
    assert labels.tolist() == [1] * 16
    assert torch.equal(images, to_input(data.images[40:56]))
    _, strata = (torch.cat(part) for part in zip(*data.real_batches(by_stratum=True), strict=True))
    assert strata.tolist() == [1] * 12 + [2] * 4


def test_only_a_method_that_redraws_has_other_images_in_another_epoch(trial):
    data = training_data(trial, METHODS["smote"], SICK, 0, CPU)
    before = data.images.clone()
    data.begin_epoch(1)
    assert torch.equal(data.images, before)


def test_a_sample_says_how_many_synthetic_images_it_aims_at(trial):
    for name, size, added in (("none", 56, 0), ("oversampling", 80, 0), ("smote", 56, 24), ("balanced", 80, 0)):
        real, sampler, aimed = sample(trial, METHODS[name], SICK, 0)
        assert (len(real), aimed) == (size, added)
        assert (sampler is None) == (added == 0)


def test_inputs_are_what_the_network_takes_of_the_images(trial):
    data = training_data(trial, METHODS["none"], SICK, 0, CPU)
    assert len(data) == 56
    assert torch.equal(data.inputs(torch.tensor([5, 0])), to_input(data.images[[5, 0]]))
