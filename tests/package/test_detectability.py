"""Blends that can be seen, blends that cannot, and the control by copies."""

from typing import Any

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from clesmote_losses import SMOTEDataset, blend_detectability
from clesmote_losses.detectability import BlendDetectability, ClassDetectability
from clesmote_losses.restore import random_states


class Network(nn.Module):
    """A network whose embedding is easy to see: pooled pixels, and the deviation of all."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.dropout = nn.Linear(49, 2), nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.avg_pool2d(images, 2).flatten(1)
        return self.fc(self.dropout(torch.cat([pooled, images.flatten(1).std(1, keepdim=True)], dim=1)))


def noise(images: int = 60, seed: int = 0) -> TensorDataset:
    """Sharp noise, of which a blend is duller: its variance is half as high."""
    generator = torch.Generator().manual_seed(seed)
    return TensorDataset(
        torch.randn(3 * images, 3, 8, 8, generator=generator), (torch.arange(3 * images) >= 2 * images).long()
    )


def ramps(images: int = 60, seed: int = 0) -> TensorDataset:
    """One pattern of uniform strength: a blend of two neighbours is as good an image as a third."""
    generator = torch.Generator().manual_seed(seed)
    pattern = torch.randn(3, 8, 8, generator=generator)
    strength = torch.rand(3 * images, 1, 1, 1, generator=generator)
    return TensorDataset(strength * pattern + pattern.flip(1), (torch.arange(3 * images) >= 2 * images).long())


def smote(base: TensorDataset, **options: Any) -> SMOTEDataset:
    return SMOTEDataset(base, sampler=SMOTE(k_neighbors=5, random_state=0), **options)


def only(found: BlendDetectability) -> ClassDetectability:
    (one,) = found.classes
    return one


def test_blends_of_sharp_noise_are_seen_and_copies_are_not() -> None:
    found = only(blend_detectability(Network(), smote(noise())))
    assert (found.label, found.images, found.blends) == (1, 60, 60)
    assert found.auroc > 0.9
    assert found.interval[0] <= found.auroc <= found.interval[1]
    assert abs(found.control - 0.5) < 0.1
    assert found.difference_interval[0] > 0.2
    assert "the network can learn to see blends" in str(found)


def test_blends_of_aligned_images_are_not_seen() -> None:
    found = only(blend_detectability(Network(), smote(ramps())))
    assert abs(found.auroc - 0.5) < 0.12
    assert abs(found.control - 0.5) < 0.1
    assert found.difference_interval[0] <= 0
    assert "can learn" not in str(found)


@pytest.mark.slow
def test_copies_are_at_chance_on_average_and_not_below() -> None:
    controls = [only(blend_detectability(Network(), smote(noise(60, seed)), seed=seed)).control for seed in range(8)]
    assert abs(np.mean(controls) - 0.5) < 0.05  # over 24 seeds 0.501, with a standard error of 0.014
    assert np.std(controls) > 0


def test_no_group_is_divided() -> None:
    generator = torch.Generator().manual_seed(0)
    patients = torch.arange(240) // 4
    centers = torch.randn(60, 3, 8, 8, generator=generator)
    images = centers[patients] + 0.05 * torch.randn(240, 3, 8, 8, generator=generator)
    train_set = smote(TensorDataset(images, (torch.arange(240) >= 160).long()), groups=patients.numpy())
    found = only(blend_detectability(Network(), train_set))
    assert found.auroc > 0.8  # partners are other patients
    few = smote(noise(60), groups=np.arange(180) // 4)
    with pytest.raises(ValueError, match=r"class 1 has 15 real images \(or groups= of them\)"):
        blend_detectability(Network(), few, classes=[1])


def test_the_copies_of_a_patient_in_two_folds_would_be_recognised() -> None:
    generator = torch.Generator().manual_seed(0)
    patients = np.arange(240) // 4
    centers = torch.randn(60, 3, 8, 8, generator=generator)
    images = centers[patients] + 0.01 * torch.randn(240, 3, 8, 8, generator=generator)
    base = TensorDataset(images, (torch.arange(240) >= 160).long())
    # only half of the patients have copies, so whoever is recognised is told from the others
    plan = smote(base, groups=patients).plan
    rows = np.arange(len(plan.base))
    plan.base[:], plan.neighbor[:], plan.lam[:] = 160 + 8 * (rows % 10), 160 + 8 * ((rows + 1) % 10), 0.5
    by_image, by_patient = (
        only(blend_detectability(Network(), smote(base, plan=plan, groups=groups))).control
        for groups in (None, patients)
    )
    assert by_image - by_patient > 0.1


@pytest.mark.slow
def test_states_stay_and_a_seed_gives_the_same_numbers() -> None:
    model, train_set = Network().train(), smote(noise(), transform=lambda image: image + torch.randn_like(image))
    plan, weights, before = train_set.plan, [p.clone() for p in model.parameters()], random_states()
    first, again = (blend_detectability(model, train_set, seed=3) for _ in range(2))
    assert random_states() == before
    assert first == again
    assert model.training
    assert model.dropout.training
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), weights, strict=True))
    assert np.array_equal(train_set.plan.lam, plan.lam)
    assert not model.fc._forward_pre_hooks


def test_the_transform_of_the_set_is_what_the_network_sees() -> None:
    def sharpen(image: Tensor) -> Tensor:
        return image / image.std()

    plain, sharp = smote(noise()), smote(noise(), transform=sharpen)
    model = Network()
    of_sharp = blend_detectability(model, sharp)
    assert blend_detectability(model, plain, transform=sharpen) == of_sharp
    assert only(of_sharp).auroc < 0.65  # the variance showed the blends


@pytest.mark.slow
def test_each_raised_class_is_measured() -> None:
    images, labels = noise(60).tensors
    labels = torch.where(torch.arange(180) < 100, 0, torch.where(torch.arange(180) < 140, 1, 2))
    train_set = smote(TensorDataset(images, labels))
    found = blend_detectability(Network(), train_set)
    assert [one.label for one in found.classes] == [1, 2]
    assert str(found).count("\n") == 1
    assert blend_detectability(Network(), train_set, classes=[2]).classes == found.classes[1:]


def test_a_small_class_is_skipped_unless_it_is_asked_for() -> None:
    images, labels = noise(60).tensors
    labels = torch.where(torch.arange(180) < 120, 0, torch.where(torch.arange(180) < 168, 1, 2))
    found = blend_detectability(Network(), smote(TensorDataset(images, labels)))
    assert [one.label for one in found.classes] == [1]
    assert "Not measured: class 2 has 12 real images" in str(found)


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.1, 0.3), "can learn to see blends"),
        ((-0.1, 0.2), "may be chance, and there are too few images"),
        ((-0.05, 0.05), "shows blends no better than copies"),
    ],
)
def test_the_sentence_follows_the_interval_of_the_difference(interval: tuple[float, float], words: str) -> None:
    found = ClassDetectability(1, 200, 400, 0.744, (0.69, 0.79), 0.5, (0.46, 0.54), interval)
    assert words in str(found)
    assert "AUROC 0.74 [0.69, 0.79], and copies with 0.50 [0.46, 0.54]" in str(found)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match=r"class 1 has 12 real images.*20 of each are needed"):
        blend_detectability(Network(), smote(noise(12)), classes=[1])
    with pytest.raises(ValueError, match="0 blends"):
        blend_detectability(Network(), smote(noise()), classes=[0])
    with pytest.raises(TypeError, match=r"train_set must be a SMOTEDataset.*got TensorDataset"):
        blend_detectability(Network(), noise())  # type: ignore[arg-type]
    model = Network()
    model.fc.weight.data.fill_(torch.nan)  # the embedding is before it
    blend_detectability(model, smote(noise()))
    with pytest.raises(ValueError, match="holds NaN or infinity, of class 1"):
        blend_detectability(model, smote(noise()), transform=lambda image: image * torch.nan)
