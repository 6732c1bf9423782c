"""How long runs will take, before the first one."""

import re
from dataclasses import replace

import pytest
import torch

from benchmarks.data.experiments import of_classes
from benchmarks.methods.registry import METHODS
from benchmarks.sweep import estimate
from benchmarks.sweep.estimate import estimate_time
from benchmarks.training.controlled import Settings
from benchmarks.training.run import Run
from tests.support.benchmark_images import small_source

CPU = torch.device("cpu")


@pytest.fixture
def runs():
    settings = Settings(steps=600, epochs=10, batch_size=8)
    experiment = of_classes("x", {"a": 30, "b": 10})
    return [Run("folder", small_source(), experiment, METHODS[name], settings, 0) for name in ("none", "smote")]


def test_the_time_is_that_of_all_steps_and_of_the_tests_between_them(runs, monkeypatch):
    ticks = iter([0.0, 2.0] * 3)  # two steps take two seconds
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(ticks))
    trial = runs[0].draw()
    tested = len(trial.tests["test"]) + len(trial.validation)
    of_run = 600 + 10 * tested / 8 / 3
    assert estimate_time(runs, 0, CPU) == f"about {2 * of_run / 60:.0f} min (1000 ms a step)"
    assert estimate_time(runs, 8, CPU) == f"about {10 * of_run / 3600:.1f} h (1000 ms a step)"
    assert estimate_time(runs, 8, CPU, jobs=5) == f"about {2 * of_run / 60:.0f} min (1000 ms a step)"


def test_the_steps_are_measured_and_leave_random_numbers_as_they_were(runs):
    state = torch.get_rng_state()
    short = [replace(run, settings=replace(run.settings, steps=20, epochs=2)) for run in runs]
    told = estimate_time(short, 0, CPU)
    assert re.fullmatch(r"about (a minute at most|\d+ min) \(\d+ ms a step\)", told)
    assert torch.equal(torch.get_rng_state(), state)
    assert estimate_time([], 3, CPU) == ""


def test_of_a_frozen_network_the_features_are_what_takes_time(runs, monkeypatch):
    ticks = iter([0.0, 2.0])
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(ticks))
    settings = replace(runs[0].settings, model="test_resnet", frozen=True)
    frozen = [replace(run, source=small_source(size=32), settings=settings) for run in runs]
    trial = runs[0].draw()
    tested = len(trial.tests["test"]) + len(trial.validation)
    minutes = (10 * 2 * 30 + tested) / 8 / 60  # both classes raised to 30
    assert estimate_time(frozen, 8, CPU) == f"about {minutes:.0f} min (1000 ms a batch of features)"
