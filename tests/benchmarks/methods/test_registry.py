"""Methods are declarations; their hooks are what the tables say."""

from dataclasses import dataclass, replace

import pytest

from benchmarks.methods.losses import LOSSES
from benchmarks.methods.registry import (
    ABLATION,
    BASELINES,
    CLE_SMOTE,
    MAIN_METHODS,
    METHODS,
    MIXED,
    MODERN,
    REPAIRS,
    ROBUST,
    UPPER_BOUND,
    VARIANTS,
    Method,
)
from benchmarks.methods.sampling import find_sampling
from benchmarks.training.augmentation import AUGMENTATIONS
from benchmarks.training.pretraining import PRETRAININGS


def test_every_method_is_there_under_its_name():
    groups = (BASELINES, ABLATION, (CLE_SMOTE, UPPER_BOUND), MODERN, REPAIRS, MIXED, ROBUST, VARIANTS)
    names = [method.name for group in groups for method in group]
    assert len(set(names)) == len(names) == 45
    assert sorted(METHODS) == sorted(names)
    assert all(METHODS[name].name == name for name in names)
    assert [method.name for method in MAIN_METHODS] == ["none", "oversampling", "weighted", "smote", "cle-smote"]
    with pytest.raises(ValueError, match="no method 'smot'; there are none, oversampling"):
        METHODS["smot"]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method_names_entries_of_the_tables_and_searches_its_own_attributes(method):
    assert callable(find_sampling(method.data))
    assert method.loss in LOSSES
    assert method.pretraining in (*PRETRAININGS, "none")
    assert method.augmentation in (*AUGMENTATIONS, None)
    assert method.tuned_as in (*METHODS, None)
    for name, values in method.search.items():
        assert hasattr(method, name)
        assert len(set(values)) == len(values) > 1


def test_a_result_is_told_what_differs_from_the_plain_method():
    assert METHODS["none"].chosen() == {"name": "none"}
    assert METHODS["euclidean-cap"].chosen() == {
        "name": "euclidean-cap",
        "data": "smote",
        "loss": "capped",
        "distance": "euclidean",
        "beta": 10.0,
    }
    assert replace(CLE_SMOTE, pretraining_lr=1e-5).chosen() == {
        "name": "cle-smote",
        "data": "smote",
        "loss": "capped",
        "pretraining": "triplets",
        "pretraining_lr": 1e-5,
    }
    assert replace(METHODS["logit-adjustment"], tau=float("1")).chosen() == {
        "name": "logit-adjustment",
        "loss": "logit_adjusted",
    }
    assert METHODS["smote-real-share"].chosen() == {
        "name": "smote-real-share",
        "data": "smote",
        "dataset_options": {"real_share": 0.5},
    }
    assert METHODS["constant-cap"].chosen()["distance"] is None  # not left out


def test_options_of_a_subclass_are_told_too():
    @dataclass(frozen=True)
    class Mixup(Method):
        alpha: float = 0.2

    assert Mixup("mixup", "Mixup").chosen() == {"name": "mixup"}
    assert replace(Mixup("mixup", "Mixup"), alpha=1.0).chosen() == {"name": "mixup", "alpha": 1.0}


def test_only_methods_with_a_stage_2_are_pretrained():
    pretrained = {name for name, method in METHODS.items() if method.is_pretrained}
    assert {"cle-smote", "cle-smote-v1", "smote-triplets", "cle-smote-supcon"} < pretrained
    assert not pretrained & {method.name for method in (*BASELINES, *MODERN, UPPER_BOUND)}


def test_methods_that_change_pixels_cannot_train_on_fixed_features():
    refused = {name: method.needs_images for name, method in METHODS.items() if method.needs_images}
    assert {name for name in refused if refused[name] == "mixes images"} == {method.name for method in MIXED}
    assert {"cle-smote", "strong-augmentation"} < refused.keys()
    assert not refused.keys() & {"none", "smote-all", "crt", "cap-oversampled", "gce"}
