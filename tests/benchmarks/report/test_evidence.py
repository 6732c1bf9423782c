"""``python -m benchmarks evidence`` on made-up lines."""

import json

import pytest

from benchmarks.__main__ import main
from benchmarks.report.evidence import write_evidence
from tests.support.committed import RESULTS, assert_committed
from tests.support.run_lines import line


def test_lines_of_several_folders_are_tested_together(tmp_path):
    for name, suite in (("one", "kermany"), ("two", "cifar10-17")):
        (tmp_path / name).mkdir()
        lines = [
            line(method, seed, suite=suite, experiment="interclass") for method in ("none", "smote") for seed in (0, 1)
        ]
        lines = [{**record, "id": f"{suite} {record['id']}"} for record in lines]
        (tmp_path / name / "runs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    main(["evidence", str(tmp_path / "one"), str(tmp_path / "two"), "--out", str(tmp_path / "out")])
    text = (tmp_path / "out" / "evidence.md").read_text()
    assert "photographs: difference to plain training" in text
    assert "X-rays: difference to plain training" in text
    assert (tmp_path / "out" / "hypotheses.csv").exists()


@pytest.mark.slow
def test_the_committed_page_is_that_of_the_committed_lines(tmp_path):
    folder = RESULTS / "evidence"
    main(["evidence", str(folder), "--out", str(tmp_path)])
    assert_committed(tmp_path.iterdir(), folder)
    assert all(path.stat().st_size < 1_000_000 for path in folder.glob("*.jsonl"))


def test_lines_without_a_trial_of_the_preset_raise(tmp_path):
    with pytest.raises(ValueError, match="no trial of the preset correct"):
        write_evidence([line("none", preset="as_published")], tmp_path)
