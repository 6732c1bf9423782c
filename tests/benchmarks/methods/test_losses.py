"""The losses of the benchmark, against their equations row by row."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch.nn import functional as F

from benchmarks.methods.losses import LDAMLoss, StratumCappedLoss, make_loss, use_cosine_classifier
from benchmarks.methods.networks import ConvNet, embedding_layer
from benchmarks.methods.registry import METHODS
from clesmote_losses import CappedSMOTELoss, ClassCentroidTracker, class_balanced_weights, encode_target
from tests.support.benchmark_images import pictures

COUNTS = np.array([900, 90, 10])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40, 3, generator=generator)
    labels = torch.randint(3, (40,), generator=generator)
    return logits, labels, encode_target(labels, torch.arange(40) % 2 == 0)


def naive(logits, labels, shift=(0, 0, 0), weight=(1, 1, 1), by_weight=False):
    z = logits.double().numpy() + np.asarray(shift)
    y, w = labels.numpy(), np.asarray(weight, dtype=float)
    ce = np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]
    return (ce * w[y]).sum() / (w[y].sum() if by_weight else len(y))


@pytest.mark.parametrize(
    ("name", "shift", "weight"),
    [
        ("none", (0, 0, 0), (1, 1, 1)),
        ("weighted", (0, 0, 0), class_balanced_weights(COUNTS).tolist()),
        ("balanced-softmax", np.log(COUNTS / 1000), (1, 1, 1)),
        ("logit-adjustment", 1.0 * np.log(COUNTS / 1000), (1, 1, 1)),
    ],
)
def test_cross_entropies_are_their_equations(batch, name, shift, weight):
    logits, labels, target = batch
    loss = make_loss(METHODS[name], COUNTS, None)(logits, target)
    assert loss.item() == pytest.approx(naive(logits, labels, shift, weight), rel=1e-5)
    if name != "none":
        assert loss.item() != pytest.approx(naive(logits, labels), rel=1e-2)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_is_of_the_softmax_probability_of_the_true_class(batch, classes, gamma):
    logits, labels, _ = batch
    logits, labels = logits[:, :classes], labels.clamp(max=classes - 1)
    p = logits.double().softmax(1)[torch.arange(40), labels]
    expected = (-((1 - p) ** gamma) * p.log()).mean()
    loss = make_loss(replace(METHODS["focal"], gamma=gamma), COUNTS[:classes], None)(logits, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_weight_counts_in_a_batch_of_one_class_too():
    logits, target = torch.tensor([[2.0, 0.0]] * 4), torch.ones(4, dtype=torch.int64)
    plain, weighted = (
        make_loss(METHODS[name], np.array([900, 10]), None)(logits, target) for name in ("none", "weighted")
    )
    assert weighted.item() == pytest.approx(plain.item() * class_balanced_weights([900, 10])[1].item(), rel=1e-5)
    assert weighted > 1.5 * plain


def test_ldam_asks_a_larger_margin_of_rarer_classes_and_weights_them_late(batch):
    logits, labels, target = batch
    loss = make_loss(METHODS["ldam-drw"], COUNTS, None)
    assert isinstance(loss, LDAMLoss)
    margin = 0.5 * COUNTS**-0.25 / (10**-0.25)
    z = logits.double().numpy() - 30 * np.eye(3)[labels] * margin
    assert loss(logits, target).item() == pytest.approx(naive(torch.from_numpy(z), labels), rel=1e-5)
    loss.set_progress(0.79)
    assert not loss.is_weighted
    loss.set_progress(0.8)
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


def test_a_centroid_of_each_stratum_equals_that_of_each_class_where_these_are_one(batch):
    images = torch.from_numpy(pictures([0, 1, 2] * 6, 32)).permute(0, 3, 1, 2).float() / 255
    labels = torch.tensor([0, 1, 2] * 6)
    target = encode_target(labels, torch.arange(18) >= 9)
    model = ConvNet(3).eval()
    found = []
    for name in ("stratum", "class"):
        with ClassCentroidTracker(model, 3, classifier=embedding_layer("convnet")) as tracker:
            tracker.refresh(iter([(images[:9], labels[:9])]))
            if name == "stratum":
                loss = StratumCappedLoss(0.01, tracker, "stop")
                loss.strata = labels
            else:
                loss = CappedSMOTELoss(0.01, tracker=tracker)
            found.append(loss(model(images), target))
            assert loss.stats["synthetic"] == 9
            assert loss.stats["capped"] > 0
            loss.reset_stats()
            assert loss.stats["synthetic"] == 0
    assert found[0].item() == pytest.approx(found[1].item(), rel=1e-5)


def test_every_method_has_a_loss_that_learns(batch):
    logits, _, target = batch
    for method in METHODS.values():
        if method.loss == "capped" and method.distance is not None:
            continue  # they need a tracker on a model: see test_training.py
        leaf = logits.clone().requires_grad_()
        make_loss(method, COUNTS, None)(leaf, target).backward()
        assert leaf.grad.abs().sum() > 0, method.name
