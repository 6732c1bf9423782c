"""The plan against imbalanced-learn on the features themselves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from clesmote_losses import SMOTEPlan

SAMPLERS: dict[str, Callable[..., Any]] = {
    "SMOTE": lambda **o: SMOTE(**o),
    "borderline-1": lambda **o: BorderlineSMOTE(kind="borderline-1", **o),
    "borderline-2": lambda **o: BorderlineSMOTE(kind="borderline-2", **o),
    "ADASYN": lambda **o: ADASYN(**{"n_neighbors" if k == "k_neighbors" else k: v for k, v in o.items()}),
}
STRATEGIES: dict[str, Any] = {
    "auto": "auto",
    "minority": "minority",
    "all": "all",
    "not minority": "not minority",
    "dict": {1: 120, 2: 100},
    "callable": lambda y: {2: 90},
}


@pytest.fixture
def data() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [150, 50, 30])
    rng.shuffle(labels)
    return rng.normal(size=(len(labels), 20)) + 0.4 * labels[:, None], labels


def apply(plan: SMOTEPlan, features: NDArray[Any]) -> NDArray[Any]:
    lam = plan.lam[:, None].astype(np.float64)
    return (1 - lam) * features[plan.base] + lam * features[plan.neighbor]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_plan_equals_imbalanced_learn(name: str, strategy: str, data: tuple[NDArray[Any], ...]) -> None:
    features, labels = data
    sampler = SAMPLERS[name](k_neighbors=4, random_state=3, sampling_strategy=STRATEGIES[strategy])
    expected, expected_labels = sampler.fit_resample(features, labels)
    plan = SMOTEPlan.from_sampler(sampler, labels, features)
    assert len(plan) == len(expected) - len(labels) > 20
    np.testing.assert_array_equal(plan.label, expected_labels[len(labels) :])
    np.testing.assert_allclose(apply(plan, features), expected[len(labels) :], atol=1e-6)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_neighbor_is_among_the_bases_neighbors_and_of_its_class(name: str, data: tuple[NDArray[Any], ...]) -> None:
    features, labels = data
    plan = SMOTEPlan.from_sampler(SAMPLERS[name](k_neighbors=4, random_state=3), labels, features)
    np.testing.assert_array_equal(labels[plan.base], plan.label)
    pool = {c: np.arange(len(labels)) if name == "borderline-2" else np.flatnonzero(labels == c) for c in (1, 2)}
    search = {c: NearestNeighbors(n_neighbors=5).fit(features[pool[c]]) for c in pool}
    for base, neighbor, label in zip(plan.base, plan.neighbor, plan.label, strict=True):
        nearest = pool[label][search[label].kneighbors(features[[base]], return_distance=False)[0]]
        assert neighbor in nearest
        assert neighbor != base
    if name == "borderline-2":
        strangers = labels[plan.neighbor] != plan.label
        assert strangers.any()
        assert plan.lam[strangers].max() <= 0.5  # Han et al. 2005: at most half way to another class


def test_lambda_is_uniform(data: tuple[NDArray[Any], ...]) -> None:
    features, labels = data
    plan = SMOTEPlan.from_sampler(SMOTE(random_state=0, sampling_strategy={1: 20_000}), labels, features)
    counts, _ = np.histogram(plan.lam, bins=10, range=(0, 1))
    assert plan.lam.dtype == np.float32
    assert abs(counts / len(plan) - 0.1).max() < 0.01


def test_the_users_own_neighbor_estimator_is_asked(data: tuple[NDArray[Any], ...]) -> None:
    features, labels = data
    estimator = NearestNeighbors(n_neighbors=5, metric="cosine")
    sampler = SMOTE(k_neighbors=estimator, random_state=0)
    expected, _ = sampler.fit_resample(features, labels)
    plan = SMOTEPlan.from_sampler(sampler, labels, features)
    np.testing.assert_allclose(apply(plan, features), expected[len(labels) :], atol=1e-6)
    euclidean = SMOTEPlan.from_sampler(SMOTE(k_neighbors=4, random_state=0), labels, features)
    assert (euclidean.neighbor != plan.neighbor).any()  # the metric matters here


def test_a_sample_crowded_out_of_its_neighbors_by_duplicates_is_not_its_own_neighbor() -> None:
    features = np.concatenate([np.random.default_rng(0).normal(size=(20, 3)), np.ones((8, 3))])
    labels = np.repeat([0, 1], [20, 8])
    for k in (3, NearestNeighbors(n_neighbors=4)):
        plan = SMOTEPlan.from_sampler(SMOTE(k_neighbors=k, random_state=0), labels, features)
        assert (plan.base != plan.neighbor).all()


def test_smote_reads_the_over_sampled_classes_only(data: tuple[NDArray[Any], ...]) -> None:
    import torch

    features, labels = data
    read: list[int] = []

    def rows_of(indices: NDArray[np.int64]) -> Any:
        read.extend(indices.tolist())
        return torch.from_numpy(features[indices])

    lazy = SMOTEPlan.from_sampler(SMOTE(random_state=0, sampling_strategy={2: 60}), labels, rows_of)
    assert sorted(read) == np.flatnonzero(labels == 2).tolist()
    eager = SMOTEPlan.from_sampler(SMOTE(random_state=0, sampling_strategy={2: 60}), labels, features)
    np.testing.assert_array_equal(lazy.base, eager.base)
    read.clear()
    SMOTEPlan.from_sampler(ADASYN(random_state=0), labels, rows_of)
    assert sorted(read) == list(range(len(labels)))  # all, and each once


@pytest.mark.parametrize("name", ["SMOTE", "borderline-1"])
def test_strata_are_balanced_in_place_of_classes(name: str, data: tuple[NDArray[Any], ...]) -> None:
    features, strata = data
    labels = (strata > 0).astype(np.int64)
    names = np.array(["normal", "fracture", "lesion"])[strata]
    sampler = SAMPLERS[name](random_state=0)
    expected, groups = sampler.fit_resample(features, names)
    plan = SMOTEPlan.from_sampler(sampler, labels, features, strata=names)
    np.testing.assert_allclose(apply(plan, features), expected[len(labels) :], atol=1e-6)
    assert set(plan.label) == {1}
    np.testing.assert_array_equal(names[plan.base], groups[len(labels) :])


def test_a_small_class_is_refused_shrunk_or_copied_as_asked() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(33, 4)), np.repeat([0, 1], [30, 3])
    sampler = SMOTE(k_neighbors=5, random_state=0)
    with pytest.raises(ValueError, match=r"class or stratum 1 has 3 sample.*shrink_k.*duplicate"):
        SMOTEPlan.from_sampler(sampler, labels, features)
    shrunk = SMOTEPlan.from_sampler(sampler, labels, features, small_class="shrink_k")
    same = SMOTEPlan.from_sampler(SMOTE(k_neighbors=2, random_state=0), labels, features)
    for array in ("base", "neighbor", "lam"):
        np.testing.assert_array_equal(getattr(shrunk, array), getattr(same, array))
    copied = SMOTEPlan.from_sampler(sampler, labels, features, small_class="duplicate")
    np.testing.assert_array_equal(copied.base, copied.neighbor)
    assert set(copied.base) == {30, 31, 32}
    assert len(copied) == 27


@pytest.mark.parametrize("small_class", ["shrink_k", "duplicate"])
def test_adasyn_takes_a_small_class_too(small_class: Any) -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(33, 4)), np.repeat([0, 1], [30, 3])
    plan = SMOTEPlan.from_sampler(ADASYN(random_state=0), labels, features, small_class=small_class)
    assert len(plan) > 10
    assert set(plan.base) | set(plan.neighbor) == {30, 31, 32}


def test_a_balanced_set_gets_an_empty_plan() -> None:
    plan = SMOTEPlan.from_sampler(SMOTE(), np.repeat([0, 1], 10), np.zeros((20, 2)))
    assert len(plan) == 0


def test_a_saved_plan_comes_back_whole(tmp_path: Path, data: tuple[NDArray[Any], ...]) -> None:
    features, labels = data
    plan = SMOTEPlan.from_sampler(BorderlineSMOTE(random_state=1), labels, features)
    plan.save(tmp_path / "plan.safetensors")
    loaded = SMOTEPlan.load(tmp_path / "plan.safetensors", labels=labels)
    for array in ("base", "neighbor", "lam", "label"):
        np.testing.assert_array_equal(getattr(loaded, array), getattr(plan, array))
        assert getattr(loaded, array).dtype == getattr(plan, array).dtype
    assert loaded.options == plan.options
    assert loaded.fingerprint == plan.fingerprint
    assert len(loaded.tables) == len(plan.tables)
    assert all(map(np.array_equal, loaded.tables, plan.tables))
    assert [path.name for path in tmp_path.iterdir()] == ["plan.safetensors"]


def test_a_plan_for_another_data_set_is_refused_and_the_file_stays(
    tmp_path: Path, data: tuple[NDArray[Any], ...]
) -> None:
    features, labels = data
    path = tmp_path / "plan.safetensors"
    SMOTEPlan.from_sampler(SMOTE(random_state=1), labels, features, strata=labels).save(path)
    before = path.read_bytes()
    for wrong in ({"labels": labels[::-1]}, {"labels": labels[:-1]}, {"labels": labels}):
        with pytest.raises(ValueError, match="made for another data set"):
            SMOTEPlan.load(path, **wrong)
    SMOTEPlan.load(path, labels=labels, strata=labels)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_redraw_is_seeded_by_the_epoch_and_needs_no_search(name: str, data: tuple[NDArray[Any], ...]) -> None:
    features, labels = data
    sampler = SAMPLERS[name](random_state=5)
    plan = SMOTEPlan.from_sampler(sampler, labels, features)
    first, again, second = (plan.redrawn(sampler, labels, epoch=epoch) for epoch in (1, 1, 2))
    np.testing.assert_array_equal(first.lam, again.lam)
    np.testing.assert_array_equal(first.base, again.base)
    assert (first.lam != second.lam).any()
    np.testing.assert_array_equal(first.label, plan.label)
    np.testing.assert_array_equal(labels[first.base], first.label)
    # the draw is imbalanced-learn's own under another seed
    seed = int(np.random.SeedSequence([5, 1]).generate_state(1)[0])
    expected, _ = SAMPLERS[name](random_state=seed).fit_resample(features, labels)
    np.testing.assert_allclose(apply(first, features), expected[len(labels) :], atol=1e-6)


def test_a_redraw_with_another_sampler_is_refused(data: tuple[NDArray[Any], ...]) -> None:
    features, labels = data
    plan = SMOTEPlan.from_sampler(SMOTE(random_state=5), labels, features)
    with pytest.raises(ValueError, match="made by another sampler"):
        plan.redrawn(SMOTE(random_state=5), labels[::-1], epoch=0)


def test_the_sampler_is_not_changed(data: tuple[NDArray[Any], ...]) -> None:
    features, labels = data
    state = np.random.RandomState(4)
    sampler = SMOTE(random_state=state)
    before = state.get_state()[1].copy()  # type: ignore[union-attr]
    plan = SMOTEPlan.from_sampler(sampler, labels, features)
    assert sampler.get_params() == {"k_neighbors": 5, "random_state": state, "sampling_strategy": "auto"}
    assert not hasattr(sampler, "sampling_strategy_")
    np.testing.assert_array_equal(state.get_state()[1], before)
    assert json.dumps(plan.options)
