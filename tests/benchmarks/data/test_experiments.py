"""The declarations of experiments, against the paper's Tables 1 and 2."""

import numpy as np
import pytest

from benchmarks.data.experiments import KIND_TITLES, Experiment, imbalances, of_classes
from tests.support.benchmark_images import small_source

CONDITIONS = ["lesion", "pneumothorax", "fracture", "opacity", "cardiac"]
PLENTY = dict.fromkeys(["normal", *CONDITIONS], 20_000)
TABLE_1 = {  # kind: normal, then the counts of the five sub-conditions, sorted
    "interclass": (19624, [196] * 5),
    "intraclass-single": (2194, [87, 87, 87, 87, 1759]),
    "intraclass-multiple": (3858, [62, 62, 1245, 1245, 1245]),
    "both-single": (19624, [40, 40, 40, 40, 817]),
    "both-multiple": (19624, [15, 15, 316, 316, 316]),
}
TABLE_2 = {
    "interclass": (100, [1] * 5),
    "intraclass-single": (24, [1, 1, 1, 1, 20]),
    "intraclass-multiple": (62, [1, 1, 20, 20, 20]),
    "both-single": (480, [1, 1, 1, 1, 20]),
    "both-multiple": (1240, [1, 1, 20, 20, 20]),
}


def test_there_are_seventeen_with_the_counts_of_table_1():
    found = imbalances("normal", CONDITIONS, PLENTY, never_majority="lesion")
    assert len(found) == len({experiment.name for experiment in found}) == 17
    assert [sum(e.kind == kind for e in found) for kind in TABLE_1] == [1, 4, 4, 4, 4]
    for experiment in found:
        normal, conditions = TABLE_1[experiment.kind]
        assert experiment.counts["normal"] == normal
        assert sorted(experiment.counts[name] for name in CONDITIONS) == conditions
        if experiment.kind != "interclass":
            assert experiment.counts["lesion"] == min(conditions)  # never the majority


def test_each_other_sub_condition_is_as_often_in_the_majority():
    found = imbalances("normal", CONDITIONS, PLENTY, never_majority="lesion")
    for kind, often in (("intraclass-single", 1), ("both-multiple", 3)):
        largest = [max(e.counts[n] for n in CONDITIONS) for e in found if e.kind == kind]
        of_kind = [e for e in found if e.kind == kind]
        for name in CONDITIONS[1:]:
            assert sum(e.counts[name] == top for e, top in zip(of_kind, largest, strict=True)) == often


def test_where_images_do_not_suffice_the_ratios_of_table_2_are_kept():
    found = imbalances("normal", CONDITIONS, dict.fromkeys(PLENTY, 4500), never_majority="lesion")
    for experiment in found:
        normal, ratios = (
            TABLE_2[experiment.kind] if experiment.kind in ("interclass", "both-single", "both-multiple") else (0, [])
        )
        if not normal:  # these fit
            assert (experiment.counts["normal"], sorted(list(experiment.counts.values())[1:])) == TABLE_1[
                experiment.kind
            ]
            continue
        assert experiment.counts["normal"] == 4500
        expected = [ratio * 4500 / normal for ratio in ratios]
        assert np.allclose(sorted(experiment.counts[name] for name in CONDITIONS), expected, atol=0.51)


def test_another_number_of_sub_conditions_keeps_twenty_to_one():
    available = {"normal": 1200, "bacteria": 1960, "virus": 1119}
    found = {e.name: e.counts for e in imbalances("normal", ["bacteria", "virus"], available)}
    assert list(found) == [
        "interclass", "intraclass-single-bacteria", "intraclass-single-virus", "both-single-bacteria", "both-single-virus",
    ]  # fmt: skip
    assert found["interclass"] == {"normal": 1200, "bacteria": 30, "virus": 30}
    assert found["intraclass-single-virus"] == {"normal": 1175, "bacteria": 56, "virus": 1119}
    assert found["both-single-bacteria"] == {"normal": 1200, "bacteria": 57, "virus": 3}
    assert [e.name for e in imbalances("normal", ["sick"], {"normal": 100, "sick": 100})] == ["interclass"]


