"""Passed labels against those of the data set: classes renamed or merged, never split or mixed."""

from typing import Any

import numpy as np
import pytest
import torch

from clesmote_losses.smote.relabelling import Relabelling


def compare(own: Any, passed: Any) -> None:
    relabelling = Relabelling()
    for index, (label, given) in enumerate(zip(own, passed, strict=True)):
        relabelling.compare(index, label, given)


RNG = np.random.default_rng(0)
OWN = RNG.integers(0, 4, 60)


@pytest.mark.parametrize(
    "own",
    [
        OWN.tolist(),
        OWN,
        list(torch.from_numpy(OWN)),
        OWN.astype(float),
        list(OWN[:, None]),
        np.array(list("abcd"))[OWN],
        np.eye(4)[OWN],
    ],
    ids=["int", "numpy", "tensor", "float", "column", "name", "one-hot"],
)
@pytest.mark.parametrize("passed", [OWN, 3 - OWN, OWN // 2, OWN * 0])
def test_classes_may_be_renamed_or_merged(own: Any, passed: Any) -> None:
    compare(own, passed.tolist())
    for shift in (1, 7):
        if len(set(passed.tolist())) > 1:
            with pytest.raises(ValueError, match=r"labels= contradict .*samples \d+ and \d+ have label"):
                compare(own, np.roll(passed, shift).tolist())


def test_a_class_may_not_be_split() -> None:
    with pytest.raises(ValueError, match="samples 0 and 2 have label 0 there, and labels= gives 0 and 2"):
        compare([0, 1, 0, 1], [0, 1, 2, 1])


def test_the_error_shows_two_samples_of_one_class_with_two_labels() -> None:
    with pytest.raises(ValueError, match="samples 1 and 2 have label 'b' there, and labels= gives 1 and 0"):
        compare(["a", "b", "b", "a"], [0, 1, 0, 0])


@pytest.mark.parametrize("unlabelled", [-1, np.int64(-100), None, float("nan"), "", torch.tensor(-1)], ids=repr)
def test_a_sample_without_a_label_of_its_own_contradicts_nothing(unlabelled: Any) -> None:
    compare([0, 1, unlabelled, unlabelled], [0, 1, 0, 1])


@pytest.mark.parametrize("other", [{"boxes": [1]}, np.zeros((64, 64)), object()], ids=["dict", "mask", "object"])
def test_what_is_no_class_is_not_compared(other: Any) -> None:
    compare([0, 1, other, other], [0, 1, 0, 1])
