"""Tables of named objects."""

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
