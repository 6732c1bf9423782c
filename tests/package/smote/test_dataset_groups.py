"""No blend of two images of one group, such as a patient, against a brute-force search."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE
from sklearn.neighbors import NearestNeighbors
from torch.utils.data import TensorDataset

from clesmote_losses import SMOTEDataset, SMOTEPlan
from clesmote_losses.errors import ArgumentError
from tests.support.smote_data import EVERY_SAMPLER, float_images

IMAGES, LABELS = float_images({0: 60, 1: 30, 2: 24})
BASE = TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(LABELS))
RNG = np.random.default_rng(0)
# Patients of unequal size, some with images of several classes; those of a patient are nearly alike.
PATIENTS = RNG.integers(0, 20, len(LABELS)) ** 2 // 20
ALIKE = (0.1 * IMAGES.reshape(len(LABELS), -1) + RNG.normal(size=(20, 60))[PATIENTS]).astype(np.float32)


def pairs(plan: SMOTEPlan) -> np.ndarray:
    return np.stack([plan.base, plan.neighbor], axis=1)[plan.base != plan.neighbor]


def within(plan: SMOTEPlan) -> int:
    """Blends of two images of one patient."""
    return int((PATIENTS[pairs(plan)[:, 0]] == PATIENTS[pairs(plan)[:, 1]]).sum())


def nearest_of_others(row: int, pool: np.ndarray, k: int) -> list[int]:
    others = [i for i in pool if PATIENTS[i] != PATIENTS[row]]
    return sorted(others, key=lambda i: (float(np.square(ALIKE[i].astype(float) - ALIKE[row]).sum()), i))[:k]


@EVERY_SAMPLER
@pytest.mark.parametrize("strata", [None, LABELS * 2 + (LABELS == 1) * (np.arange(len(LABELS)) % 2)])
def test_no_two_images_of_a_patient_are_blended_in_any_epoch(sampler: Any, strata: Any) -> None:
    options: dict[str, Any] = {"sampler": sampler, "features": ALIKE, "strata": strata, "redraw": "epoch"}
    assert within(SMOTEDataset(BASE, **options).plan) > 3  # it happens otherwise
    train_set = SMOTEDataset(BASE, groups=PATIENTS, **options)
    for epoch in range(3):
        train_set.set_epoch(epoch)
        assert len(pairs(train_set.plan)) > 10
        assert within(train_set.plan) == 0
        assert (LABELS[train_set.plan.base] == train_set.plan.label).all()


@pytest.mark.parametrize(
    "k", [4, NearestNeighbors(n_neighbors=5), NearestNeighbors(n_neighbors=5, algorithm="brute")], ids=str
)
def test_neighbors_are_the_nearest_of_other_patients(k: Any) -> None:
    plan = SMOTEPlan.from_sampler(SMOTE(k_neighbors=k, random_state=0), LABELS, ALIKE, groups=PATIENTS)
    assert [sorted(table[:, 0]) for table in plan.tables] == [np.flatnonzero(c == LABELS).tolist() for c in (1, 2)]
    for table in plan.tables:
        for row, *found in table.tolist():
            assert found == nearest_of_others(row, table[:, 0], 4)


@pytest.mark.parametrize("sampler", [BorderlineSMOTE(k_neighbors=3, m_neighbors=7), ADASYN(n_neighbors=5)], ids=str)
def test_the_neighborhood_that_tells_hard_samples_is_of_other_patients_too(sampler: Any) -> None:
    plan = SMOTEPlan.from_sampler(sampler, LABELS, ALIKE, groups=PATIENTS)
    k = plan.tables[0].shape[1] - 1
    for row, *found in plan.tables[0].tolist():
        assert found == nearest_of_others(row, np.arange(len(LABELS)), k)


@EVERY_SAMPLER
def test_a_group_for_each_image_changes_nothing(sampler: Any) -> None:
    each, none = (SMOTEPlan.from_sampler(sampler, LABELS, ALIKE, groups=g) for g in (np.arange(len(LABELS)), None))
    for name in ("base", "neighbor", "lam", "label"):
        np.testing.assert_array_equal(getattr(each, name), getattr(none, name))


FEW = np.repeat([0, 1], [20, 8])
OF_FEW = np.array([*range(20), *[50] * 5, *[51] * 2, 52])  # 5, 2 and 1 images of the patients of class 1
ROWS = np.random.default_rng(1).normal(size=(28, 4))


def few(small_class: Any, sampler: Any = None, groups: Any = OF_FEW) -> SMOTEPlan:
    sampler = sampler or SMOTE(k_neighbors=5, random_state=0)
    return SMOTEPlan.from_sampler(sampler, FEW, ROWS, groups=groups, small_class=small_class)


def test_a_class_with_too_few_other_patients_is_refused_shrunk_or_copied_as_a_small_class_is() -> None:
    with pytest.raises(ArgumentError, match=r"stratum 1 has 8 sample\(s\), 5 of them of one group.*10 are needed"):
        few("error")
    shrunk = few("shrink_k").tables[0]
    for row, *found in shrunk.tolist():
        others = {i for i in range(20, 28) if OF_FEW[i] != OF_FEW[row]}
        assert len(found) == 5  # as many as the sample with the most has
        assert set(found) == others if len(others) <= 5 else set(found) < others
    copied = few("duplicate")
    for row, *found in copied.tables[0].tolist():
        assert (found == [row] * 5) == (OF_FEW[row] == 50)  # three others are not enough
    assert set(copied.neighbor[copied.base < 25].tolist()) <= {*range(20, 28)}
    assert (OF_FEW[pairs(copied)[:, 0]] != OF_FEW[pairs(copied)[:, 1]]).all()


def test_a_class_of_one_patient_can_only_be_copied() -> None:
    one = np.where(FEW == 1, 50, np.arange(28))
    with pytest.raises(ArgumentError, match=r"8 of them of one group.*9 are needed.*duplicate"):
        few("shrink_k", groups=one)
    plan = few("duplicate", groups=one)
    assert (plan.base == plan.neighbor).all()


def test_adasyn_gets_k_columns_where_few_other_patients_are_left() -> None:
    plan = few("shrink_k", ADASYN(n_neighbors=5, random_state=0))
    assert plan.tables[-1].shape == (8, 6)
    assert (OF_FEW[pairs(plan)[:, 0]] != OF_FEW[pairs(plan)[:, 1]]).all()


def test_a_plan_is_loaded_with_groups_only_if_it_keeps_them_apart(tmp_path: Path) -> None:
    for name, groups in (("with", PATIENTS), ("without", None)):
        SMOTEDataset(BASE, features=ALIKE, groups=groups).plan.save(tmp_path / name)
    assert within(SMOTEDataset(BASE, groups=PATIENTS, plan=SMOTEPlan.load(tmp_path / "with")).plan) == 0
    with pytest.raises(ArgumentError, match=r"made without groups or with others: it takes samples \d+ and \d+ as"):
        SMOTEDataset(BASE, groups=PATIENTS, plan=SMOTEPlan.load(tmp_path / "without"))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([f"p{i}" for i in PATIENTS][:-1], r"groups must have shape \(114,\).*got \(113,\)"),
        ([*[f"p{i}" for i in PATIENTS][:-1], None], "groups must give every sample a group; sample 113 has None"),
        (pd.Series(PATIENTS, index=RNG.permutation(114)), "groups is a Series .*another order"),
    ],
    ids=["short", "gap", "shuffled"],
)
def test_groups_that_do_not_fit_are_refused(groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SMOTEDataset(BASE, groups=groups)


def test_names_are_groups_too() -> None:
    names = np.array([f"patient {i}" for i in PATIENTS])
    numbers, named = (SMOTEDataset(BASE, features=ALIKE, groups=groups).plan for groups in (PATIENTS, names))
    np.testing.assert_array_equal(numbers.neighbor, named.neighbor)
