"""A network with a re-balanced classifier is scored, and training goes on with its own."""

import numpy as np
import pytest
import timm
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks.methods.networks import ConvNet
from benchmarks.methods.registry import METHODS
from benchmarks.training.evaluation import predict, to_input
from benchmarks.training.frozen import FrozenFeatures, network_with
from benchmarks.training.training_images import TrainingData
from clesmote_losses.embeddings import EmbeddingHook
from tests.support.benchmark_images import pictures, training_of

LABELS = torch.tensor([0] * 30 + [1] * 10)


@pytest.fixture
def training():
    torch.manual_seed(0)
    images = torch.from_numpy(pictures(LABELS.numpy(), 16)).permute(0, 3, 1, 2)
    return training_of(ConvNet(2, image_size=16), np.array([30, 10]), TrainingData(images, LABELS, LABELS), "act")


def test_the_scores_are_those_of_scikit_learns_balanced_regression_on_the_embeddings(training):
    objective = METHODS["crt"].build_loss(training)
    data, model = training.data, training.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    scored = objective.network(training)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training
    with torch.no_grad(), EmbeddingHook(model.eval()) as hook:
        model(data.inputs(torch.arange(40)))
        rows = StandardScaler().fit_transform(hook.embeddings.double().numpy())
    expected = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000).fit(rows, LABELS.numpy())
    assert np.allclose(predict(scored, data.images, data.to_input), expected.predict_proba(rows), atol=1e-3)
    assert not np.allclose(predict(model, data.images, data.to_input), expected.predict_proba(rows), atol=1e-2)
    assert objective.prior(training).tolist() == [0.5, 0.5]


def test_its_loss_is_plain_cross_entropy(training):
    logits = torch.randn(40, 2)
    loss = METHODS["crt"].build_loss(training)(logits, LABELS)
    assert torch.equal(loss, METHODS["none"].build_loss(training)(logits, LABELS))


def test_a_network_that_has_diverged_is_scored_as_it_is_and_other_faults_are_raised(training):
    objective = METHODS["crt"].build_loss(training)
    with torch.no_grad():
        training.model.conv1.weight.fill_(torch.nan)
    assert objective.network(training).conv1.weight.isnan().all()
    training.model = ConvNet(3, image_size=16)  # a class without images
    with pytest.raises(ValueError, match=r"\[2\]"):
        objective.network(training)


def test_a_frozen_network_is_kept_with_the_rebalanced_classifier(training):
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=2).eval()
    images = pictures(LABELS.numpy(), 32)
    hold = FrozenFeatures(network, "test")
    data = TrainingData(hold(images), LABELS, LABELS, None, lambda features: features)
    run = training_of(hold.head, np.array([30, 10]), data)
    scored = METHODS["crt"].build_loss(run).network(run)
    before = network.fc.weight.clone()
    kept = network_with(network, hold.head, scored)
    inputs = to_input(torch.from_numpy(images).permute(0, 3, 1, 2))
    with torch.no_grad():
        assert torch.allclose(kept(inputs), scored(data.images), atol=1e-3)
        assert not torch.allclose(network(inputs), scored(data.images), atol=1e-2)
    assert torch.equal(network.fc.weight, before)
    assert network_with(network, hold.head, hold.head) is network
