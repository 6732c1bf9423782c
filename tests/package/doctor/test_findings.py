import json

from clesmote_losses.doctor.findings import Finding, Report, counted

NOTE, WARNING, ERROR = (Finding(severity, severity, f"A {severity}.") for severity in ("note", "warning", "error"))


def test_errors_come_first_and_notes_last() -> None:
    report = Report({}, (NOTE, WARNING, NOTE, ERROR))
    assert [finding.severity for finding in report.findings] == ["error", "warning", "note", "note"]
    assert (report.with_severity("error"), report.with_severity("note")) == ([ERROR], [NOTE, NOTE])
    assert str(report).endswith("1 error, 1 warning, 2 notes. Start with the first one, then run this again.")
    assert "Nothing stands in the way" in str(Report({}, (NOTE,)))


def test_text_shows_some_evidence_and_json_all_of_it() -> None:
    lines = tuple(f"file {number}" for number in range(9))
    report = Report(
        {"a": {"training": 1200}, "bb": {"training": 7}}, (Finding("error", "t", "Wrong.", lines, "mend it."),)
    )
    text = str(report)
    assert "file 2" in text
    assert "file 3" not in text
    assert "... and 6 more" in text
    assert "Do: mend it." in text
    assert "a         1,200\nbb            7" in text
    assert json.loads(json.dumps(report.to_dict()))["findings"][0]["evidence"] == list(lines)


def test_one_line_more_is_shown_rather_than_counted() -> None:
    assert "file 3" in str(Finding("note", "t", "x", tuple(f"file {number}" for number in range(4))))


def test_long_lines_are_wrapped_and_code_is_kept() -> None:
    text = str(Finding("error", "t", "word " * 60 + "end:\n    class A:\n        x = 1"))
    assert max(map(len, text.splitlines())) <= 100
    assert "            class A:\n                x = 1" in text


def test_numbers_agree_with_their_noun() -> None:
    assert (counted(1, "image"), counted(2000, "image")) == ("1 image", "2,000 images")
