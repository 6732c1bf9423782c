"""The capped objectives: centroids of classes and strata, beta by share, counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.methods.capped import CappedObjective, StratumCappedObjective, losses_and_embeddings
from benchmarks.methods.networks import ConvNet
from benchmarks.methods.objective import Batch
from benchmarks.methods.registry import METHODS
from benchmarks.training.training_images import TrainingData
from clesmote_losses import ClassCentroidTracker, capped_cross_entropy, cosine_cap, encode_target
from clesmote_losses.caps import CAPS
from tests.support.benchmark_images import pictures, training_of

LABELS = torch.tensor([0, 1, 2] * 6)
COUNTS = np.array([3, 3, 3])


@pytest.fixture
def data():
    """Nine real images of three classes, then nine synthetic ones; a class is a stratum."""
    images = torch.from_numpy(pictures(LABELS.numpy(), 32)).permute(0, 3, 1, 2)
    return TrainingData(images, encode_target(LABELS, torch.arange(18) >= 9), LABELS)


def loss_of_all(method, data, **state):
    """The objective at the start of its first epoch, the network, and the loss of all images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ConvNet(3).eval()
    training = training_of(model, COUNTS, data, "act", **state)
    objective = method.build_loss(training)
    objective.begin_epoch(training)
    inputs = data.inputs(torch.arange(18))
    objective.begin_step(training, Batch(inputs, data.target, data.strata))
    return objective, model, objective(model(inputs), data.target)


def test_a_centroid_of_each_stratum_equals_that_of_each_class_where_these_are_one(data):
    found = []
    for name in ("cle-smote", "cle-smote-stratum"):
        objective, _, loss = loss_of_all(replace(METHODS[name], beta=0.01), data)
        found.append(loss.item())
        synthetic, capped = objective.take_counts()
        assert synthetic == 9
        assert 0 < capped <= 9
        assert objective.take_counts() == (0, 0)
        assert objective.share_capped is None  # nothing was counted at the end of an epoch
        assert objective.end_epoch() == {"share_capped": 0, "beta": 0.01}
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_strata_of_a_class_have_centroids_of_their_own(data):
    two_classes = replace(data, target=encode_target(LABELS.clamp(max=1), torch.arange(18) >= 9))
    losses = []
    for name in ("cle-smote", "cle-smote-stratum"):
        objective, model, loss = loss_of_all(replace(METHODS[name], beta=0.01), two_classes, num_strata=3)
        losses.append(loss.item())
    assert isinstance(objective, StratumCappedObjective)
    with ClassCentroidTracker(model, 3, classifier="act") as tracker:
        tracker.refresh(two_classes.real_batches(by_stratum=True))
        logits = model(two_classes.inputs(torch.arange(18)))
        cap = cosine_cap(tracker.take_embeddings(), LABELS, tracker.centroids, 0.01)
    expected = capped_cross_entropy(logits, LABELS.clamp(max=1), torch.arange(18) >= 9, cap)
    assert losses[1] == pytest.approx(expected.item(), rel=1e-5)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_the_share_of_a_run_is_over_all_its_epochs(data):
    objective, model, _ = loss_of_all(replace(METHODS["constant-cap"], beta=1e-6), data)
    assert isinstance(objective, CappedObjective)
    assert objective.end_epoch()["share_capped"] == 1
    objective.criterion.beta = 1e6
    objective(model(data.inputs(torch.arange(18))), data.target)
    assert objective.end_epoch()["share_capped"] == 0
    assert objective.share_capped == 0.5


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_beta_by_share_puts_that_share_of_the_synthetic_images_over_the_cap(data, share):
    method = replace(METHODS["cle-smote-share"], target_share=share)
    objective, model, _ = loss_of_all(method, data)
    beta = objective.criterion.beta
    places = torch.arange(9, 18)
    losses, embeddings = losses_and_embeddings(model, data, objective.tracker, places)
    cap = cosine_cap(embeddings, LABELS[places], objective.tracker.centroids, beta)
    assert (losses > cap).float().mean().item() == pytest.approx(share, abs=1 / 9)
    assert beta != 1


def test_losses_and_embeddings_are_of_evaluation_mode(data):
    torch.manual_seed(0)
    model = ConvNet(3).train()
    with ClassCentroidTracker(model, 3, classifier="act") as tracker:
        first, again = (losses_and_embeddings(model, data, tracker, torch.tensor([4, 2])) for _ in range(2))
        assert not model.training
        logits = model(data.inputs(torch.tensor([4, 2])))
    assert torch.equal(first[0], again[0])  # no dropout
    assert torch.allclose(first[0], torch.nn.functional.cross_entropy(logits, LABELS[[4, 2]], reduction="none"))
    assert first[1].shape == (2, 50)


def test_a_distance_that_is_not_known_is_refused(data):
    with pytest.raises(ValueError, match="manhattan"):
        loss_of_all(replace(METHODS["cle-smote"], distance="manhattan"), data)


@pytest.mark.parametrize("name", ["cle-smote", "cle-smote-stratum"])
def test_a_cap_that_is_added_to_the_table_caps(data, monkeypatch, name):
    seen = []

    def manhattan_cap(embeddings, labels, centroids, beta=1.0):
        seen.append(beta)
        return beta / (embeddings - centroids[labels]).abs().sum(1)

    monkeypatch.setitem(CAPS, "manhattan", manhattan_cap)
    objective, _, loss = loss_of_all(replace(METHODS[name], distance="manhattan", beta=0.5), data)
    _, _, other = loss_of_all(replace(METHODS[name], distance="cosine", beta=0.5), data)
    assert seen == [0.5]
    assert objective.end_epoch()["share_capped"] == 1  # the Manhattan distances are all above 1
    assert loss < other


def test_a_share_that_is_chosen_by_cosine_distance_is_refused_for_other_caps(data):
    method = replace(METHODS["cle-smote-share"], target_share=0.3, distance="euclidean")
    with pytest.raises(ValueError, match="cosine distance"):
        loss_of_all(method, data)


def test_a_cap_on_the_rare_class_caps_real_images_too(data):
    """By hand: each image of a class with copies costs 0.5 nats at most, and one over that has no gradient."""
    rare = replace(data, target=encode_target(LABELS, (torch.arange(18) >= 9) & (LABELS > 0)))  # class 0 has no copy
    method = replace(METHODS["cap-oversampled"], beta=1.0)
    objective, model, loss = loss_of_all(method, rare)
    logits = model(rare.inputs(torch.arange(18)))
    losses = torch.nn.functional.cross_entropy(logits, LABELS, reduction="none")
    is_over = (LABELS > 0) & (losses > 1.0)
    assert 0 < is_over[:9].sum() < 6  # real images, and not all of them
    assert loss.item() == pytest.approx(torch.where(is_over, 1.0, losses).mean().item(), rel=1e-5)
    assert objective.end_epoch()["share_capped"] == pytest.approx(is_over.sum().item() / 12)
    assert objective.share_capped == pytest.approx(is_over.sum().item() / 12)
    assert objective.take_counts() == (0, 0)


def test_a_cap_on_the_rare_class_is_constant(data):
    with pytest.raises(
        ValueError, match="a cap on all images of a class is constant; cap-oversampled has distance='cosine'"
    ):
        loss_of_all(replace(METHODS["cap-oversampled"], distance="cosine"), data)
