"""The table of samplers, and what a plan records of a sampler."""

import pickle
from typing import Any

import numpy as np
import pytest
from imblearn.over_sampling import ADASYN, SMOTE, SVMSMOTE, BorderlineSMOTE
from sklearn.neighbors import NearestNeighbors

from clesmote_losses import SMOTEPlan
from clesmote_losses.errors import Argument, ArgumentError
from clesmote_losses.smote.samplers import (
    SAMPLERS,
    Sampler,
    check_group_sizes,
    kind_of,
    make_sampler,
    plain_sampler,
    sampler_options,
)

LABELS = np.repeat([0, 1], [20, 8])
FEATURES = np.random.default_rng(0).normal(size=(28, 4))


class Variant(SMOTE):
    """A sampler that imbalanced-learn does not have."""


class FewNeighbors(ADASYN):
    """A sampler that draws among k neighbours, as ADASYN."""


@pytest.mark.parametrize(("name", "kind"), [("smote", SMOTE), ("borderline", BorderlineSMOTE), ("adasyn", ADASYN)])
def test_every_name_makes_its_sampler_with_k_under_its_own_name(name: str, kind: type) -> None:
    sampler = make_sampler(name, 3, random_state=7, sampling_strategy="all")
    assert type(sampler) is kind is SAMPLERS[name].type()
    options = sampler.get_params()
    assert options.get("k_neighbors", options.get("n_neighbors")) == 3
    assert (options["random_state"], options["sampling_strategy"]) == (7, "all")
    assert kind_of(sampler) is SAMPLERS[name]
    assert sampler_options(sampler, LABELS)["k_neighbors"] == 3


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ArgumentError, match="sampler must be one of smote, borderline, adasyn, over; got 'svm'"
    ) as caught:
        make_sampler("svm", 3)
    assert caught.value.argument == "sampler"


def test_a_sampler_that_is_registered_makes_plans_and_one_that_is_not_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sampler = Variant(k_neighbors=3, random_state=0)
    with pytest.raises(TypeError, match="SMOTE, BorderlineSMOTE, ADASYN or RandomOverSampler; got Variant"):
        SMOTEPlan.from_sampler(sampler, LABELS, FEATURES)
    monkeypatch.setitem(SAMPLERS, "variant", Sampler(lambda: Variant))
    plan = SMOTEPlan.from_sampler(make_sampler("variant", 3, random_state=0), LABELS, FEATURES)
    assert plan.options["sampler"] == "Variant"
    assert len(plan.redrawn(sampler, LABELS, epoch=1)) == len(plan) == 12
    plan.check_options(sampler, LABELS)
    with pytest.raises(ArgumentError, match="sampler='Variant'"):
        plan.check_options(SMOTE(k_neighbors=3, random_state=0), LABELS)
    with pytest.raises(ArgumentError, match="must be one of smote, borderline, adasyn, over, variant;"):
        make_sampler("none", 3)
    with pytest.raises(TypeError, match="SMOTE, BorderlineSMOTE, ADASYN, RandomOverSampler or Variant; got SVMSMOTE"):
        kind_of(SVMSMOTE())


def test_a_registered_sampler_that_draws_among_k_gets_k_columns_of_a_small_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = np.repeat([0, 1], [25, 3])
    kind = Sampler(lambda: FewNeighbors, neighbors="n_neighbors", repeats_neighbors=True)
    monkeypatch.setitem(SAMPLERS, "few", kind)
    sampler = make_sampler("few", 5, random_state=0)
    plan = SMOTEPlan.from_sampler(sampler, labels, FEATURES, small_class="shrink_k")
    same = SMOTEPlan.from_sampler(ADASYN(n_neighbors=5, random_state=0), labels, FEATURES, small_class="shrink_k")
    assert plan.tables[-1].shape == (3, 6)
    np.testing.assert_array_equal(plan.neighbor, same.neighbor)


@pytest.mark.parametrize("wrong", [SVMSMOTE(), SMOTE, "smote", None])
def test_what_is_no_sampler_of_the_table_is_refused(wrong: Any) -> None:
    with pytest.raises(
        TypeError, match="sampler must be an instance of imbalanced-learn's SMOTE, BorderlineSMOTE, ADASYN or"
    ):
        kind_of(wrong)


