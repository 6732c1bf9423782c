import dataclasses
import time

import numpy as np
import pytest

from clesmote_losses.doctor.copy_findings import _exact, _near, find_copies, find_shared_groups
from clesmote_losses.doctor.duplicates import Duplicates
from clesmote_losses.doctor.image_facts import facts_of
from clesmote_losses.doctor.part import Part
from tests.support.class_folders import picture


def part(title: str, seeds: list[int], labels: list[int]) -> Part:
    facts = [facts_of(picture(seed)) for seed in seeds]
    return Part(title, None, labels=np.array(labels), facts=facts, names=[f"{title}{i}" for i in range(len(seeds))])


def test_copies_are_told_apart_by_where_they_are() -> None:
    train = part("t", [0, 0, 1, 2, 2, 3, 4, 4, 6, 6, 6], [0, 0, 0, 1, 1, 1, 0, 1, 0, 1, 1])
    validation = part("v", [5, 5, 1], [0, 0, 0])
    found = find_copies(train, validation, blended=[1])
    assert [(f.severity, f.evidence) for f in found] == [
        ("error", ("t2 = v2",)),
        ("error", ("t6 = t7", "t8 = t9 = t10")),  # another label
        ("warning", ("t3 = t4", "t9 = t10")),  # no blend is made of two classes
        ("note", ("t0 = t1",)),
        ("note", ("v0 = v1",)),
    ]


def test_pairs_that_look_alike_are_told_apart_by_where_they_are() -> None:
    train = part("t", [0, 0, 1, 2, 2, 3, 3], [0, 0, 0, 1, 1, 0, 1])
    validation = part("v", [1], [0])
    for one, i in ((train, 1), (train, 4), (train, 6), (validation, 0)):
        grey = np.frombuffer(one.facts[i].thumbnail, np.uint8) ^ 1
        one.facts[i] = dataclasses.replace(
            one.facts[i], digest=bytes([i]) + one.title.encode(), thumbnail=grey.tobytes()
        )
    same = " (0 of 256 bits differ)"
    assert [(f.severity, f.evidence) for f in find_copies(train, validation, blended=[1])] == [
        ("warning", (f"t2 ~ v0{same}",)),
        ("warning", (f"t5 ~ t6{same}",)),  # another label
        ("warning", (f"t3 ~ t4{same}",)),
        ("note", (f"t0 ~ t1{same}",)),
    ]


def test_without_copies_nothing_is_found() -> None:
    assert find_copies(part("t", [0, 1, 2], [0, 0, 1]), part("v", [3], [1]), [1]) == []


def test_groups_on_both_sides_are_counted() -> None:
    assert find_shared_groups(np.array(["a", "b"]), np.array(["c"])) == []
    (finding,) = find_shared_groups(np.array(["a", "b", "a"]), np.array(["c", "a", "b", "a", "d"]))
    assert finding.evidence == ("a: 2 images in training, 2 in validation", "b: 1 image in training, 1 in validation")
    assert "2 groups (patients), with 3 of the 5 validation images" in finding.message


def test_groups_that_are_numbers_on_one_side_and_strings_on_the_other_are_refused() -> None:
    with pytest.raises(ValueError, match=r"both be numbers or both strings; got .*0.* and .*'0'.* \[str\(g\)"):
        find_shared_groups(np.arange(3), np.array(["0", "5"]))
    (finding,) = find_shared_groups(np.arange(3), np.array([0.0, 5.0]))
    assert finding.evidence == ("0.0: 1 image in training, 1 in validation",)


@pytest.mark.parametrize("kind", ["exact", "near"])
def test_a_hundred_thousand_copies_take_seconds(kind: str) -> None:
    count = 100_000
    found = Duplicates([[i, i + 1] for i in range(count)], [(i, i + 1, 10) for i in range(count)])
    labels, names = np.arange(count + 1) // 1000 % 2, [str(i) for i in range(count + 1)]
    start = time.monotonic()
    findings = {"exact": _exact, "near": _near}[kind](found, names, labels, np.zeros(count + 1, bool), {1})
    assert sum(len(one.evidence) for one in findings) == count
    assert time.monotonic() - start < 20
