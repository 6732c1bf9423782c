from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks.compare.session import describe_seconds, keep_options, make_runs
from benchmarks.compare.splits import split
from benchmarks.sweep.store import Results
from tests.benchmarks.compare.test_comparison import BEST, make_all, make_comparison


class _Records(Results):
    """Results whose runs were not trained: the scores of each image say its class, or nothing where the method is dead."""

    def __init__(self, folder, dead=()):
        super().__init__(folder)
        self._dead = dead

    def arrays(self, identity):
        labels = np.repeat([0, 1, 2], [12, 4, 2])
        rng = np.random.default_rng(crc32(identity.encode()))
        scores = rng.dirichlet([1, 1, 1], len(labels)) * 0.5 + 0.5 * np.eye(3)[labels]
        if any(identity.startswith(f"{name}-") for name in self._dead):
            scores = np.full_like(scores, 1 / 3)
        parts = {"labels": labels, "scores": scores}
        return {f"{part}_{name}": value for part in ("validation", "test") for name, value in parts.items()}


def finished(folder, monkeypatch, **options):
    """A comparison whose runs are all made, and its results."""
    comparison, results = make_comparison(budget=1.0), _Records(folder, **options)
    make_all(comparison, results.records, seconds=10.0)
    environment = {"device": "cpu", "torch": "2", "clesmote-losses": "0"}
    for line in results.records.values():
        line["environment"] = environment
    monkeypatch.setattr(results, "reload", lambda: None)
    return comparison, results


def test_the_report_says_what_was_done(tmp_path, monkeypatch):
    comparison, results = finished(tmp_path, monkeypatch)
    make_runs(comparison, results, torch.device("cpu"), Console(quiet=True))
    text = (tmp_path / "report.md").read_text()
    assert "Images: a 60, b 20, c 12." in text
    assert "3 splits, folds of repeated stratified 5-fold splits." in text
    first = split(comparison.source, 0, 7)
    tested = first.tests["test"].members.sum(0)
    assert f"training {', '.join(map(str, first.left.values()))}; validation 12, 4, " in text
    assert f"; test {', '.join(map(str, tested))}." in text
    assert f"No method {BEST['none']:g}, Vanilla SMOTE {BEST['smote']:g}, CLE-SMOTE {BEST['cle-smote']:g}" in text
    assert "2 min on cpu; seed 7" in text
    assert "learnt nothing" not in text


def test_runs_that_learnt_nothing_are_named(tmp_path, monkeypatch):
    comparison, results = finished(tmp_path, monkeypatch, dead=["smote"])
    make_runs(comparison, results, torch.device("cpu"), Console(quiet=True))
    text = (tmp_path / "report.md").read_text()
    assert "3 of 9 runs have learnt nothing: all images have the same score (Vanilla SMOTE 3)" in text


def test_options_are_those_of_the_first_command_once_there_are_runs(tmp_path):
    first, results = make_comparison(), Results(tmp_path)
    other = replace(first, seed=8)
    keep_options(first, results)
    keep_options(other, results)  # nothing was made yet
    results.records["a"] = {}
    keep_options(other, results)
    with pytest.raises(ValueError, match="holds a comparison with other seed"):
        keep_options(first, results)
    with pytest.raises(ValueError, match="holds a comparison with other seed and steps"):
        keep_options(replace(first, settings=replace(first.settings, steps=6)), results)
    keep_options(replace(other, budget=5.0), results)  # a larger budget adds splits


def test_lines_without_options_are_those_of_another_command(tmp_path):
    results = Results(tmp_path)
    results.records["a"] = {}
    with pytest.raises(ValueError, match=r"holds runs of another command \(compare.json"):
        keep_options(make_comparison(), results)


@pytest.mark.parametrize(("seconds", "text"), [(20, "20 s"), (600, "10 min"), (7200, "2.0 h")])
def test_a_time_is_described(seconds, text):
    assert describe_seconds(seconds) == text
