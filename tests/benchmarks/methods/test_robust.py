"""The losses against wrong labels, row by row."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmarks.methods.objective import Batch
from benchmarks.methods.robust import GeneralizedCrossEntropy, TrimmedCrossEntropy
from clesmote_losses import encode_target
from tests.support.benchmark_images import training_of


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40, 3, generator=generator)
    labels = torch.randint(3, (40,), generator=generator)
    return logits, labels, encode_target(labels, torch.arange(40) % 2 == 0)


@pytest.mark.parametrize("q", [0.3, 0.7, 1.0])
def test_generalised_cross_entropy_is_its_equation(batch, q):
    logits, labels, target = batch
    p = logits.double().softmax(1)[torch.arange(40), labels].numpy()
    assert GeneralizedCrossEntropy(q)(logits, target).item() == pytest.approx(((1 - p**q) / q).mean(), rel=1e-5)


def test_near_0_generalised_cross_entropy_is_cross_entropy(batch):
    logits, labels, target = batch
    found, plain = GeneralizedCrossEntropy(1e-6)(logits, target), F.cross_entropy(logits, labels)
    assert found.item() == pytest.approx(plain.item(), rel=1e-4)
    assert GeneralizedCrossEntropy(0.7)(logits, target) < 0.7 * plain


def trimmed(counts, trim, step, logits, target):
    loss = TrimmedCrossEntropy(np.array(counts), trim)
    batch = Batch(logits, target, target)
    assert loss.begin_step(training_of(None, np.array(counts), steps=1000, step=step), batch) is batch
    return loss(logits, target)


def test_trimming_drops_the_largest_losses_of_each_rare_class(batch):
    logits, labels, target = batch
    losses = F.cross_entropy(logits, labels, reduction="none").numpy()
    kept = [losses[labels == 0]]
    for rare in (1, 2):
        of_class = np.sort(losses[labels == rare])
        assert len(of_class) >= 10
        kept.append(of_class[: len(of_class) - int(0.3 * len(of_class))])
    found = trimmed([900, 90, 10], 0.3, 500, logits, target)
    assert found.item() == pytest.approx(np.concatenate(kept).mean(), rel=1e-5)


def test_trimming_grows_over_the_first_twentieth_of_the_training_and_0_is_cross_entropy(batch):
    logits, labels, target = batch
    plain = F.cross_entropy(logits, labels).item()
    values = [trimmed([900, 90, 10], 0.4, step, logits, target).item() for step in (0, 25, 50, 999)]
    assert values[0] == pytest.approx(plain)
    assert values[0] > values[1] > values[2] == values[3]
    assert trimmed([900, 90, 10], 0.0, 999, logits, target).item() == pytest.approx(plain)
    assert trimmed([90, 90, 90], 0.4, 999, logits, target).item() == pytest.approx(plain)  # no class is rare


def test_dropped_images_have_no_gradient_and_one_of_a_class_is_kept(batch):
    logits, labels, _ = batch
    first = torch.cat([torch.nonzero(labels == 0)[:, 0], torch.nonzero(labels == 1)[:1, 0]])
    leaf = logits[first].requires_grad_()
    trimmed([900, 90, 10], 0.9, 999, leaf, labels[first]).backward()
    assert (leaf.grad.abs().sum(1) > 0).all()
    leaf = logits.clone().requires_grad_()
    trimmed([900, 90, 10], 0.5, 999, leaf, labels).backward()
    dropped = leaf.grad.abs().sum(1) == 0
    assert dropped.sum() == sum(int((labels == rare).sum()) // 2 for rare in (1, 2))
    assert not dropped[labels == 0].any()
