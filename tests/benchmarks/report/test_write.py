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


@pytest.mark.slow
@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_committed_reports_are_those_of_the_committed_lines(folder, monkeypatch, tmp_path):
    # names of figures are compared, and pixels are not: test_figures.py draws
    monkeypatch.setattr(figures, "save", lambda figure, path: path.touch())
    lines = list(folder.glob("*.jsonl"))
    for path in lines:
        shutil.copy(path, tmp_path)
    assert_committed(write_report(list(read_records(tmp_path).values()), tmp_path), folder)
    assert all(path.stat().st_size < 1_000_000 for path in lines)


def test_a_report_tells_situations_apart(tmp_path):
    records = []
    for noise, settings in (
        ({}, {}),
        ({"label_noise": 0.3, "noisy_validation": False, "wrong_labels": {"b": 2}}, {}),
        ({"label_noise": 0.3, "noisy_validation": True, "wrong_labels": {"b": 2}}, {"weights": "abc"}),
        ({}, {"weights": "abc", "frozen": True}),
    ):
        record = line("none")
        config = record["config"]
        config["experiment"] |= noise
        config["settings"] |= settings
        records.append({**record, "id": repr(config)})
    text = write_report(records, tmp_path)[0].read_text()
    headings = [row.removeprefix("## correct-convnet") for row in text.splitlines() if row.startswith("## ")]
    assert headings == ["", "-noise-30", "-pretrained-noise-30-noisy-validation", "-frozen"]
    assert "b 5; 30% wrong labels in the rare strata (2 of b), validation images clean" in text
    assert "from the weights of a file (digest abc), frozen: a new linear head is trained on its features" in text
