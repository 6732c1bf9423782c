"""The balanced data set: imbalanced-learn's samples, made when they are asked for."""

import copy
import pickle
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE, BorderlineSMOTE
from sklearn.neighbors import NearestNeighbors
from torch.utils.data import Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from clesmote_losses import SMOTEDataset, decode_target
from tests.support.smote_data import (
    EVERY_SAMPLER,
    Items,
    counting,
    float_images,
    synthetic_images,
    tensor_dataset,
    to_array,
    with_options,
)

# --- equal to imbalanced-learn ---------------------------------------------------------------------------------------

STRATEGIES: dict[str, tuple[dict[int, int], Any]] = {
    "auto, three classes": ({0: 50, 2: 25, 5: 18}, "auto"),
    "auto, first class rare": ({0: 14, 1: 40}, "auto"),
    "not minority": ({0: 40, 1: 24, 2: 14}, "not minority"),
    "minority": ({0: 40, 1: 24, 2: 14}, "minority"),
    "all": ({0: 40, 1: 24, 2: 14}, "all"),
    "dict": ({0: 40, 1: 24, 2: 14}, {1: 45, 2: 21}),
    "float": ({0: 50, 1: 20}, 0.8),
    "callable": ({0: 40, 1: 24, 2: 14}, lambda y: {2: 3 * int((y == 2).sum())}),
}


@EVERY_SAMPLER
@pytest.mark.parametrize(("counts", "strategy"), STRATEGIES.values(), ids=STRATEGIES.keys())
def test_float_images_are_those_of_imbalanced_learn(sampler: Any, counts: dict[int, int], strategy: Any) -> None:
    images, labels = float_images(counts)
    sampler = with_options(sampler, sampling_strategy=strategy)
    flat, resampled = sampler.fit_resample(images.reshape(len(images), -1).astype(np.float64), labels)
    train_set = SMOTEDataset(Items(list(torch.from_numpy(images)), labels), sampler=sampler)
    assert len(flat) > len(images) + 5
    np.testing.assert_array_equal(train_set.labels, resampled)
    ours = np.stack([to_array(train_set[i][0]).ravel() for i in range(len(train_set))])
    np.testing.assert_array_equal(ours[: len(images)], flat[: len(images)])  # the real ones first, in their order
    np.testing.assert_allclose(ours, flat, rtol=0, atol=1e-5)


@pytest.mark.parametrize("random_state", [7, np.int64(7), np.random.RandomState(7)], ids=lambda s: type(s).__name__)
def test_every_kind_of_random_state_draws_what_imbalanced_learn_draws(random_state: Any) -> None:
    images, labels = float_images({0: 40, 1: 24, 2: 14})
    sampler = SMOTE(random_state=random_state)
    train_set = SMOTEDataset(Items(list(images), labels), sampler=sampler)  # first: fitting moves a RandomState on
    flat, _ = sampler.fit_resample(images.reshape(len(images), -1).astype(np.float64), labels)
    ours = synthetic_images(train_set).reshape(-1, 60)
    np.testing.assert_allclose(ours, flat[len(images) :], rtol=0, atol=1e-5)


def test_a_neighbour_estimator_of_the_sampler_is_asked_as_imbalanced_learn_asks_it() -> None:
    images, labels = float_images({0: 40, 1: 20})
    flat_images = images.reshape(len(images), -1)
    results = []
    for metric in ("manhattan", "cosine"):
        sampler = SMOTE(k_neighbors=NearestNeighbors(n_neighbors=4, metric=metric), random_state=0)
        flat, _ = sampler.fit_resample(flat_images.astype(np.float64), labels)
        ours = synthetic_images(SMOTEDataset(Items(list(images), labels), sampler=sampler)).reshape(-1, 60)
        np.testing.assert_allclose(ours, flat[len(images) :], rtol=0, atol=1e-5)
        results.append(ours)
    assert not np.allclose(*results)  # the metric matters here


@EVERY_SAMPLER
def test_uint8_images_are_the_float_result_rounded(sampler: Any) -> None:
    images, labels = float_images({0: 40, 1: 22, 2: 15})
    images = (images * 255).round().astype(np.uint8)
    flat, resampled = sampler.fit_resample(images.reshape(len(images), -1).astype(np.float64), labels)
    train_set = SMOTEDataset(Items(list(torch.from_numpy(images)), labels), sampler=sampler)
    np.testing.assert_array_equal(train_set.labels, resampled)
    assert train_set[len(train_set) - 1][0].dtype == torch.uint8
    ours, exact = synthetic_images(train_set).reshape(-1, 60), flat[len(images) :]
    assert np.abs(ours - exact).max() <= 0.5 + 1e-4
    assert (ours == exact.round()).mean() > 0.999


