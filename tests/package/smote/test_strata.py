"""The groups that SMOTE balances, and their digest."""

from typing import Any

import numpy as np
import pytest

from clesmote_losses.smote.strata import group_digest, strata_of

LABELS = np.array([0, 0, 1, 1, 1])


def test_without_strata_the_classes_are_the_groups() -> None:
    assert strata_of(LABELS, None) is LABELS


def test_strata_of_one_class_each_are_the_groups() -> None:
    assert strata_of(LABELS, ["a", "b", "c", "c", "d"]).tolist() == ["a", "b", "c", "c", "d"]


@pytest.mark.parametrize(
    ("strata", "message"),
    [
        ([0, 1, 2], r"strata must have shape \(5,\), one group for each sample; got \(3,\)"),
        (
            ["a", "b", "b", "c", "c"],
            r"stratum 'b' holds samples of the classes \[0, 1\].*Make strata of one class each",
        ),
    ],
)
def test_strata_of_a_wrong_shape_or_of_two_classes_are_refused(strata: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strata_of(LABELS, strata)


def test_the_digest_tells_labels_and_strata_apart_and_not_the_kind_of_integer() -> None:
    digests = {
        group_digest(labels, strata)
        for labels in (LABELS, LABELS[::-1], LABELS[:4])
        for strata in (None, ["a"] * len(labels), ["b"] * len(labels), list("abcde")[: len(labels)])
    }
    assert len(digests) == 12
    assert group_digest(LABELS.astype(np.int32), None) == group_digest(LABELS, None)
