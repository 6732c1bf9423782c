"""A new draw of the synthetic samples each epoch, in this process and in workers."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from imblearn.over_sampling import ADASYN, SMOTE
from scipy import stats
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from clesmote_losses import SMOTEDataset, SMOTEPlan
from tests.support.smote_data import (
    EVERY_SAMPLER,
    SAMPLERS,
    Items,
    float_images,
    synthetic_images,
    tensor_dataset,
    with_options,
)


def drawn(train_set: SMOTEDataset, epoch: int) -> SMOTEPlan:
    train_set.set_epoch(epoch)
    return train_set.plan


def same_recipe(one: SMOTEPlan, other: SMOTEPlan) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("base", "neighbor", "lam", "label")
    )


@EVERY_SAMPLER
def test_an_epoch_always_gives_its_own_draw_and_labels_never_change(sampler: Any) -> None:
    base = tensor_dataset({0: 60, 1: 30, 2: 22})
    train_set, elsewhere = (SMOTEDataset(base, sampler=sampler, redraw="epoch") for _ in range(2))  # two ranks
    first = train_set.plan
    draws = [drawn(train_set, epoch) for epoch in range(4)]
    for i, one in enumerate([first, *draws]):
        assert np.array_equal(one.label, first.label)
        assert not any(same_recipe(one, other) for other in [first, *draws][:i])
        assert (one.base != first.base).any() or i == 0 or type(sampler) is ADASYN  # its bases are fixed by the search
    assert same_recipe(drawn(train_set, 1), draws[1])
    assert same_recipe(drawn(elsewhere, 2), draws[2])
    other_seed = SMOTEDataset(base, sampler=with_options(sampler, random_state=99), redraw="epoch")
    assert not same_recipe(drawn(other_seed, 2), draws[2])


@EVERY_SAMPLER
def test_parents_of_every_draw_are_neighbours_of_the_right_class_and_lambda_is_a_weight(sampler: Any) -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 60, 1: 30, 2: 22}), sampler=sampler, redraw="epoch")
    labels = train_set.labels[:112]
    listed = {(int(row[0]), int(n)) for table in train_set.plan.tables for row in table for n in row[1:]}
    for epoch in range(5):
        plan = drawn(train_set, epoch)
        np.testing.assert_array_equal(labels[plan.base], plan.label)
        if getattr(sampler, "kind", None) != "borderline-2":  # which blends towards other classes
            np.testing.assert_array_equal(labels[plan.neighbor], plan.label)
        assert all(pair in listed for pair in zip(plan.base.tolist(), plan.neighbor.tolist(), strict=True))
        assert plan.lam.min() >= 0
        assert plan.lam.max() <= 1
        assert (plan.base != plan.neighbor).all()


@pytest.mark.parametrize("name", ["SMOTE", "BorderlineSMOTE 1", "ADASYN"])
def test_lambdas_of_many_draws_are_uniform(name: str) -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 60, 1: 30, 2: 22}), sampler=SAMPLERS[name], redraw="epoch")
    lams = np.concatenate([drawn(train_set, epoch).lam for epoch in range(30)])
    assert len(lams) > 1000
    # a recipe that reads both ways starts at its lower index, so lambda counts from either end with equal chance
    assert stats.kstest(lams, "uniform").pvalue > 1e-3


def test_every_sample_of_the_class_becomes_a_parent_in_the_long_run() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 60, 1: 30}), redraw="epoch")
    plans = [drawn(train_set, epoch) for epoch in range(30)]
    parents = np.concatenate([parent for plan in plans for parent in (plan.base, plan.neighbor)])
    assert set(parents) == set(np.flatnonzero(train_set.labels[:90] == 1))


def test_a_plan_taken_before_a_new_draw_stays_what_it_was() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 10}), redraw="epoch")
    plan = train_set.plan
    kept = [array.copy() for array in (plan.base, plan.neighbor, plan.lam)]
    train_set.set_epoch(1)
    for array, was in zip((plan.base, plan.neighbor, plan.lam), kept, strict=True):
        np.testing.assert_array_equal(array, was)
    plan.lam[:] = 0
    assert train_set.plan.lam.any()


def test_without_redraw_set_epoch_changes_nothing() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 10}))
    before = train_set.plan
    assert same_recipe(drawn(train_set, 5), before)


class TellsTheEpoch(Items):
    epoch = -1

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def test_a_base_that_wants_to_know_the_epoch_is_told() -> None:
    images, labels = float_images({0: 20, 1: 10})
    base = TellsTheEpoch(list(images), labels)
    SMOTEDataset(base).set_epoch(7)
    assert base.epoch == 7


@EVERY_SAMPLER
def test_a_loaded_plan_gives_the_same_items_and_the_same_redraws(sampler: Any, tmp_path: Path) -> None:
    base = tensor_dataset({0: 60, 1: 30, 2: 22})
    train_set = SMOTEDataset(base, sampler=sampler, redraw="epoch")
    train_set.plan.save(tmp_path / "plan.safetensors")
    plan = SMOTEPlan.load(tmp_path / "plan.safetensors")
    loaded = SMOTEDataset(base, sampler=sampler, plan=plan, redraw="epoch")
    fixed = SMOTEDataset(base, plan=plan)
    np.testing.assert_array_equal(synthetic_images(loaded), synthetic_images(train_set))
    np.testing.assert_array_equal(synthetic_images(fixed), synthetic_images(train_set))
    assert same_recipe(drawn(loaded, 6), drawn(train_set, 6))


def test_a_plan_of_other_data_or_options_is_refused() -> None:
    base = tensor_dataset({0: 20, 1: 10})
    plan = SMOTEDataset(base, sampler=SMOTE(random_state=0)).plan
    with pytest.raises(ValueError, match="another data set"):
        SMOTEDataset(tensor_dataset({0: 20, 1: 10}, seed=1), plan=plan)
    with pytest.raises(ValueError, match="another data set"):
        SMOTEDataset(base, plan=plan, strata=base.tensors[1].tolist())
    for other in (SMOTE(random_state=1), SMOTE(random_state=0, k_neighbors=3), ADASYN(random_state=0)):
        with pytest.raises(ValueError, match="other options"):
            SMOTEDataset(base, plan=plan, sampler=other)
    with pytest.raises(ValueError, match="needs sampler too"):
        SMOTEDataset(base, plan=plan, redraw="epoch")


def assert_workers_see_each_draw(train_set: SMOTEDataset, context: str, num_workers: int) -> None:
    loader = DataLoader(train_set, 8, num_workers=num_workers, persistent_workers=True, multiprocessing_context=context)
    seen = []
    for epoch in range(3):
        train_set.set_epoch(epoch)
        images, targets = (torch.cat(parts) for parts in zip(*loader, strict=True))
        here = [train_set[i] for i in range(len(train_set))]
        assert torch.equal(images, torch.stack([image for image, _ in here]))
        assert targets.tolist() == [target for _, target in here]
        seen.append(images[train_set.is_synthetic])
    assert len(seen[0]) > 5
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


@pytest.mark.parametrize("copied", [lambda d: d, copy.copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
def test_forked_workers_that_live_on_see_each_draw_of_a_data_set_or_its_copy(copied: Callable[[Any], Any]) -> None:
    train_set = copied(SMOTEDataset(tensor_dataset({0: 30, 1: 15}), redraw="epoch"))
    assert_workers_see_each_draw(train_set, "fork", 2)


@pytest.mark.slow
def test_spawned_workers_that_live_on_see_each_draw(digits: Path) -> None:
    base = ImageFolder(str(digits), transform=transforms.ToTensor())
    train_set = SMOTEDataset(Subset(base, range(24)), sampler=SMOTE(k_neighbors=2, random_state=0), redraw="epoch")
    assert_workers_see_each_draw(train_set, "spawn", 1)


def test_in_a_distributed_run_a_sampler_without_a_seed_is_refused(tmp_path: Path) -> None:
    base = tensor_dataset({0: 20, 1: 10})
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match=r"every rank must draw the same samples.*int random_state"):
            SMOTEDataset(base, sampler=SMOTE())
        assert len(SMOTEDataset(base, sampler=SMOTE(random_state=0))) == 40
    finally:
        dist.destroy_process_group()


def test_copies_and_pickled_ones_draw_anew_whatever_the_sampler_holds() -> None:
    sampler = SMOTE(sampling_strategy=lambda labels: {2: 9}, k_neighbors=3, random_state=0)
    train_set = SMOTEDataset(tensor_dataset({0: 12, 2: 5}), sampler=sampler, redraw="epoch")
    copies = [copy.deepcopy(train_set), pickle.loads(pickle.dumps(train_set))]
    train_set.set_epoch(4)
    for other in copies:
        assert not np.array_equal(other.plan.lam, train_set.plan.lam)
        other.set_epoch(4)
        np.testing.assert_array_equal(other.plan.lam, train_set.plan.lam)


@pytest.mark.slow
def test_workers_that_are_spawned_need_no_sampler_that_can_be_pickled() -> None:
    sampler = SMOTE(sampling_strategy=lambda labels: {2: 9}, k_neighbors=3, random_state=0)
    train_set = SMOTEDataset(tensor_dataset({0: 12, 2: 5}), sampler=sampler, redraw="epoch")
    loader = DataLoader(train_set, batch_size=7, num_workers=1, multiprocessing_context="spawn")
    for epoch in range(2):
        train_set.set_epoch(epoch)
        images = torch.cat([images for images, _ in loader])
        assert torch.equal(images, torch.stack([train_set[i][0] for i in range(21)]))
