"""The table of measurements, and the numbers to compute with."""

from benchmarks.micro import command
from benchmarks.micro.measure import Measurement
from benchmarks.micro.report import numbers_of, table_of, write_report
from benchmarks.micro.rows import read_rows
from tests.support.committed import RESULTS, assert_committed
from tests.support.measurements import a_row, measured


def test_the_committed_table_is_that_of_the_committed_measurements(tmp_path):
    folder = RESULTS / "micro"
    rows = read_rows(folder)
    assert {row.name for row in rows} | {"gpu"} == set(command.ROWS)
    assert_committed(write_report(rows, tmp_path), folder)


def test_missed_targets_come_first_and_then_those_that_may_be():
    rows = [a_row("met", measured([0.1], [1.0], 0.5)),
            a_row("none", Measurement("case", "time", "s", {"ours": [1.0]})),
            a_row("undecided", measured([0.4, 0.6], [1.0, 1.0], 0.5)),
            a_row("missed", measured([0.9], [1.0], 0.5))]  # fmt: skip
    assert table_of(rows).cells["Row"].tolist() == ["missed", "undecided", "met", "none"]


def test_the_numbers_are_a_line_for_each_contestant():
    table = numbers_of([a_row("row", measured([1.0, 2.0, 3.0], [4.0, 4.0, 4.0], 0.25))])
    ours, theirs = table.itertuples(index=False, name=None)
    assert ours == ("row", "case", "time", "s", "ours", 3, "1.5", "2", "2.5", "0.5", "0.25", "theirs", "undecided")
    assert theirs == ("row", "case", "time", "s", "theirs", 3, "4", "4", "4", "", "", "", "")
