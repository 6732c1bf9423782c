"""One value for each sample: gaps, tables and mixtures."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from clesmote_losses.smote.columns import check_column, gaps_in, to_array


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b", "b"],
        ("a", "b", "b"),
        np.array(["a", "b", "b"]),
        np.array(["a", "b", "b"], dtype=object),
        np.array([["a"], ["b"], ["b"]]),
        pd.Series(["a", "b", "b"], index=[7, 3, 5]),  # rows of a larger table, shuffled: only their order has a meaning
        pd.Series(["a", "b", "b"], dtype="category"),
        pd.Series(["a", "b", "b"], dtype="string"),
        pd.DataFrame({"site": ["a", "b", "b"]}),
    ],
    ids=str,
)
def test_names_come_back_in_order_from_every_container(values: Any) -> None:
    column = check_column("strata", values, 3)
    assert column.dtype.kind == "U"
    assert column.tolist() == ["a", "b", "b"]


@pytest.mark.parametrize("values", [[4, 0, 4], torch.tensor([4, 0, 4]), pd.Series([4, 0, 4], dtype="Int64")], ids=str)
def test_numbers_stay_numbers(values: Any) -> None:
    column = check_column("strata", values, 3)
    assert column.dtype.kind == "i"
    assert column.tolist() == [4, 0, 4]


@pytest.mark.parametrize(
    "values",
    [
        ["a", None, "b"],
        ["a", float("nan"), "b"],  # numpy makes a string of it
        ["a", "", "b"],
        ["a", "  ", "b"],
        np.array(["a", None, "b"]),
        np.array(["a", None, "b"]).astype(str),
        np.array(["a", np.nan, "b"], dtype=object).astype(str),
        np.array([0.0, np.nan, 1.0]),
        torch.tensor([0.0, torch.nan, 1.0]),
        pd.Series(["a", None, "b"]),
        pd.Series(["a", None, "b"], dtype="category"),
        pd.Series(["a", None, "b"], dtype="string"),
        pd.Series([0, None, 1]),
        pd.Series([0, None, 1], dtype="Int64"),
        pd.to_datetime(pd.Series(["2020-01-01", None, "2020-01-02"])),
    ],
    ids=repr,
)
def test_a_gap_is_no_group_of_its_own_and_is_named(values: Any) -> None:
    assert gaps_in(to_array("strata", values)) == [1]
    with pytest.raises(ValueError, match=r"strata must give every sample a group; sample 1 has .*Fill the gaps"):
        check_column("strata", values, 3)


@pytest.mark.parametrize("values", [[1, "1", 1], ["a", 0, "b"], np.array([1, "1", 2], dtype=object)], ids=repr)
def test_numbers_and_strings_together_are_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="strata must be numbers or strings; got both"):
        check_column("strata", values, 3)


def test_a_series_whose_index_is_a_shuffled_numbering_is_refused_since_either_order_may_be_meant() -> None:
    shuffled = pd.Series(["a", "b", "c"], index=[2, 0, 1])
    with pytest.raises(ValueError, match=r"strata is a Series .*another order.*strata.to_numpy\(\).*sort_index"):
        check_column("strata", shuffled, 3)
    assert check_column("strata", shuffled.to_numpy(), 3).tolist() == ["a", "b", "c"]
    assert check_column("strata", shuffled.reset_index(drop=True), 3).tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("values", [[[0], [1, 2], [3]], np.zeros((3, 2)), [0, 1], {"a": 1}], ids=repr)
def test_values_of_another_shape_are_refused(values: Any) -> None:
    with pytest.raises(ValueError, match=r"strata must (have shape|hold one value)"):
        check_column("strata", values, 3)


def test_one_gap_is_not_said_to_have_others_and_values_of_the_whole_data_set_are_told_apart() -> None:
    with pytest.raises(ValueError, match=r"sample 1 has nan\. Fill the gaps"):
        check_column("groups", [1.0, np.nan, 2.0], 3)
    with pytest.raises(ValueError, match=r"sample 1 has nan \(2 samples have none\)"):
        check_column("groups", [1.0, np.nan, np.nan], 3)
    with pytest.raises(
        ValueError, match=r"got \(5,\)\. If they are of the whole data set of a Subset, pass groups\[subset\.ind"
    ):
        check_column("groups", [1, 2, 3, 4, 5], 3)
    with pytest.raises(ValueError, match=r"got \(2,\)\.$"):
        check_column("groups", [1, 2], 3)
