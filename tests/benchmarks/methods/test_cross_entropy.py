"""Cross-entropy of adjusted logits, against its equation row by row."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmarks.methods.cross_entropy import AdjustedCrossEntropy
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


def naive(logits, labels, shift=(0, 0, 0), weight=(1, 1, 1)):
    z = logits.double().numpy() + np.asarray(shift)
    y, w = labels.numpy(), np.asarray(weight, dtype=float)
    ce = np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]
    return (ce * w[y]).sum() / len(y)


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
    loss = METHODS[name].build_loss(training_of(None, COUNTS))(logits, target)
    assert loss.item() == pytest.approx(naive(logits, labels, shift, weight), rel=1e-5)
    if name != "none":
        assert loss.item() != pytest.approx(naive(logits, labels), rel=1e-2)


def test_a_weight_counts_in_a_batch_of_one_class_too():
    logits, target = torch.tensor([[2.0, 0.0]] * 4), torch.ones(4, dtype=torch.int64)
    run = training_of(None, np.array([900, 10]))
    plain, weighted = (METHODS[name].build_loss(run)(logits, target) for name in ("none", "weighted"))
    assert weighted.item() == pytest.approx(plain.item() * class_balanced_weights([900, 10])[1].item(), rel=1e-5)
    assert weighted > 1.5 * plain


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_label_smoothing_spreads_a_share_of_each_target_over_all_classes(batch, smoothing):
    logits, labels, target = batch
    smooth = (1 - smoothing) * np.eye(3)[labels] + smoothing / 3
    expected = -(smooth * logits.double().log_softmax(1).numpy()).sum(1).mean()
    assert AdjustedCrossEntropy(COUNTS, smoothing=smoothing)(logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_a_target_of_shares_is_the_mean_over_its_classes(batch):
    logits, labels, _ = batch
    loss = AdjustedCrossEntropy(COUNTS, tau=1.0)
    shares = F.one_hot(labels, 3).float().lerp(F.one_hot(2 - labels, 3).float(), 0.25)
    expected = 0.75 * loss(logits, labels) + 0.25 * loss(logits, 2 - labels)
    assert loss(logits, shares).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_prior_is_that_of_the_minimum_of_the_loss():
    """Where images tell nothing, the network that minimises the loss gives each class its prior."""
    labels = torch.tensor([0] * 12 + [1] * 6 + [2] * 2)
    run = training_of(None, np.array([12, 6, 2]), TrainingData(torch.empty(20), labels, labels))
    for options in ({}, {"tau": 1.0}, {"tau": 0.5}, {"weight": torch.tensor([0.1, 0.2, 2.7])}):
        loss = AdjustedCrossEntropy(run.counts, **options)
        logits = torch.zeros(3, requires_grad=True)
        optimizer = torch.optim.LBFGS([logits], max_iter=100, line_search_fn="strong_wolfe")

        def closure(loss=loss, logits=logits, optimizer=optimizer):
            optimizer.zero_grad()
            value = loss(logits.expand(20, 3), labels)
            value.backward()
            return value

        optimizer.step(closure)
        assert np.allclose(loss.prior(run), logits.detach().softmax(0).numpy(), atol=1e-4), options
        assert loss.prior(run).sum() == pytest.approx(1)
    assert np.allclose(AdjustedCrossEntropy(run.counts, tau=1.0).prior(run), 1 / 3)
