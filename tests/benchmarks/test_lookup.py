"""Tables of named objects."""

from types import SimpleNamespace

import pytest

from benchmarks.lookup import Lookup


def test_a_wrong_name_is_answered_with_the_right_ones():
    table = Lookup("loss", {"focal": 1})
    table["capped"] = 2
    assert table["focal"] == 1
    assert list(table) == ["focal", "capped"]
    with pytest.raises(ValueError, match="no loss 'focl'; there are focal, capped"):
        table["focl"]
    assert "focl" not in table
    assert table.get("focl") is None


def test_two_entries_of_one_name_are_refused():
    entries = [SimpleNamespace(name="a"), SimpleNamespace(name="b")]
    assert list(Lookup.by_name("suite", entries)) == ["a", "b"]
    with pytest.raises(ValueError, match="two of kind suite have the name 'a'"):
        Lookup.by_name("suite", [*entries, SimpleNamespace(name="a")])