def test_another_ratio_between_the_classes_keeps_twenty_to_one_between_sub_conditions():
    available = {"normal": 4200, "bacteria": 1960, "virus": 1119}
    usual = imbalances("normal", ["bacteria", "virus"], available)
    found = imbalances("normal", ["bacteria", "virus"], available, ratio=100)
    assert {e.name: e.counts for e in found} == {
        "interclass-100": {"normal": 4200, "bacteria": 21, "virus": 21},
        "both-single-bacteria-100": {"normal": 4200, "bacteria": 40, "virus": 2},
        "both-single-virus-100": {"normal": 4200, "bacteria": 2, "virus": 40},
    }
    assert {e.kind for e in found} == {"interclass-100", "both-single-100"} <= KIND_TITLES.keys()
    assert len({e.draw for e in [*usual, *found]}) == 8  # other images by the same seed


def test_an_experiment_whose_ratios_a_few_images_cannot_show_says_so():
    found = {e.name: e for e in imbalances("well", ["cough", "fever"], {"well": 28, "cough": 27, "fever": 27})}
    assert found["both-single-cough"].counts == {"well": 28, "cough": 2, "fever": 2}  # nothing like 20 : 1 : 1/20
    assert found["both-single-cough"].note == "too few images for 20 : 1, since a stratum has 2 at least"
    assert not any(e.note for e in imbalances("well", ["cough", "fever"], {"well": 900, "cough": 50, "fever": 50}))


def test_oversampling_aims_at_classes_alike_and_sub_conditions_alike():
    experiment = Experiment("x", "x", {"n": 100, "a": 50, "b": 5}, {"normal": ("n",), "abnormal": ("a", "b")})
    assert experiment.raised() == {"n": 100, "a": 50, "b": 50}
    assert experiment.raised({"n": 100, "a": 10, "b": 1}) == {"n": 100, "a": 50, "b": 50}
    assert experiment.raised({"n": 10, "a": 50, "b": 5}) == {"n": 100, "a": 50, "b": 50}
    assert of_classes("x", {"a": 50, "b": 5, "c": 7}).raised() == {"a": 50, "b": 50, "c": 50}


def test_oversampling_rounds_up_where_a_total_does_not_divide_evenly():
    three = ("a", "b", "c")
    experiment = Experiment("x", "x", {"n": 100, "a": 5, "b": 3, "c": 2}, {"normal": ("n",), "abnormal": three})
    # abnormal is to have 100 images: 33.3 of each sub-condition, so 34
    assert experiment.raised() == {"n": 100, "a": 34, "b": 34, "c": 34}
    # abnormal has 3 * 33 = 99 and normal is raised to 100, or has 101 itself: 101 / 3 = 33.7
    assert experiment.raised({"n": 100, "a": 33, "b": 3, "c": 2}) == {"n": 100, "a": 34, "b": 34, "c": 34}
    assert experiment.raised({"n": 101, "a": 33, "b": 3, "c": 2}) == {"n": 101, "a": 34, "b": 34, "c": 34}
    # 3 * 34 = 102 are more than 100: nothing is rounded, normal follows
    assert experiment.raised({"n": 100, "a": 34, "b": 3, "c": 2}) == {"n": 102, "a": 34, "b": 34, "c": 34}
    five = Experiment("x", "x", {"n": 7, "m": 2, "a": 3, "b": 2, "c": 2}, {"normal": ("n", "m"), "abnormal": three})
    # 2 * 7 = 14 against 3 * 3 = 9: 14 / 3 = 4.7
    assert five.raised() == {"n": 7, "m": 7, "a": 5, "b": 5, "c": 5}


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"a": 20, "d": 5}, "no class 'd' among the training images; there are a, b, c"),
        ({"a": 200, "b": 5}, "200 training images of class 'a' are wanted; there are 60"),
        ({"a": 20, "b": 1}, "class 'b' has 1 training image"),
        ({"a": 20}, "two classes or more"),
    ],
)
def test_what_a_source_cannot_give_is_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        of_classes("x", counts).check(small_source())