def test_imbalanced_learn_itself_wraps_around_on_uint8_images() -> None:
    images, labels = float_images({0: 40, 1: 15})
    flat = (images * 255).round().astype(np.uint8).reshape(len(images), -1)
    sampler = SMOTE(k_neighbors=3, random_state=0)
    theirs, _ = sampler.fit_resample(flat, labels)
    right, _ = sampler.fit_resample(flat.astype(np.float64), labels)
    wrong = np.abs(theirs[len(images) :].astype(float) - right[len(images) :]) > 1
    assert wrong.mean() > 0.3  # if this ever fails, imbalanced-learn has mended it


# --- what is read ----------------------------------------------------------------------------------------------------


FEW = 16 * 8 + 8  # reads that ask whether the base gives the same image again, and whether images are white


@EVERY_SAMPLER
def test_the_images_that_the_search_needs_are_read_once_and_no_others(sampler: Any) -> None:
    base = counting({0: 200, 1: 150, 2: 120})
    SMOTEDataset(base, sampler=with_options(sampler, sampling_strategy={1: 200, 2: 200}))
    needed = np.flatnonzero(base.labels != 0) if type(sampler) is SMOTE else np.arange(470)
    reads = Counter(base.reads)
    assert sorted(reads) == needed.tolist()
    again = [n for n in reads.values() if n > 1]  # looked at for augmentation, and some of them for white images
    assert len(again) <= 64
    assert max(again) <= 10


def test_with_given_features_or_a_given_plan_only_a_few_images_are_read() -> None:
    base = counting({0: 200, 1: 150})
    sampler = SMOTE(random_state=0)
    train_set = SMOTEDataset(base, sampler=sampler, features=torch.rand(350, 4))
    assert 0 < len(base.reads) <= FEW
    base.reads.clear()
    SMOTEDataset(base, sampler=sampler, plan=train_set.plan)
    assert 0 < len(base.reads) <= FEW


def test_a_real_item_costs_one_read_and_a_synthetic_one_two() -> None:
    base = counting({0: 20, 1: 10})
    train_set = SMOTEDataset(base)
    base.reads.clear()
    train_set[3]
    assert base.reads == [3]
    base.reads.clear()
    train_set[35]
    assert base.reads == [train_set.provenance(35).base, train_set.provenance(35).neighbor]


def test_features_steer_the_search_and_leave_the_images_raw() -> None:
    images, labels = float_images({0: 30, 1: 16})
    features = np.random.default_rng(1).standard_normal((46, 3))
    sampler = SMOTE(k_neighbors=2, random_state=0)
    base = Items(list(images), labels)
    rows = SMOTEDataset(base, sampler=sampler, features=features)
    pixels = SMOTEDataset(base, sampler=sampler)
    assert (rows.plan.neighbor != pixels.plan.neighbor).any()
    minority = np.flatnonzero(labels == 1)
    for base_index, neighbor in zip(rows.plan.base, rows.plan.neighbor, strict=True):
        distance = np.linalg.norm(features[minority] - features[base_index], axis=1)
        back = np.linalg.norm(features[minority] - features[neighbor], axis=1)  # a recipe may be read both ways
        assert neighbor in minority[distance.argsort()[1:3]] or base_index in minority[back.argsort()[1:3]]
    where = rows.provenance(50)
    exact = (1 - where.lam) * images[where.base] + where.lam * images[where.neighbor]
    np.testing.assert_allclose(rows[50][0], exact, atol=1e-6)


@pytest.mark.parametrize("returns", [lambda row: row, torch.from_numpy, lambda row: row.tolist()])
def test_a_function_of_the_raw_image_gives_the_features(returns: Callable[[np.ndarray], Any]) -> None:
    images, labels = float_images({0: 30, 1: 16})
    base = Items(list(images), labels, transform=lambda image: "transformed")

    def mean_of_planes(image: Any) -> Any:
        assert isinstance(image, np.ndarray)
        return returns(image.mean((1, 2)))

    by_function = SMOTEDataset(base, sampler=SMOTE(random_state=0), features=mean_of_planes)
    by_rows = SMOTEDataset(base, sampler=SMOTE(random_state=0), features=images.mean((2, 3)))
    for name in ("base", "neighbor", "lam"):
        np.testing.assert_array_equal(getattr(by_function.plan, name), getattr(by_rows.plan, name))


