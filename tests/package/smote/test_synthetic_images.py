"""Synthetic images of a plan: alike one by one and together, and an error that names the parents."""

import dataclasses

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE

from clesmote_losses import SMOTEDataset, SMOTEPlan
from clesmote_losses.smote import synthetic_images
from clesmote_losses.smote.blending import blend
from clesmote_losses.smote.real_images import RealImages
from tests.support.smote_data import Items

LABELS = np.array([0] * 9 + [1] * 5)


def images_of_sizes(*sizes: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (size, size, 3), np.uint8) for size in sizes]


@pytest.fixture
def plan() -> SMOTEPlan:
    base = Items(images_of_sizes(*[6] * 14), LABELS)
    return SMOTEDataset(base, sampler=SMOTE(k_neighbors=3, random_state=0)).plan


@pytest.mark.parametrize("at_once", [1, 2 * 6 * 6 * 3, 2**18], ids=["one", "two", "all"])
def test_images_are_those_of_single_blends_however_many_are_blended_at_once(
    plan: SMOTEPlan, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic_images, "_BLENDED_AT_ONCE", at_once)
    images = images_of_sizes(*[6] * 14)
    made = list(synthetic_images.blends(RealImages(Items(images, LABELS), LABELS), plan, [2, 0, 3]))
    expected = [blend(images[plan.base[i]], images[plan.neighbor[i]], float(plan.lam[i])) for i in (2, 0, 3)]
    np.testing.assert_array_equal(made, expected)


def test_parents_of_other_sizes_are_named(plan: SMOTEPlan) -> None:
    images = images_of_sizes(*range(6, 20))
    row = int(np.flatnonzero(plan.base != plan.neighbor)[0])
    with pytest.raises(ValueError, match=f"real images {plan.base[row]} and {plan.neighbor[row]} cannot be blended"):
        list(synthetic_images.blends(RealImages(Items(images, LABELS), LABELS), plan, [row]))


def test_parents_are_chosen_of_every_stratum_with_blends_spread_and_few(plan: SMOTEPlan) -> None:
    strata = np.repeat(["majority", "a", "b"], [1000, 300, 40])
    base = np.repeat(np.arange(1000, 1340), 2)
    drawn = dataclasses.replace(plan, base=base, neighbor=base[::-1].copy(), num_real=1340)
    chosen = np.array(synthetic_images.some_parents(drawn, strata))
    assert [np.sum(strata[chosen] == name) for name in ("majority", "a", "b")] == [0, 16, 16]
    assert set(np.histogram(chosen[:16], 4, (1000, 1300))[0]) == {4}
    assert {1000, 1299, 1300, 1339} <= set(chosen.tolist())


def test_few_parents_of_each_are_chosen_where_there_are_many_classes(plan: SMOTEPlan) -> None:
    labels = np.repeat(np.arange(500), 4)
    drawn = dataclasses.replace(plan, base=np.arange(2000), neighbor=np.arange(2000), num_real=2000)
    assert np.bincount(labels[synthetic_images.some_parents(drawn, labels)]).tolist() == [2] * 500
