"""Inputs of the capped loss in one form, and what is refused."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from clesmote_losses.errors import ArgumentError
from clesmote_losses.loss_inputs import as_columns, check_cap, check_options, check_rows


@pytest.mark.parametrize("shape", [(9,), (9, 1)])
def test_a_single_logit_is_the_score_of_class_1_beside_0(shape: tuple[int, ...]) -> None:
    logits, target = torch.randn(shape), torch.randint(0, 2, (9,))
    columns = as_columns(logits)
    assert columns.shape == (9, 2)
    expected = F.binary_cross_entropy_with_logits(logits.flatten(), target.float())
    torch.testing.assert_close(F.cross_entropy(columns, target), expected)


def test_scores_of_classes_are_left_as_they_are() -> None:
    logits = torch.randn(4, 3)
    assert as_columns(logits) is logits


@pytest.mark.parametrize("logits", [torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 3, 4), torch.zeros(())])
def test_logits_of_another_kind_are_refused(logits: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"logits must be float of shape \(N, C\)"):
        as_columns(logits)


def test_what_does_not_fit_the_rows_is_refused() -> None:
    logits, target, flags = torch.zeros(3, 2), torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.bool)
    check_rows(logits, target, flags)
    check_cap(torch.ones(3), logits)
    with pytest.raises(ValueError, match=r"target must have shape \(3,\)"):
        check_rows(logits, target[:2], flags)
    with pytest.raises(ValueError, match=r"is_synthetic must be bool of shape \(3,\)"):
        check_rows(logits, target, flags[:, None])
    for cap in (torch.ones(3, 1), torch.ones(3, dtype=torch.long)):
        with pytest.raises(ValueError, match=r"cap must be float of shape \(3,\)"):
            check_cap(cap, logits)


@pytest.mark.parametrize(
    ("argument", "options"), [("gradient", ("go", None, 0.0, "mean")), ("reduction", ("stop", None, 0.0, "avg"))]
)
def test_an_unknown_option_is_named_with_the_known_ones(argument: str, options: Any) -> None:
    check_options("stop", None, 1.0, "none")
    with pytest.raises(ArgumentError, match=f"{argument} must be one of") as error:
        check_options(*options)
    assert error.value.argument == argument


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, float("nan")])
def test_smoothing_lies_between_0_and_1(smoothing: float) -> None:
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\]"):
        check_options("stop", None, smoothing, "mean")
