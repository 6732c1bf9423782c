"""Declarations of options."""

import dataclasses

import pytest

from clesmote_losses.errors import ArgumentError
from clesmote_losses.hosts.declaration import GROUPS, PARTS, check_range, option


def test_an_argument_is_split_from_the_part_that_takes_it():
    for part in ("", *PARTS):
        field = option(1, "cap", "help", argument=f"{part}.beta" if part else "beta")
        assert (field.metadata["part"], field.metadata["argument"]) == (part, "beta")


@pytest.mark.parametrize(("group", "argument"), [("caap", "loss.beta"), ("cap", "los.beta")])
def test_a_misspelt_group_or_part_is_refused_at_once(group, argument):
    with pytest.raises(ArgumentError, match="must be one of"):
        option(1, group, "help", argument=argument)
    assert "cap" in GROUPS


def test_values_are_checked_against_choices_and_bounds():
    @dataclasses.dataclass
    class Some:
        letter: str = option("a", "cap", "", choices=lambda: "ab")
        size: float = option(1.0, "cap", "", above=0)
        count: int = option(0, "cap", "", at_least=0)
        share: float | None = option(None, "cap", "", at_least=0, at_most=1)

    fields = {field.name: field for field in dataclasses.fields(Some)}
    for name, good, bad, message in (
        ("letter", "b", "c", "must be one of"),
        ("size", 0.1, 0.0, "must be positive"),
        ("size", 0.1, float("nan"), "must be positive"),
        ("count", 0, -1, "must be 0 or more"),
        ("share", 1, 1.01, "must be 1 or less; got 1.01"),
        ("share", None, float("nan"), "must be 0 or more; got nan"),
    ):
        check_range(fields[name], good)
        with pytest.raises(ArgumentError, match=f"{name} {message}"):
            check_range(fields[name], bad)
