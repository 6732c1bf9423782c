"""The plan against imbalanced-learn on the features themselves."""

import copy
import dataclasses
import json
import multiprocessing
import pickle
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.multiprocessing  # its pickler for workers shares tensors
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from clesmote_losses import SMOTEPlan
from clesmote_losses.errors import ArgumentError
from clesmote_losses.smote.plan import group_digest
from tests.support.plan_fields import WeightedPlan, equal_plans, with_more_fields

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
        with pytest.raises(ValueError, match=r"plan.safetensors: .*made for another data set"):
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


# --- does it fit


def small_plan(**options: Any) -> tuple[SMOTEPlan, NDArray[np.int64]]:
    labels = np.repeat([0, 1], [20, 8])
    features = np.random.default_rng(0).normal(size=(28, 4))
    return SMOTEPlan.from_sampler(SMOTE(k_neighbors=3, random_state=0), labels, features, **options), labels


NAMES = [f"{i}.png" for i in range(28)]


def test_a_plan_for_files_of_other_names_or_in_another_order_is_refused() -> None:
    plan, labels = small_plan(names=NAMES)
    for other in ([*NAMES[:-1], "other.png"], NAMES[::-1], [NAMES[1], NAMES[0], *NAMES[2:]]):
        with pytest.raises(ArgumentError, match="other names or order of image files than the 28 here") as caught:
            plan.check_fits(labels, names=other)
        assert caught.value.argument == "plan"
    plan.check_fits(labels, names=NAMES)
    plan.check_fits(labels, names=tuple(NAMES))
    plan.check_fits(labels)  # the names are not known here


def test_a_plan_without_names_fits_files_of_any() -> None:
    plan, labels = small_plan()
    plan.check_fits(labels, names=NAMES)


@pytest.mark.parametrize("name", ["label", "base", "neighbor"])
def test_a_sample_of_another_label_than_a_parent_is_refused(name: str) -> None:
    plan, labels = small_plan()
    array = getattr(plan, name).copy()
    array[5] = 0  # of class 0, or the first sample, which is
    wrong = dataclasses.replace(plan, **{name: array})
    with pytest.raises(ArgumentError, match=r"synthetic sample 5 of this plan has label \d, and its parents .*again"):
        wrong.check_fits(labels)


def test_half_way_to_another_class_is_where_the_second_kind_of_borderline_ends(data: tuple[NDArray[Any], ...]) -> None:
    features, labels = data
    plan = SMOTEPlan.from_sampler(BorderlineSMOTE(kind="borderline-2", random_state=0), labels, features)
    plan.check_fits(labels)
    (strangers,) = np.nonzero(labels[plan.neighbor] != plan.label)
    lam = plan.lam.copy()
    lam[strangers[0]] = 0.6
    with pytest.raises(ArgumentError, match=f"synthetic sample {strangers[0]} of this plan"):
        dataclasses.replace(plan, lam=lam).check_fits(labels)
    first_kind = dataclasses.replace(plan, options={**plan.options, "kind": "borderline-1"})
    with pytest.raises(ArgumentError, match="of this plan has label"):
        first_kind.check_fits(labels)


def test_a_plan_of_another_number_of_real_samples_is_refused_though_the_digest_fits() -> None:
    plan, labels = small_plan()
    more = np.append(labels, 0)
    with pytest.raises(ArgumentError, match="made for another data set"):
        dataclasses.replace(plan, fingerprint=group_digest(more, None)).check_fits(more)


def test_options_that_differ_are_named_and_equal_ones_pass() -> None:
    plan, labels = small_plan()
    plan.check_options(SMOTE(k_neighbors=3, random_state=0), labels)
    message = r"other options than those of the sampler: k_neighbors=3 \(wanted 2\)\. Pass only one of plan and sampler"
    with pytest.raises(ArgumentError, match=message) as caught:
        plan.check_options(SMOTE(k_neighbors=2, random_state=0), labels)
    assert caught.value.argument == "plan"
    with pytest.raises(
        ArgumentError, match=r"m_neighbors=None \(wanted 10\).*sampler='SMOTE' \(wanted 'BorderlineSMOTE'"
    ):
        plan.check_options(BorderlineSMOTE(k_neighbors=3, random_state=0), labels)
    with pytest.raises(ArgumentError, match=r"small_class='error' \(wanted 'shrink_k'\)"):
        plan.check_options(SMOTE(k_neighbors=3, random_state=0), labels, small_class="shrink_k")


# --- one object, whatever its fields are


