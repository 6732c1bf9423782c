"""Data sets that augment inside ``__getitem__``."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset

from clesmote_losses import CappedSMOTELoss, SMOTEDataset, begin_epoch
from clesmote_losses.smote import steadiness
from clesmote_losses.smote.steadiness import check_steady, check_unchanged

LABELS = [0] * 14 + [1] * 6
IMAGES = np.random.default_rng(0).random((20, 8, 8)).astype(np.float32)


class FlipsRarely:
    """One image, flipped with p=0.1 by a generator that nobody sees."""

    def __init__(self, seed: int) -> None:
        self.rng, self.readings = np.random.default_rng(seed), 0

    def __call__(self, index: int) -> torch.Tensor:
        self.readings += 1
        image = IMAGES[index][::-1] if self.rng.random() < 0.1 else IMAGES[index]
        return torch.from_numpy(image.copy())


@pytest.fixture(params=[0.0, 0.2], ids=["fast", "slow"])
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that passes by a step each time that it is asked for."""
    steps: Iterator[float] = (step * 6 * request.param for step in range(10**6))
    monkeypatch.setattr(steadiness.time, "monotonic", lambda: next(steps))


@pytest.mark.usefixtures("clock")
def test_a_rare_flip_is_noticed_however_slow_reading_is_and_few_the_images_are() -> None:
    missed = 0
    for seed in range(40):
        with suppress(ValueError):
            check_steady(FlipsRarely(seed), range(6), "Slow")
            missed += 1
    assert missed <= 1  # 0.9 ** 64 = 0.1 %


def test_volumes_that_take_seconds_are_read_twice_at_least_and_not_for_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter(range(0, 10**6, 20))
    monkeypatch.setattr(steadiness.time, "monotonic", lambda: next(steps))
    read: list[int] = []
    check_steady(lambda index: read.append(index) or torch.zeros(1), [0, 1], "Volumes")  # type: ignore[func-returns-value]
    assert read == [0, 1] * 2


def test_the_images_that_are_read_again_take_turns_over_the_epochs() -> None:
    read: list[int] = []

    def reading(index: int) -> torch.Tensor:
        read.append(index)
        return torch.from_numpy(IMAGES[index])

    known = check_steady(reading, range(20), "Scans")
    read.clear()
    for epoch in range(3):
        check_unchanged(reading, known, "Scans", epoch)
        assert len(read) <= 8 * (epoch + 1)
    assert sorted(read) == list(range(20))


class EpochSeeded(Dataset[Any]):
    """Augments by a generator of epoch and index, as reproducible code does; the loop sets ``base.epoch``."""

    epoch = 0

    def __init__(self, transform: Any = None) -> None:
        self.targets = LABELS
        if transform is not None:
            self.transform = transform

    def __len__(self) -> int:
        return len(LABELS)

    def __getitem__(self, index: int) -> Any:
        rng = np.random.default_rng((self.epoch, index))
        image = IMAGES[index][:, ::-1].copy() if rng.random() < 0.5 else IMAGES[index]
        return getattr(self, "transform", lambda image: image)(image), self.targets[index]


def test_an_epoch_that_the_data_set_is_told_beside_train_set_is_refused_when_its_images_change() -> None:
    base = EpochSeeded()
    train_set = SMOTEDataset(base)
    criterion = CappedSMOTELoss(beta=1.0, distance=None)
    begin_epoch(criterion, train_set, 0)
    base.epoch = 1
    with pytest.raises(
        ValueError, match=r"in epoch 1 than when .* made of it: .* it augments inside .* method set_epoch"
    ):
        begin_epoch(criterion, train_set, 1)


def test_an_epoch_that_does_not_reach_the_copy_of_the_data_set_is_refused() -> None:
    base = EpochSeeded(np.negative)
    train_set = SMOTEDataset(base)
    train_set.set_epoch(0)
    base.epoch = 1
    with pytest.raises(ValueError, match=r"epoch of EpochSeeded was set after .* Give the data set a method set_epoch"):
        train_set.set_epoch(1)


class Told(EpochSeeded):
    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def test_a_data_set_with_a_method_set_epoch_may_change_its_images() -> None:
    for base in (Told(), Told(np.negative)):
        train_set = SMOTEDataset(base)
        for epoch in range(2):
            base.set_epoch(epoch)
            train_set.set_epoch(epoch)
            assert all(np.array_equal(train_set[i][0], base[i][0]) for i in range(20))


@pytest.mark.parametrize(
    "wrap", [lambda base: Subset(base, range(20)), lambda base: ConcatDataset([base, Subset(base, range(12, 20))])]
)
@pytest.mark.parametrize("transform", [None, np.negative])
def test_an_epoch_reaches_a_data_set_inside_wrappers_and_images_of_the_last_one_are_forgotten(
    wrap: Any, transform: Any
) -> None:
    base, twin = Told(transform), Told(transform)
    train_set, same = SMOTEDataset(wrap(base)), wrap(twin)
    blends = []
    for epoch in range(3):
        base.set_epoch(epoch)
        twin.set_epoch(epoch)
        train_set.set_epoch(epoch)
        assert all(np.array_equal(train_set[i][0], same[i][0]) for i in range(len(same)))
        blends.append([np.asarray(train_set[i][0]) for i in range(len(same), len(train_set))])
    plan, first = train_set.plan, len(same)
    for i in range(len(plan.base)):
        lam = plan.lam[i]
        own = (1 - lam) * same[plan.base[i]][0] + lam * same[plan.neighbor[i]][0]
        np.testing.assert_allclose(train_set[first + i][0], own, atol=1e-6)
    assert not np.array_equal(blends[0], blends[1])


def test_beside_a_data_set_with_set_epoch_images_of_one_without_may_not_change() -> None:
    other = EpochSeeded()
    train_set = SMOTEDataset(ConcatDataset([Told(), other]))
    train_set.set_epoch(1)
    other.epoch = 1
    with pytest.raises(ValueError, match=r"ConcatDataset gives another image .* the data set that makes them a method"):
        train_set.set_epoch(2)
    copied = EpochSeeded(np.negative)
    train_set = SMOTEDataset(ConcatDataset([Told(np.negative), copied]))
    train_set.set_epoch(1)
    copied.epoch = 1
    with pytest.raises(ValueError, match="epoch of ConcatDataset was set after"):
        train_set.set_epoch(2)


def test_a_check_at_each_epoch_is_over_soon_where_reading_is_slow() -> None:
    def slow(index: int) -> torch.Tensor:
        time.sleep(0.6)
        return torch.zeros(1)

    known = dict.fromkeys(range(20), steadiness._digest(torch.zeros(1)))
    start = time.monotonic()
    check_unchanged(slow, known, "Volumes", 0)
    assert time.monotonic() - start < 3  # and not 4.2