def test_options_are_plain_values() -> None:
    sampler = BorderlineSMOTE(
        k_neighbors=NearestNeighbors(n_neighbors=4), random_state=np.int64(3), sampling_strategy={1: 15}
    )
    assert sampler_options(sampler, LABELS, "shrink_k") == {
        "sampler": "BorderlineSMOTE",
        "k_neighbors": 3,
        "m_neighbors": 10,
        "kind": "borderline-1",
        "random_state": 3,
        "n_samples": [[1, 7]],
        "small_class": "shrink_k",
    }
    state = np.random.RandomState(0)
    assert sampler_options(SMOTE(random_state=state), LABELS)["random_state"] == repr(state)
    assert sampler_options(SMOTE(), np.array(["a"] * 3 + ["b"]))["n_samples"] == [["b", 2]]


def test_an_unknown_small_class_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"small_class must be one of \('error', 'shrink_k', 'duplicate'\); got 'drop'"
    ):
        sampler_options(SMOTE(), LABELS, "drop")  # type: ignore[arg-type]


@pytest.mark.parametrize(("small_class", "enough"), [("error", 6), ("shrink_k", 2), ("duplicate", 1)])
def test_the_error_for_a_small_group_names_arguments_and_ways_out(small_class: Any, enough: int) -> None:
    for size in range(1, 8):
        groups = np.repeat([0, 1], [20, size])
        options = sampler_options(SMOTE(k_neighbors=5), groups, small_class)
        if size >= enough:
            check_group_sizes(options, groups)
            continue
        with pytest.raises(ArgumentError, match=rf"stratum 1 has {size} sample\(s\); {enough} are needed") as caught:
            check_group_sizes(options, groups)
        arguments = [part for part in caught.value.parts if isinstance(part, Argument)]
        assert caught.value.argument == "small_class"
        assert Argument("k_neighbors", "5") in arguments
        # alone, no smaller k helps it
        assert ("(takes the neighbours there are)" in str(caught.value)) == (size > 1)
        assert Argument("small_class", '"duplicate"') in arguments


def test_groups_that_are_not_over_sampled_may_be_small() -> None:
    groups = np.repeat([0, 1, 2], [20, 10, 1])
    check_group_sizes(sampler_options(SMOTE(sampling_strategy={1: 20}), groups), groups)


@pytest.mark.parametrize(
    "strategy", ["auto", {1: 18}, lambda groups: {1: 17}, 0.8], ids=["auto", "dict", "function", "ratio"]
)
@pytest.mark.parametrize(
    "make", [SMOTE, BorderlineSMOTE, lambda k_neighbors, **o: ADASYN(n_neighbors=k_neighbors, **o)]
)
def test_a_plain_sampler_can_be_pickled_and_draws_what_the_sampler_draws(make: Any, strategy: Any) -> None:
    neighbors = NearestNeighbors(n_neighbors=4)
    neighbors.lock = lambda: None  # cannot be pickled
    for k in (3, neighbors):
        sampler = make(k_neighbors=k, sampling_strategy=strategy, random_state=5)
        plan = SMOTEPlan.from_sampler(sampler, LABELS, FEATURES)
        plain = pickle.loads(pickle.dumps(plain_sampler(sampler, plan.options, LABELS)))
        ours, theirs = (plan.redrawn(one, LABELS, epoch=3) for one in (plain, sampler))
        assert len(ours) > 0
        for name in ("base", "neighbor", "lam"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


@pytest.mark.parametrize("keys", [{"virus": 50}, {1: 9, 7: 50}])
def test_keys_that_are_no_classes_are_named_with_the_classes_there_are(keys: dict[Any, int]) -> None:
    with pytest.raises(ArgumentError, match=r"are class indices .* got ('virus'|7), and there are \[0, 1\]") as raised:
        sampler_options(SMOTE(sampling_strategy=keys), LABELS)
    assert raised.value.argument == "sampling_strategy"
    assert sampler_options(SMOTE(sampling_strategy={"b": 20}), np.array(["a", "b"])[LABELS])["n_samples"] == [["b", 12]]