def test_a_redraw_keeps_fields_that_it_does_not_know() -> None:
    plain, labels = small_plan(names=NAMES)
    plan = with_more_fields(plain)
    redrawn = plan.redrawn(SMOTE(k_neighbors=3, random_state=0), labels, epoch=3)
    assert type(redrawn) is WeightedPlan
    assert (redrawn.lam != plan.lam).any()
    same = dataclasses.replace(redrawn, base=plan.base, neighbor=plan.neighbor, lam=plan.lam, label=plan.label)
    assert equal_plans(same, plan)


def test_every_array_is_written_in_place_and_a_copy_stays_what_it_was() -> None:
    plan = with_more_fields(small_plan()[0])
    other = dataclasses.replace(plan, lam=1 - plan.lam, weight=plan.weight + 1, base=plan.neighbor, neighbor=plan.base)
    for shared in (plan.copy(), plan.copy().share_memory_()):
        arrays, before = (shared.lam, shared.weight), shared.copy()
        shared.copy_(other)
        assert equal_plans(shared, other)
        assert (shared.lam is arrays[0], shared.weight is arrays[1]) == (True, True)
        assert equal_plans(before, plan)
        before.options["sampler"] = "other"
        assert shared.options["sampler"] == "SMOTE"
    assert equal_plans(plan.copy(), plan)


def test_samples_of_a_plan_of_another_length_are_refused() -> None:
    plan, labels = small_plan()
    shorter = SMOTEPlan.from_sampler(SMOTE(random_state=0, sampling_strategy={1: 10}), labels, np.random.rand(28, 2))
    with pytest.raises(ValueError, match="a plan of 12 samples cannot take in the 2 of another one"):
        plan.copy_(shorter)


def test_a_plan_sent_to_a_worker_sees_what_is_written_later_and_a_pickled_or_deep_copy_does_not() -> None:
    plan = with_more_fields(small_plan()[0])
    shared = plan.copy().share_memory_()
    assert equal_plans(shared, plan)
    sent = ForkingPickler.loads(ForkingPickler.dumps(shared))
    sent_on = ForkingPickler.loads(ForkingPickler.dumps(sent))
    own = [pickle.loads(pickle.dumps(shared)), copy.deepcopy(shared), shared.copy()]
    assert all(equal_plans(p, plan) for p in (sent, sent_on, *own))
    other = dataclasses.replace(plan, lam=1 - plan.lam, weight=plan.weight + 1)
    shared.copy_(other)
    assert equal_plans(sent, other)
    assert equal_plans(sent_on, other)
    assert all(equal_plans(p, plan) for p in own)
    own[0].copy_(other)
    assert equal_plans(own[1], plan)


def test_a_copy_of_a_shared_plan_is_shared_with_its_own_workers() -> None:
    plan = with_more_fields(small_plan()[0])
    other = dataclasses.replace(plan, weight=plan.weight + 1)
    shared = plan.copy().share_memory_()
    for own in (pickle.loads(pickle.dumps(shared)), copy.deepcopy(shared)):
        sent = ForkingPickler.loads(ForkingPickler.dumps(own))
        own.copy_(other)
        assert equal_plans(sent, other)
    assert equal_plans(shared, plan)


def test_a_plan_that_is_not_shared_is_pickled_as_it_is() -> None:
    plan = with_more_fields(small_plan()[0])
    for pickler in (pickle, ForkingPickler):
        own = pickler.loads(pickler.dumps(plan))
        assert equal_plans(own, plan)
        own.copy_(dataclasses.replace(plan, weight=plan.weight + 1))
        assert not equal_plans(own, plan)


def _answer(pipe: Any, plan: SMOTEPlan) -> None:
    while pipe.recv() == "plan":
        pipe.send(pickle.dumps(plan))


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_worker_that_lives_on_sees_every_field_and_every_draw(method: str) -> None:
    plain, labels = small_plan()
    plan = with_more_fields(plain).share_memory_()
    context = torch.multiprocessing.get_context(method)
    pipe, far_end = multiprocessing.Pipe()
    worker = context.Process(target=_answer, args=(far_end, plan), daemon=True)
    worker.start()
    for epoch in range(3):
        drawn = plan.redrawn(SMOTE(k_neighbors=3, random_state=0), labels, epoch=epoch)
        plan.copy_(dataclasses.replace(drawn, weight=drawn.weight + epoch))
        pipe.send("plan")
        assert pipe.poll(120)
        assert equal_plans(pickle.loads(pipe.recv()), plan)
    pipe.send("end")
    worker.join(60)
    assert worker.exitcode == 0
