"""The report that a run of timm's script leaves in its folder."""

import csv
import logging
import re
import sys
from argparse import Namespace
from pathlib import Path

import pandas as pd
import pytest
import torch

from clesmote_losses.hosts.timm import main
from clesmote_losses.hosts.timm.report import ReportStage
from clesmote_losses.inspection import report
from tests.support.colored_blobs import colors, smote, trained
from tests.support.gloo import launch
from tests.support.timm_runs import KINDS, SMOTE, command, losses, run

REPORT = [*SMOTE, "--smote-report"]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says about reports."""
    return [text for record in caplog.records if "report" in (text := record.getMessage())]


@pytest.mark.parametrize("kind", KINDS)
def test_reports_are_written_at_each_best_checkpoint_and_at_the_end_and_do_not_change_the_training(
    kind: str, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "clesmote_losses"):
        reported = run(kind, data, tmp_path / "reported", REPORT, "--epochs", "2")
    alone = run(kind, data, tmp_path / "alone", SMOTE, "--epochs", "2")
    assert losses(reported) == losses(alone)
    folder = tmp_path / "reported" / "run"
    notes = [re.search(r"written in \d+\.\d s\. (.*)", text) for text in said(caplog)]
    assert notes[0] is not None
    assert notes[0][1] == "Network after epoch 0, the best checkpoint so far."
    assert notes[-1] is not None
    assert notes[-1][1].startswith("Network after the last epoch")
    assert notes[-1][1] in (folder / "report.html").read_text()
    of_best = [note[1] for note in notes if note is not None and "best checkpoint" in note[1]]
    assert of_best[-1] in (folder / "report-best.html").read_text()
    for name in ("suspects.csv", "suspects-best.csv"):
        suspects = pd.read_csv(folder / name)
        assert suspects["score"].is_monotonic_decreasing
        assert all(Path(file).is_file() for file in suspects["file"])


@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_report_of_the_best_checkpoint_is_kept_beside_that_of_the_last_epoch(
    best: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three epochs, of which each up to the best is better than that before."""
    monkeypatch.setattr(report, "write_report", lambda inspection, path, note: Path(path).write_text(note))
    stage = ReportStage()
    train_set, arguments = smote(colors()), Namespace(batch_size=16, workers=0)
    for epoch in range(3):
        given = {"epoch": epoch, "args": arguments, "model": trained(), "output_dir": str(tmp_path)}
        stage.begin_epoch(given, None, train_set, None)
        if epoch <= best:
            (tmp_path / "model_best.pth.tar").write_bytes(b"w" * (epoch + 1))
    stage.finish()
    last = "Network after the last epoch, 2, the best checkpoint." if best == 2 else "Network after the last epoch, 2."
    assert (tmp_path / "report.html").read_text() == last
    of_best = last if best == 2 else f"Network after epoch {best}, the best checkpoint so far."
    assert (tmp_path / "report-best.html").read_text() == of_best
    assert {path.name for path in tmp_path.glob("suspects*")} == {"suspects.csv", "suspects-best.csv"}


def test_a_report_that_fails_is_logged_and_the_training_goes_on(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **options: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(report, "write_report", fail)
    rows = run(KINDS[-1], data, tmp_path, REPORT, "--epochs", "2")
    assert len(losses(rows)) > 1
    assert "no report. The training goes on." in caplog.text
    assert "the disk is full" in caplog.text
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_run_without_a_cap_has_a_report_that_says_so(data: Path, tmp_path: Path) -> None:
    run(KINDS[-1], data, tmp_path, ["--smote", "smote", "--smote-report", "--cap", "none"])
    assert "No synthetic image has a cap: this is plain SMOTE." in (tmp_path / "run" / "report.html").read_text()


def test_classes_have_the_names_of_their_folders(data: Path, tmp_path: Path) -> None:
    run(KINDS[-1], data, tmp_path, REPORT)
    with (tmp_path / "run" / "suspects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["class_name"] for row in rows} == {Path(row["file"]).parent.name for row in rows}
    assert f", labelled {rows[0]['class_name']}" in (tmp_path / "run" / "report.html").read_text()


def train(rank: int, arguments: list[str]) -> list[str]:
    torch.set_num_threads(1)
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("clesmote_losses")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    modules = set(sys.modules)
    main(arguments)
    for name in {"script_arguments", "task_train", "old_train"} - modules:
        sys.modules.pop(name, None)  # this process serves other tests
    logger.removeHandler(handler)
    return [text for text in messages if "report" in text]


@pytest.mark.slow
def test_in_two_processes_both_take_part_and_one_writes(data: Path, tmp_path: Path) -> None:
    arguments = [*REPORT, *command(KINDS[-1], data, tmp_path)]
    first, second = launch(train, tmp_path, arguments)
    assert any("written in" in text for text in first)
    assert second == []
    assert (tmp_path / "run" / "report.html").exists()
