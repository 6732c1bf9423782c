"""Mixed images and their targets, each against the equation or torchvision."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmarks.methods.mixing import MIXINGS, MixedObjective, balanced_weights, paste_rare, remix_with
from benchmarks.methods.objective import Batch
from benchmarks.methods.registry import METHODS
from benchmarks.training.training_images import TrainingData
from clesmote_losses import encode_target
from tests.support.benchmark_images import training_of

COUNTS = np.array([900, 90, 10])
LABELS = torch.tensor([0] * 12 + [1] * 6 + [2] * 2)
STRATA = torch.tensor([0] * 12 + [1] * 4 + [2] * 2 + [3] * 2)  # class 1 has two strata


@pytest.fixture
def images():
    return torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def fixed_weight(monkeypatch):
    """Every Beta distribution draws this weight; what it was made with is kept."""
    seen = []

    def set_weight(weight):
        def sample(self, shape=()):
            seen.append((float(self.concentration1), float(self.concentration0)))
            return torch.tensor(weight)

        monkeypatch.setattr(torch.distributions.Beta, "sample", sample)
        return seen

    return set_weight


def classes(labels):
    return F.one_hot(labels, 3).float()


def run_of(images, **state):
    target = encode_target(LABELS, torch.zeros(20, dtype=torch.bool))
    return training_of(None, COUNTS, TrainingData(images, target, STRATA), steps=1000, step=500, **state)


@pytest.mark.parametrize("name", ["mixup", "remix", "balanced_mixup", "cmo"])
def test_a_weight_of_1_for_the_image_itself_is_plain_cross_entropy(images, fixed_weight, name):
    fixed_weight(0.0 if name == "balanced_mixup" else 1.0)
    mixed, shares = MIXINGS[name].mix(images, LABELS, COUNTS, 1.0)
    size = 10 if MIXINGS[name].takes_balanced else 20
    assert torch.allclose(mixed, images[:size])
    logits = torch.randn(size, 3)
    assert torch.allclose(F.cross_entropy(logits, shares), F.cross_entropy(logits, LABELS[:size]))


def test_mixup_is_the_blend_of_two_images_of_the_batch(images, fixed_weight):
    seen = fixed_weight(0.3)
    mixed, shares = MIXINGS["mixup"].mix(images, LABELS, COUNTS, 0.4)
    before = np.arange(20) - 1
    assert torch.allclose(mixed, 0.3 * images + 0.7 * images[before])
    assert torch.allclose(shares, 0.3 * classes(LABELS) + 0.7 * classes(LABELS[before]))
    assert seen == [pytest.approx((0.4, 0.4))]


@pytest.mark.parametrize("weight", [0.3, 0.5, 0.8])
def test_remix_gives_the_label_of_the_rare_class_where_it_has_more_than_half(images, weight):
    counts = np.array([900, 300, 250])  # class 0 is frequent beside both; these are alike
    labels = torch.tensor([0, 1, 2, 0, 2])
    mixed, shares = remix_with(images[:5], labels, counts, weight)
    before = np.arange(5) - 1
    assert torch.allclose(mixed, weight * images[:5] + (1 - weight) * images[:5][before])
    for own, other, found in zip(labels, labels[before], shares, strict=True):
        ratio, share = counts[own] / counts[other], weight  # Eq. 2 of Chou et al.
        if ratio >= 3 and weight < 0.5:
            share = 0
        elif ratio <= 1 / 3 and 1 - weight < 0.5:
            share = 1
        assert torch.allclose(found, share * classes(own) + (1 - share) * classes(other))
    relabelled = (shares == 0).sum(1) == 2
    assert relabelled.any() == (weight != 0.5)
    assert not relabelled.all()


def test_balanced_mixup_blends_two_draws(images, fixed_weight):
    seen = fixed_weight(0.2)
    mixed, shares = MIXINGS["balanced_mixup"].mix(images, LABELS, COUNTS, 0.1)
    assert torch.allclose(mixed, 0.8 * images[:10] + 0.2 * images[10:])
    assert torch.allclose(shares, 0.8 * classes(LABELS[:10]) + 0.2 * classes(LABELS[10:]))
    assert seen == [pytest.approx((0.1, 1.0))]  # mostly the image as it comes


def test_cmo_pastes_a_box_of_the_second_draw_and_labels_by_area(images):
    torch.manual_seed(3)
    mixed, shares = paste_rare(images, LABELS, COUNTS, 1.0)
    from_background, from_rare = (mixed == images[:10]).all(1), (mixed == images[10:]).all(1)
    assert (from_background ^ from_rare).all()
    area = from_rare.float().mean((1, 2))
    assert 0 < area[0] < 1
    assert (area == area[0]).all()
    assert torch.allclose(shares, (1 - area[0]) * classes(LABELS[:10]) + area[0] * classes(LABELS[10:]))
    rows, columns = from_rare[0].any(1).nonzero(), from_rare[0].any(0).nonzero()
    assert len(rows) * len(columns) == from_rare[0].sum()  # one box


def test_a_balanced_draw_takes_classes_as_often_and_strata_of_a_class_too():
    weights = balanced_weights(LABELS, STRATA)
    of_stratum = torch.zeros(4, dtype=torch.float64).index_add_(0, STRATA, weights)
    assert torch.allclose(of_stratum, torch.tensor([1 / 3, 1 / 6, 1 / 6, 1 / 3]).double())


def test_batches_of_two_draws_are_mixed_into_batches_of_the_size_of_one(images):
    torch.manual_seed(0)
    run = run_of(images, batches=iter([torch.arange(10)] * 300))
    objective = METHODS["cmo"].build_loss(run)
    rare = 0
    mixed = 0
    for chosen in run.batches:
        assert torch.equal(chosen[:10], torch.arange(10))
        rare += (LABELS[chosen[10:]] == 2).sum().item()
        batch = Batch(images[chosen], run.data.target[chosen], STRATA[chosen])
        found = objective.begin_step(run, batch)
        assert found.inputs.shape == (10, 3, 8, 8)
        assert found.target.shape == (10, 3)
        assert torch.equal(found.strata, STRATA[:10])
        mixed += not torch.equal(found.inputs, images[:10])
    assert rare / 3000 == pytest.approx(1 / 3, abs=0.03)  # of 2 images in 20
    assert mixed / 300 == pytest.approx(0.5, abs=0.1)
    for step, mixes in ((14, False), (16, True), (984, True), (986, False)):  # 3 of 200 epochs at both ends
        run.step = step
        found = [objective.begin_step(run, batch).inputs for _ in range(20)]
        assert any(not torch.equal(inputs, images[:10]) for inputs in found) == mixes


def test_the_objective_trains_on_shares_of_adjusted_logits(images):
    run, objectives = run_of(images), {}
    chosen = torch.arange(20)
    logits = torch.randn(20, 3)
    for name in ("mixup", "mixup-balanced-softmax"):
        objectives[name] = objective = METHODS[name].build_loss(run)
        assert isinstance(objective, MixedObjective)
        found = objective.begin_step(run, Batch(images, run.data.target[chosen], STRATA))
        shift = torch.from_numpy(np.log(COUNTS / 1000)).float() * (name != "mixup")
        assert objective(logits, found.target).item() == pytest.approx(
            F.cross_entropy(logits + shift, found.target).item(), rel=1e-5
        )
        assert found.inputs.shape == images.shape
        assert torch.allclose(found.target.sum(1), torch.ones(20))
        assert ((found.target > 0).sum(1) == 2).any()
    mass = 1 + classes(LABELS).sum(0).double().numpy()  # mixup keeps the frequencies of the batch
    assert np.allclose(objectives["mixup"].prior(run), mass / mass.sum())
    adjusted = mass / COUNTS
    assert np.allclose(objectives["mixup-balanced-softmax"].prior(run), adjusted / adjusted.sum())
