"""Reports: a folder of lines gives its files, and the committed lines the committed ones."""

import shutil

import pytest

from benchmarks.report import figures
from benchmarks.report.write import write_report
from benchmarks.sweep.store import read_records
from tests.support.committed import RESULTS, assert_committed
from tests.support.run_lines import line


@pytest.mark.parametrize("suite", ["cifar10-17", "cifar10-ablation"])
def test_a_folder_of_one_method_has_a_report_too(suite, tmp_path):
    kind = "interclass" if suite == "cifar10-17" else None
    files = write_report([line("focal", suite=suite, experiment=kind or "binary", kind=kind)], tmp_path)
    assert (tmp_path / "report.md") in files
    assert "Focal loss" in (tmp_path / "report.md").read_text()


COMMITTED = sorted(path.parent for path in RESULTS.glob("*/report.md"))


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_committed_reports_are_those_of_the_committed_lines(folder, monkeypatch, tmp_path):
    # names of figures are compared, and pixels are not: test_figures.py draws
    monkeypatch.setattr(figures, "save", lambda figure, path: path.touch())
    lines = list(folder.glob("*.jsonl"))
    for path in lines:
        shutil.copy(path, tmp_path)
    assert_committed(write_report(list(read_records(tmp_path).values()), tmp_path), folder)
    assert all(path.stat().st_size < 1_000_000 for path in lines)