def test_a_cache_reads_each_parent_once_and_changes_no_item() -> None:
    images, labels = float_images({0: 30, 1: 8, 2: 9})
    plain, cached = Items(list(images), labels), Items(list(images), labels)
    sets = [SMOTEDataset(base, cache_mb=megabytes) for base, megabytes in ((plain, 0), (cached, 1))]
    for base in (plain, cached):
        base.reads.clear()
    synthetic = np.flatnonzero(sets[0].is_synthetic).tolist()
    for _ in range(2):
        for index in synthetic:
            assert np.array_equal(sets[0][index][0], sets[1][index][0])
    plan = sets[0].plan
    assert sorted(cached.reads) == sorted({*plan.base.tolist(), *plan.neighbor.tolist()})
    assert len(plain.reads) == 4 * len(plan)


def test_a_transform_that_writes_into_its_image_does_not_reach_the_cache() -> None:
    def blacken(image: np.ndarray) -> np.ndarray:
        image[:] = 0
        return image

    images, labels = float_images({0: 30, 1: 2})
    options = {"small_class": "duplicate", "cache_mb": 1}
    train_set = SMOTEDataset(Items([image.copy() for image in images], labels), **options)
    expected = synthetic_images(train_set)
    train_set.transform = blacken
    assert not synthetic_images(train_set).any()
    train_set.transform = None
    assert np.array_equal(synthetic_images(train_set), expected)


def test_a_transform_given_later_to_a_base_that_had_none_is_refused() -> None:
    images, labels = float_images({0: 30, 1: 8})
    base = Items(list(images), labels)
    train_set = SMOTEDataset(Subset(base, range(38)))
    train_set.transform = base.transform = np.negative
    with pytest.raises(ValueError, match=r"had no transform .* Assign it to the SMOTEDataset"):
        train_set[0]
    base.transform = None
    assert np.array_equal(train_set[0][0], -images[0])


def test_a_new_epoch_of_the_base_empties_the_cache() -> None:
    images, labels = float_images({0: 30, 1: 8})
    base = Items(list(images), labels)
    base.set_epoch = lambda epoch: base.images.__setitem__(slice(None), [image * 0 for image in images])  # type: ignore[attr-defined]
    train_set = SMOTEDataset(base, cache_mb=1)
    assert synthetic_images(train_set).any()
    train_set.set_epoch(1)
    assert not synthetic_images(train_set).any()


# --- items --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [40, -41, 1000])
def test_an_index_out_of_range_is_an_index_error(index: int) -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 10}))
    for ask in (train_set.__getitem__, train_set.provenance):
        with pytest.raises(IndexError, match=f"{index} is out of range for 40"):
            ask(index)


@pytest.mark.parametrize("kind_", [int, np.int64, torch.tensor])
def test_an_index_may_count_from_the_end_and_be_of_any_integer_kind(kind_: Callable[[int], Any]) -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 10}))
    for index in (-1, -40, -11):
        assert torch.equal(train_set[kind_(index)][0], train_set[40 + index][0])
        assert train_set.provenance(kind_(index)) == train_set.provenance(40 + index)


def test_a_balanced_data_set_gets_no_synthetic_samples() -> None:
    base = tensor_dataset({0: 10, 1: 10})
    train_set = SMOTEDataset(base, redraw="epoch")
    train_set.set_epoch(1)
    assert len(train_set) == 20
    assert train_set.oversampled_classes == []
    assert not train_set.is_synthetic.any()
    assert all(torch.equal(train_set[i][0], base[i][0]) for i in range(20))


# --- views and copies ------------------------------------------------------------------------------------------------


def test_the_real_subset_of_some_classes_holds_exactly_their_real_samples() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 12, 2: 9}))
    real = train_set.real_subset(train_set.oversampled_classes)
    wanted = np.flatnonzero(train_set.labels[:41] != 0)
    assert len(wanted) == 21
    assert len(real) == 21
    for item, index in zip(real, wanted, strict=True):
        assert torch.equal(item[0], train_set[index][0])
        assert decode_target(item[1]) == (train_set.labels[index], False)
    assert len(train_set.real_subset()) == 41
    assert len(train_set.real_subset([])) == 0


