"""Plans in files: all fields come back, and what is no plan is refused."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE, BorderlineSMOTE
from safetensors.numpy import save_file

from clesmote_losses import SMOTEPlan
from clesmote_losses.smote import plan_file
from tests.support.damaged_files import refused_damages
from tests.support.plan_fields import WeightedPlan, equal_plans, with_more_fields

LABELS = np.repeat([0, 1], [20, 8])
FEATURES = np.random.default_rng(0).normal(size=(28, 4))
PLAN = SMOTEPlan.from_sampler(
    SMOTE(k_neighbors=3, random_state=0), LABELS, FEATURES, names=[f"{i}.png" for i in range(28)]
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    PLAN.save(tmp_path / "plan.safetensors")
    return tmp_path / "plan.safetensors"


@pytest.mark.parametrize("kind", ["SMOTE", "borderline", "empty", "more fields"])
def test_every_field_comes_back_bit_by_bit(kind: str, tmp_path: Path) -> None:
    labels = np.repeat([0, 1], [14, 14]) if kind == "empty" else LABELS
    sampler = BorderlineSMOTE(random_state=1, k_neighbors=3) if kind == "borderline" else SMOTE(k_neighbors=3)
    plan = SMOTEPlan.from_sampler(sampler, labels, FEATURES)
    assert len(plan) == (0 if kind == "empty" else 12)
    assert (len(plan.tables) == 0) == (kind == "empty")
    if kind == "more fields":
        plan = with_more_fields(plan)
    plan.save(tmp_path / "plan")
    assert equal_plans(type(plan).load(tmp_path / "plan"), plan)


def test_a_plan_with_more_fields_is_not_read_as_one_without_nor_the_reverse(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"plan.safetensors holds no valid SMOTE plan: its fields must be .*weight"):
        WeightedPlan.load(path)
    with_more_fields(PLAN).save(tmp_path / "more")
    with pytest.raises(ValueError, match=r"its fields must be .*; got .*weight"):
        SMOTEPlan.load(tmp_path / "more")


def test_a_field_that_is_neither_array_nor_json_is_not_lost_silently(tmp_path: Path) -> None:
    plan = dataclasses.replace(with_more_fields(PLAN), note={"when": object()})
    with pytest.raises(TypeError, match="not JSON serializable"):
        plan.save(tmp_path / "plan")
    assert list(tmp_path.iterdir()) == []


def test_damage_is_refused_or_without_effect(path: Path) -> None:
    assert refused_damages(path, lambda: SMOTEPlan.load(path), lambda found: equal_plans(found, PLAN)) > 1900


def changed(name: str, place: int, value: Any) -> Callable[[], dict[str, Any]]:
    def change() -> dict[str, Any]:
        array = getattr(PLAN, name).copy()
        array[place] = value
        return {name: array}

    return change


def options(**changes: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"options": {**PLAN.options, **changes}}


def table(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[], dict[str, Any]]:
    return lambda: {"tables": tuple(map(change, PLAN.tables))}


FORGED: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "NaN as lambda": (changed("lam", 3, np.nan), r"lam must be in \[0, 1\]; got nan"),
    "negative lambda": (changed("lam", 3, -0.1), r"lam must be in \[0, 1\]; got -0.1"),
    "lambda above 1": (changed("lam", 3, 1.5), r"lam must be in \[0, 1\].* to 1.5"),
    "negative label": (changed("label", 3, -1), "label must be 0 or more; got -1"),
    "base out of range": (changed("base", 0, 28), "base must hold indices of the 28 real samples.*to 28"),
    "negative neighbor": (changed("neighbor", 0, -1), "neighbor must hold indices of the 28 real samples; got -1"),
    "table out of range": (table(lambda t: t + 100), r"tables.0 must hold indices of the 28 real samples"),
    "flat table": (table(lambda t: t[0]), r"tables.0 must have shape \(q, 1 \+ k\)"),
    "float table": (table(lambda t: t.astype(np.float32)), "tables.0 must be int32; got float32"),
    "table without columns": (table(lambda t: t[:, :0]), r"tables.0 must have shape \(q, 1 \+ k\)"),
    "wide base": (lambda: {"base": PLAN.base.astype(np.int64)}, "base must be int32; got int64"),
    "narrow label": (lambda: {"label": PLAN.label.astype(np.int32)}, "label must be int64; got int32"),
    "double lambda": (lambda: {"lam": PLAN.lam.astype(np.float64)}, "lam must be float32; got float64"),
    "short lambda": (lambda: {"lam": PLAN.lam[:-1]}, r"lam must have one row for each of the 12 samples; got.*\(11,\)"),
    "two columns of bases": (lambda: {"base": np.stack([PLAN.base] * 2, 1)}, r"base must have shape \(12,\)"),
    "two columns of labels": (lambda: {"label": np.stack([PLAN.label] * 2, 1)}, "label must have one dimension"),
    "no samples and no dimension": (lambda: {"label": np.array(1)}, "label must have one dimension"),
    "list as base": (lambda: {"base": PLAN.base.tolist()}, "base must be ndarray; got list"),
    "array as names": (lambda: {"names": PLAN.lam}, "names must be str; got ndarray"),
    "few real samples": (lambda: {"num_real": 5}, "base must hold indices of the 5 real samples"),
    "negative number of real samples": (lambda: {"num_real": -1}, "num_real be 0 or more"),
    "true as number of real samples": (lambda: {"num_real": True}, "num_real must be int; got bool"),
    "number as fingerprint": (lambda: {"fingerprint": 3}, "fingerprint must be str; got int"),
    "list as options": (lambda: {"options": [1]}, "options must be dict; got list"),
    "unknown field": (lambda: {"weight": PLAN.lam}, "its fields must be .*got .*weight"),
    "unknown sampler": (options(sampler=None), "its option sampler cannot be None"),
    "k of zero": (options(k_neighbors=0), "its option k_neighbors cannot be 0"),
    "text as k": (options(k_neighbors="3"), "its option k_neighbors cannot be '3'"),
    "float seed": (options(random_state=0.5), "its option random_state cannot be 0.5"),
    "unknown small_class": (options(small_class=["error"]), "its option small_class cannot be"),
    "flat n_samples": (options(n_samples=[1, 12]), "its option n_samples cannot be"),
    "text in n_samples": (options(n_samples=[[1, "12"]]), "its option n_samples cannot be"),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_cannot_be_a_plan_is_refused_though_the_digest_fits(name: str, path: Path) -> None:
    change, message = FORGED[name]
    arrays, metadata = plan_file._FILE.read(path)
    for field, value in change().items():
        arrays.pop(field, None)
        metadata["values"].pop(field, None)
        if isinstance(value, np.ndarray):
            arrays[field] = value
        elif isinstance(value, tuple):
            arrays.update({f"{field}.{i}": array for i, array in enumerate(value)})
        else:
            metadata["values"][field] = value
    plan_file._FILE.write(path, arrays, metadata)
    with pytest.raises(
        ValueError, match=f"plan.safetensors holds no valid SMOTE plan: .*{message}.*Make the plan again"
    ):
        SMOTEPlan.load(path)


@pytest.mark.parametrize("name", ["base", "neighbor", "lam", "label", "tables.0"])
def test_a_missing_array_is_refused_though_the_digest_fits(name: str, path: Path) -> None:
    arrays, metadata = plan_file._FILE.read(path)
    del arrays[name]
    plan_file._FILE.write(path, arrays, metadata)
    with pytest.raises(
        ValueError, match=r"plan.safetensors holds no valid SMOTE plan: .*(its fields must be|tables.0 must be)"
    ):
        SMOTEPlan.load(path)


@pytest.mark.parametrize(
    "name", ["num_real", "fingerprint", "names", "options", *(f"options.{n}" for n in PLAN.options)]
)
def test_a_missing_value_is_refused_though_the_digest_fits(name: str, path: Path) -> None:
    arrays, metadata = plan_file._FILE.read(path)
    field, _, option = name.partition(".")
    if option:
        del metadata["values"][field][option]
    else:
        del metadata["values"][field]
    plan_file._FILE.write(path, arrays, metadata)
    with pytest.raises(
        ValueError, match=r"plan.safetensors holds no valid SMOTE plan: its (fields must be|options lack)"
    ):
        SMOTEPlan.load(path)


@pytest.mark.parametrize("lengths", [None, [1], {"tables": -1}, {"tables": 10**9}, {"tables": "1"}, {"tables": 0}, {}])
def test_wrong_numbers_of_tables_are_refused_though_the_digest_fits(lengths: Any, path: Path) -> None:
    arrays, metadata = plan_file._FILE.read(path)
    plan_file._FILE.write(path, arrays, {**metadata, "lengths": lengths})
    with pytest.raises(ValueError, match=r"plan.safetensors holds no valid SMOTE plan: .*(values and lengths|tables)"):
        SMOTEPlan.load(path)


def test_a_file_of_the_format_before_is_refused_with_what_to_do(path: Path) -> None:
    arrays, _ = plan_file._FILE.read(path)
    save_file(arrays, path, {"format": "clesmote_losses.SMOTEPlan.1", "fingerprint": "", "names": "", "options": "{}"})
    with pytest.raises(
        ValueError, match=r"holds no SMOTE plan of this version \(format 'clesmote.*1'.*Make the plan again"
    ):
        SMOTEPlan.load(path)
