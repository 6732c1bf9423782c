"""The losses of the benchmark, against their equations row by row."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch.nn import functional as F

from benchmarks.methods.losses import LOSSES, LDAMLoss, use_cosine_classifier
from benchmarks.methods.networks import ConvNet
from benchmarks.methods.registry import METHODS
from benchmarks.training.training_images import TrainingData
from clesmote_losses import class_balanced_weights, encode_target
from tests.support.benchmark_images import training_of

COUNTS = np.array([900, 90, 10])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40, 3, generator=generator)
    labels = torch.randint(3, (40,), generator=generator)
    return logits, labels, encode_target(labels, torch.arange(40) % 2 == 0)


def loss_of(name, counts=COUNTS, **options):
    """The loss of a method on a network of its own."""
    model, labels = ConvNet(len(counts), image_size=16), torch.arange(len(counts))
    data = TrainingData(torch.empty(len(counts)), labels, labels)
    return replace(METHODS[name], **options).build_loss(training_of(model, counts, data))


def naive(logits, labels, shift=(0, 0, 0), weight=(1, 1, 1), by_weight=False):
    z = logits.double().numpy() + np.asarray(shift)
    y, w = labels.numpy(), np.asarray(weight, dtype=float)
    ce = np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]
    return (ce * w[y]).sum() / (w[y].sum() if by_weight else len(y))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_is_of_the_softmax_probability_of_the_true_class(batch, classes, gamma):
    logits, labels, _ = batch
    logits, labels = logits[:, :classes], labels.clamp(max=classes - 1)
    p = logits.double().softmax(1)[torch.arange(40), labels]
    expected = (-((1 - p) ** gamma) * p.log()).mean()
    loss = loss_of("focal", COUNTS[:classes], gamma=gamma)(logits, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_ldam_asks_a_larger_margin_of_rarer_classes_and_weights_them_late(batch):
    logits, labels, target = batch
    loss = loss_of("ldam-drw")
    assert isinstance(loss, LDAMLoss)
    margin = 0.5 * COUNTS**-0.25 / (10**-0.25)
    z = logits.double().numpy() - 30 * np.eye(3)[labels] * margin
    assert loss(logits, target).item() == pytest.approx(naive(torch.from_numpy(z), labels), rel=1e-5)
    run = training_of(ConvNet(3), COUNTS, steps=100, step=79)
    loss.begin_step(run, None)
    assert not loss.is_weighted
    run.step = 80
    loss.begin_step(run, None)
    expected = naive(torch.from_numpy(z), labels, weight=class_balanced_weights(COUNTS).tolist(), by_weight=True)
    assert loss(logits, target).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("model", [ConvNet(3), timm.create_model("test_resnet", num_classes=3)])
def test_a_cosine_classifier_gives_cosines_and_learns(model):
    use_cosine_classifier(model)
    images = torch.rand(8, 3, 32, 32)
    logits = model.eval()(images)
    assert logits.abs().max() <= 30 + 1e-4
    with torch.no_grad():
        model.fc.parametrizations.weight.original.mul_(7)  # the length of a class weight does not matter
    assert torch.allclose(model(images), logits, atol=1e-4)
    F.cross_entropy(model.train()(images), torch.arange(8) % 3).backward()
    assert model.fc.parametrizations.weight.original.grad.abs().sum() > 0


def test_a_cosine_classifier_needs_a_linear_layer():
    model = timm.create_model("test_resnet", num_classes=0)
    with pytest.raises(ValueError, match="needs a linear classifier; this network has Identity"):
        use_cosine_classifier(model)


def test_a_loss_that_is_not_known_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ValueError, match=r"no loss 'focl'; there are cross_entropy, class_balanced, .*, capped"):
        loss_of("none", loss="focl")


def test_every_loss_of_a_method_without_centroids_learns(batch):
    logits, _, target = batch
    names = [method.name for method in METHODS.values() if method.loss != "capped" or method.distance is None]
    assert {METHODS[name].loss for name in names} == LOSSES.keys()
    for name in names:
        leaf = logits.clone().requires_grad_()
        loss = loss_of(name)
        if METHODS[name].warmup_epochs:
            loss.criterion.set_epoch(METHODS[name].warmup_epochs)
        loss(leaf, target).backward()
        assert leaf.grad.abs().sum() > 0, name