def test_another_transform_of_the_real_subset_leaves_that_of_the_data_set() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 12}), transform=torch.neg)
    real = train_set.real_subset([1], transform=torch.ones_like)
    assert real[0][0].eq(1).all()
    assert train_set[0][0].le(0).all()
    assert train_set.transform is torch.neg


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda d: pickle.loads(pickle.dumps(d))])
def test_a_copy_gives_the_same_items_and_the_same_draws(copied: Callable[[Any], Any], digits: Path) -> None:
    base = ImageFolder(str(digits), transform=transforms.ToTensor())
    train_set = SMOTEDataset(base, sampler=SMOTE(k_neighbors=2, random_state=0), redraw="epoch")
    twin = copied(train_set)
    for epoch in (None, 3):
        if epoch is not None:
            train_set.set_epoch(epoch)
            twin.set_epoch(epoch)
        assert len(twin) == len(train_set) == 36
        for i in (0, 20, 24, 30, 35):
            assert torch.equal(twin[i][0], train_set[i][0])
            assert twin[i][1] == train_set[i][1]


def generator_states() -> list[Any]:
    return [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]


@EVERY_SAMPLER
def test_global_random_generators_are_left_alone(sampler: Any) -> None:
    base = tensor_dataset({0: 40, 1: 22, 2: 15})
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    before = generator_states()
    train_set = SMOTEDataset(base, sampler=sampler, redraw="epoch")
    for i in range(len(train_set)):
        train_set[i]
    train_set.set_epoch(4)
    assert train_set.is_synthetic.any()
    assert generator_states() == before


def test_the_sampler_is_not_changed() -> None:
    sampler = BorderlineSMOTE(random_state=0, k_neighbors=NearestNeighbors(n_neighbors=4))
    before = dict(vars(sampler))
    SMOTEDataset(tensor_dataset({0: 40, 1: 22, 2: 15}), sampler=sampler)
    assert vars(sampler) == before


def test_provenance_labels_and_plan_tell_the_same_story() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 40, 1: 22, 2: 15}))
    plan = train_set.plan
    assert len(plan) == train_set.is_synthetic.sum() == len(train_set) - 77 == 43
    for row in range(len(plan)):
        where = train_set.provenance(77 + row)
        assert where == (True, plan.label[row], plan.base[row], plan.neighbor[row], plan.lam[row])
    assert train_set.provenance(3) == (False, train_set.labels[3], 3, None, 0.0)


def test_the_representation_counts_each_class() -> None:
    text = repr(SMOTEDataset(tensor_dataset({0: 20, 1: 12})))
    assert "TensorDataset, SMOTE" in text
    assert "class 0: 20 real\n" in text
    assert text.endswith("class 1: 12 real + 8 synthetic")


# --- strata ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [[10, 11, 12], ["benign", "rare melanoma", "common melanoma"]])
def test_strata_of_a_class_are_raised_each_and_targets_stay_classes(names: list[Any]) -> None:
    images, codes = float_images({0: 40, 1: 9, 2: 16})
    labels = np.minimum(codes, 1)  # strata 1 and 2 are of class 1
    strata = np.array(names)[codes]
    sampler = SMOTE(k_neighbors=3, random_state=0)
    train_set = SMOTEDataset(Items(list(images), labels), sampler=sampler, strata=strata)
    flat, resampled = sampler.fit_resample(images.reshape(65, -1).astype(np.float64), strata)
    plan = train_set.plan
    np.testing.assert_array_equal(strata[plan.base], strata[plan.neighbor])
    np.testing.assert_array_equal(strata[plan.base], resampled[65:])
    assert Counter(strata[plan.base].tolist()) == {names[1]: 31, names[2]: 24}
    np.testing.assert_array_equal(train_set.labels, np.where(resampled == names[0], 0, 1))
    np.testing.assert_allclose(synthetic_images(train_set).reshape(-1, 60), flat[65:], rtol=0, atol=1e-5)
    assert train_set.oversampled_classes == [1]


def test_strata_can_be_raised_by_name_and_drawn_anew() -> None:
    images, codes = float_images({0: 40, 1: 9, 2: 16})
    strata = np.array(["a", "b", "c"])[codes]
    train_set = SMOTEDataset(
        Items(list(images), np.minimum(codes, 1)),
        sampler=SMOTE(sampling_strategy={"b": 20}, random_state=0),
        strata=strata.tolist(),
        redraw="epoch",
    )
    draws = []
    for epoch in range(3):
        train_set.set_epoch(epoch)
        plan = train_set.plan
        assert set(strata[plan.base]) == set(strata[plan.neighbor]) == {"b"}
        assert plan.label.tolist() == [1] * 11
        draws.append(plan.lam.tolist())
    assert draws[0] != draws[1] != draws[2]
