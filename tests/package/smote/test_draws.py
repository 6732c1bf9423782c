"""The draws of a plan besides SMOTE's own: copies that stay real, blends of every class, any partner, plain copies."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE, RandomOverSampler
from numpy.typing import NDArray
from safetensors.numpy import load_file

from clesmote_losses import SMOTEPlan
from clesmote_losses.errors import ArgumentError
from clesmote_losses.smote.draw_options import DrawOptions
from tests.support.plan_fields import equal_plans
from tests.support.smote_data import EVERY_SAMPLER

COUNTS = {0: 40, 1: 7, 2: 15}
LABELS = np.random.default_rng(3).permutation(np.repeat(list(COUNTS), list(COUNTS.values())))
FEATURES = np.random.default_rng(4).normal(size=(len(LABELS), 5)) + LABELS[:, None] * 0.3
PATIENTS = np.arange(len(LABELS)) // 3
STRATA = np.array(["common", "rare", "some"])[LABELS]


def plan(sampler: Any = None, labels: NDArray[Any] = LABELS, **options: Any) -> SMOTEPlan:
    names = ("real_share", "blend", "blend_share", "partners")
    draws = DrawOptions(**{name: options.pop(name) for name in names if name in options})
    sampler = SMOTE(k_neighbors=3, random_state=0) if sampler is None else sampler
    features = FEATURES if len(labels) == len(FEATURES) else np.zeros((len(labels), 1))
    return SMOTEPlan.from_sampler(sampler, labels, features, draws=draws, **options)


def counts(plan: SMOTEPlan) -> tuple[dict[int, int], dict[int, int]]:
    """Copies that stay real, and synthetic samples, of each class."""
    real, synthetic = (Counter(plan.label[plan.is_synthetic == flag].tolist()) for flag in (False, True))
    return dict(sorted(real.items())), dict(sorted(synthetic.items()))


def check_copies(plan: SMOTEPlan, labels: NDArray[Any] = LABELS) -> None:
    """Copies are of lambda 0, and of each image of a class as many as of any other, or one more."""
    copies = ~plan.is_synthetic
    assert copies.any()
    np.testing.assert_array_equal(plan.base[copies], plan.neighbor[copies])
    assert not plan.lam[copies].any()
    for label in np.unique(plan.label[copies]):
        mine = plan.base[copies & (plan.label == label)]
        each = np.bincount(mine, minlength=len(labels))[labels == label]
        assert each.sum() == len(mine)
        assert each.max() - each.min() <= 1


@EVERY_SAMPLER
def test_the_defaults_write_the_fields_of_earlier_versions_and_no_others(sampler: Any, tmp_path: Path) -> None:
    made = plan(sampler)
    made.save(tmp_path / "plan")
    tables = {f"tables.{i}" for i in range(len(made.tables))}
    assert load_file(tmp_path / "plan").keys() == {"base", "neighbor", "lam", "label"} | tables
    assert not made.options.keys() & {"real_share", "blend", "blend_share", "partners", "groups"}
    assert SMOTEPlan.load(tmp_path / "plan").is_synthetic.all()


# By hand: class 1 has 7 of 40 draws, class 2 15 of 40. A half is 20 of 40: 13 and 5 copies, and 20 blends each.
@pytest.mark.parametrize(
    ("share", "copies", "blends"),
    [
        (None, {}, {1: 33, 2: 25}),
        (0.1, {}, {1: 33, 2: 25}),
        (0.175, {}, {1: 33, 2: 25}),
        (0.3, {1: 5}, {1: 28, 2: 25}),
        (0.5, {1: 13, 2: 5}, {1: 20, 2: 20}),
        (0.51, {1: 14, 2: 6}, {1: 19, 2: 19}),
        (1, {1: 33, 2: 25}, {}),
    ],
)
@pytest.mark.parametrize("partners", ["nearest", "any"])
def test_at_least_the_share_of_each_raised_class_stays_real(
    share: float, copies: dict[int, int], blends: dict[int, int], partners: Any
) -> None:
    made = plan(real_share=share, partners=partners)
    assert counts(made) == (copies, blends)
    if copies:
        check_copies(made)


@EVERY_SAMPLER
def test_the_blends_beside_real_copies_are_those_that_the_sampler_draws(sampler: Any) -> None:
    usual, made = plan(sampler), plan(sampler, real_share=0.6)
    check_copies(made)
    assert 0 < made.is_synthetic.sum() < len(made) == len(usual)
    for name in ("base", "neighbor", "lam", "label"):
        kept = made.is_synthetic if name != "label" else slice(None)
        np.testing.assert_array_equal(getattr(made, name)[kept], getattr(usual, name)[kept])
    for label, drawn in Counter(usual.label.tolist()).items():
        real = COUNTS[label] + int((~made.is_synthetic & (made.label == label)).sum())
        assert real == max(COUNTS[label], np.ceil(0.6 * (COUNTS[label] + drawn)))


# By hand: with share 1/2 each class has 40 real draws and 40 blends; with 1/5, a quarter of 40; at a ratio, half the size.
@pytest.mark.parametrize(
    ("share", "strategy", "copies", "blends"),
    [
        (None, "auto", {1: 33, 2: 25}, {0: 40, 1: 40, 2: 40}),
        (0.2, "auto", {1: 33, 2: 25}, {0: 10, 1: 10, 2: 10}),
        (0.75, "minority", {1: 33}, {0: 120, 1: 120, 2: 45}),
        (0.5, {1: 20, 2: 20}, {1: 13, 2: 5}, {0: 40, 1: 20, 2: 20}),
        (0.5, {1: 7}, {}, {0: 40, 1: 7, 2: 15}),
    ],
)
@pytest.mark.parametrize("partners", ["nearest", "any"])
def test_every_class_gets_its_share_of_blends_on_top_of_the_real_samples(
    share: float, strategy: Any, copies: dict[int, int], blends: dict[int, int], partners: Any
) -> None:
    sampler = SMOTE(k_neighbors=3, random_state=0, sampling_strategy=strategy)
    made = plan(sampler, blend="all", blend_share=share, partners=partners)
    assert counts(made) == (copies, blends)
    if copies:
        check_copies(made)
    blended = made.is_synthetic
    np.testing.assert_array_equal(LABELS[made.base[blended]], LABELS[made.neighbor[blended]])
    assert (made.base != made.neighbor)[blended].all()


def test_blends_of_all_classes_are_those_that_imbalanced_learn_draws() -> None:
    made = plan(blend="all", blend_share=0.5)
    x, y = SMOTE(k_neighbors=3, random_state=0, sampling_strategy={0: 80, 1: 80, 2: 80}).fit_resample(FEATURES, LABELS)
    lam = made.lam[:, None].astype(np.float64)
    mixed = (1 - lam) * FEATURES[made.base] + lam * FEATURES[made.neighbor]
    blended = made.is_synthetic
    np.testing.assert_array_equal(y[len(LABELS) :], made.label)
    np.testing.assert_allclose(mixed[blended], x[len(LABELS) :][blended], atol=1e-6)


def test_strata_are_blended_each_in_itself() -> None:
    strata = np.where(LABELS == 0, np.where(PATIENTS % 2 == 0, "a", "b"), STRATA)
    made = plan(blend="all", strata=strata, partners="any")
    np.testing.assert_array_equal(strata[made.base], strata[made.neighbor])
    largest = Counter(strata.tolist()).most_common(1)[0][1]
    assert Counter(strata[made.base[made.is_synthetic]]) == dict.fromkeys(["a", "b", "rare", "some"], largest)


def test_any_partner_is_drawn_uniformly_and_so_are_base_and_lambda() -> None:
    labels = np.array([0, 1, 1, 0, 1, 1] + [0] * 6000)
    made = plan(labels=labels, partners="any", sampler=SMOTE(random_state=0))
    members = [1, 2, 4, 5]
    pairs = Counter(zip(made.base.tolist(), made.neighbor.tolist(), strict=True))
    assert pairs.keys() == set(itertools.permutations(members, 2))
    expected = len(made) / 12
    chi_squared = sum((n - expected) ** 2 / expected for n in pairs.values())
    assert chi_squared < 31.3  # 11 degrees of freedom, p = .001
    assert np.abs(np.quantile(made.lam, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.03
    assert abs(np.corrcoef(made.lam, made.base)[0, 1]) < 0.05
    assert made.tables == ()


def test_no_two_images_of_a_patient_are_blended_and_all_others_may_be() -> None:
    labels, patients = np.array([0] * 3000 + [1] * 6), np.array([9] * 3000 + [4, 2, 4, 7, 4, 2])
    made = plan(labels=labels, partners="any", groups=patients)
    pairs = Counter(zip(made.base.tolist(), made.neighbor.tolist(), strict=True))
    allowed = {(i, j) for i in range(3000, 3006) for j in range(3000, 3006) if patients[i] != patients[j]}
    assert pairs.keys() == allowed
    of_first = [n for (base, _), n in pairs.items() if base == 3000]
    assert len(of_first) == 3
    assert max(of_first) < 1.4 * min(of_first)


def test_two_images_of_a_class_are_enough_for_any_partner_and_one_follows_small_class() -> None:
    labels = np.array([0] * 20 + [1] * 2)
    made = plan(labels=labels, partners="any", sampler=SMOTE(k_neighbors=5, random_state=0))
    assert {*zip(made.base.tolist(), made.neighbor.tolist(), strict=True)} == {(20, 21), (21, 20)}
    one = labels[:-1]
    for small_class in ("error", "shrink_k"):
        message = r'has 1 sample\(s\); 2 are needed for partners="any".*Use small_class="duplicate"'
        with pytest.raises(ArgumentError, match=message):
            plan(labels=one, partners="any", small_class=small_class)
    copied = plan(labels=one, partners="any", small_class="duplicate")
    assert set(copied.base.tolist()) == set(copied.neighbor.tolist()) == {20}
    assert copied.is_synthetic.all()
    assert not copied.lam.any()
    with pytest.raises(ArgumentError, match=r"2 of them of one group.*3 are needed"):
        plan(labels=labels, partners="any", groups=np.array([*range(20), 30, 30]))


@pytest.mark.parametrize("strategy", ["auto", "minority", {1: 30, 2: 100}])
@pytest.mark.parametrize("state", [5, np.random.RandomState(5)], ids=["int", "RandomState"])
def test_over_sampling_copies_what_imbalanced_learn_copies(strategy: Any, state: Any) -> None:
    def read(indices: NDArray[Any]) -> Any:
        raise AssertionError("features were read")

    made = SMOTEPlan.from_sampler(RandomOverSampler(sampling_strategy=strategy, random_state=state), LABELS, read)
    oracle = RandomOverSampler(sampling_strategy=strategy, random_state=np.random.RandomState(5))
    oracle.fit_resample(FEATURES, LABELS)
    np.testing.assert_array_equal(made.base, oracle.sample_indices_[len(LABELS) :])
    np.testing.assert_array_equal(made.neighbor, made.base)
    np.testing.assert_array_equal(made.label, LABELS[made.base])
    assert made.is_synthetic.all()
    assert not made.lam.any()


WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "over": (RandomOverSampler(random_state=0), {}),
    "real copies": (SMOTE(k_neighbors=3, random_state=0), {"real_share": 0.5}),
    "real copies, ADASYN": (ADASYN(n_neighbors=3, random_state=0), {"real_share": 0.5}),
    "real copies, borderline": (BorderlineSMOTE(k_neighbors=3, random_state=0), {"real_share": 0.5}),
    "all": (SMOTE(k_neighbors=3, random_state=0), {"blend": "all"}),
    "any": (SMOTE(random_state=0), {"partners": "any", "real_share": 0.5}),
    "all and any": (SMOTE(random_state=0), {"partners": "any", "blend": "all", "blend_share": 0.3}),
}
EVERY_WAY = pytest.mark.parametrize(("sampler", "options"), WAYS.values(), ids=WAYS.keys())


@EVERY_WAY
def test_equal_seeds_draw_the_same_and_each_epoch_another_of_as_many(sampler: Any, options: dict[str, Any]) -> None:
    first = plan(sampler, **options, strata=STRATA, groups=PATIENTS)
    assert equal_plans(first, plan(sampler, **options, strata=STRATA, groups=PATIENTS))
    second, third = (first.redrawn(sampler, LABELS, STRATA, PATIENTS, epoch=epoch) for epoch in (1, 2))
    assert equal_plans(second, first.redrawn(sampler, LABELS, STRATA, PATIENTS, epoch=1))
    for one, other in itertools.combinations([first, second, third], 2):
        assert not np.array_equal(one.base, other.base)
        assert (one.is_synthetic.all() or sampler.get_params().get("m_neighbors")) or not np.array_equal(
            one.base[~one.is_synthetic], other.base[~other.is_synthetic]
        )
        np.testing.assert_array_equal(one.label, other.label)  # so that flags and labels stay where they are
        np.testing.assert_array_equal(one.is_synthetic, other.is_synthetic)
    for drawn in (first, second):
        drawn.check_fits(LABELS, STRATA, groups=PATIENTS)
        if not drawn.is_synthetic.all():
            check_copies(drawn)


@EVERY_WAY
def test_a_plan_comes_back_from_its_file_and_fits_its_own_options_only(
    sampler: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    made = plan(sampler, **options)
    made.save(tmp_path / "plan")
    loaded = SMOTEPlan.load(tmp_path / "plan", labels=LABELS)
    assert equal_plans(loaded, made)
    loaded.check_options(sampler, LABELS, draws=DrawOptions(**options))
    for name, value in options.items():
        wanted = {"real_share": None, "blend": "'oversampled'", "partners": "'nearest'", "blend_share": None}[name]
        others = {n: v for n, v in options.items() if n != name and (n, name) != ("blend_share", "blend")}
        if name != "blend_share":
            with pytest.raises(ArgumentError, match=rf"{name}={value!r} \(wanted {wanted}\)"):
                loaded.check_options(sampler, LABELS, draws=DrawOptions(**others))
    if options and options.get("partners") != "any":
        with pytest.raises(ArgumentError, match=r"partners='nearest' \(wanted 'any'\)"):
            loaded.check_options(None, LABELS, draws=DrawOptions(partners="any"))


def test_a_new_draw_of_any_partner_needs_the_patients_of_the_first() -> None:
    sampler, draws = SMOTE(random_state=0), DrawOptions(partners="any")
    made = plan(sampler, partners="any", groups=PATIENTS)
    with pytest.raises(ValueError, match=r"made with groups=.*pass groups="):
        made.redrawn(sampler, LABELS, epoch=1)
    made.check_options(sampler, LABELS, draws=draws, groups=PATIENTS)
    for other in (None, PATIENTS // 2):
        with pytest.raises(ArgumentError, match="groups="):
            made.check_options(sampler, LABELS, draws=draws, groups=other)
