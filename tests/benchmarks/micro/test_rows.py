"""Files of rows, and rows beside other processes."""

import json

import pytest

from benchmarks.micro.report import write_report
from benchmarks.micro.rows import Row, read_rows
from tests.support.measurements import a_row, measured


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("seconds", "long"),
        ("environment", None),
        ("other_processes", "many"),
        ("measurements", [{"values": {"a": 3}}]),
        *(
            ("measurements", [{**measured([1.0], [1.0], 1).to_json(), **change}])
            for change in (
                {"values": {}},
                {"values": {"ours": [], "theirs": []}},
                {"values": {"ours": [1.0], "theirs": [1.0, 2.0]}},
                {"target": {"at_most": 1, "against": "nobody"}},
                {"target": {"at_most": "little", "against": "theirs"}},
            )
        ),
    ],
)
def test_a_row_with_values_of_another_kind_is_named(change, value, tmp_path):
    path = a_row("first", measured([1.0], [1.0], 1), processors=0.5).save(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), change: value}))
    with pytest.raises(ValueError, match=r"first\.json is no row"):
        read_rows(tmp_path)


def test_hidden_files_are_no_rows(tmp_path):
    row = a_row("first", measured([1.0], [1.0], 1), processors=0.5)
    row.save(tmp_path)
    (tmp_path / "._first.json").write_text("no row")
    assert [read.name for read in read_rows(tmp_path)] == ["first"]


def test_a_folder_by_the_name_of_a_row_is_named(tmp_path):
    (tmp_path / "first.json").mkdir()
    with pytest.raises(ValueError, match=r"first\.json is no row of micro-benchmarks \(IsADirectoryError"):
        read_rows(tmp_path)


@pytest.mark.parametrize(("processors", "told"), [(None, False), (0.2, False), (0.3, True)])
def test_a_row_measured_beside_other_processes_says_so(processors, told, tmp_path):
    row = a_row("busy", measured([1.0], [1.0], 1), processors=processors)
    assert row.is_disturbed == told
    write_report([row], tmp_path)
    text = (tmp_path / "micro.md").read_text()
    assert ("even ratios may be wrong: busy (0.3 processors)" in text) == told
    assert ("not recorded whether other processes ran: busy" in text) == (processors is None)
    free = Row("free", {"cpus": 16, "threads": 2}, 1.0, processors, ())
    assert not free.is_disturbed
