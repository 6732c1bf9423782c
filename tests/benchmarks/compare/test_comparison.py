from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from benchmarks.compare.comparison import Comparison
from benchmarks.compare.splits import split
from benchmarks.methods.pretrained import Weights
from benchmarks.metrics import auroc
from benchmarks.training.controlled import Settings
from tests.benchmarks.compare.test_splits import own_images

LRS = (1e-3, 1e-2)
BEST = {"none": 1e-2, "smote": 1e-3, "cle-smote": 1e-2}
METHODS = tuple(BEST)
SECONDS = {"none": 1.0, "smote": 1.0, "cle-smote": 1.4}


@pytest.fixture
def comparison():
    """A comparison in which nothing was made yet."""
    return make_comparison()


def make_comparison(**options):
    source = own_images([60, 20, 12])
    settings = Settings(steps=5, epochs=1, batch_size=8)
    return Comparison(source, METHODS, settings, LRS, 7, **{"budget": 1000.0, "run_seconds": SECONDS, **options})


def record(run, *, seconds=1.0, auroc=0.5):
    """What a run would leave behind."""
    return {"id": run.id, "config": run.config, "seconds": {"all": seconds}, "last": {"validation": {"auroc": auroc}}}


def make_all(comparison, records, *, most=1000, **options):
    """Make runs one at a time, as work() does; return them in their order."""
    made = []
    while len(made) < most:
        runs, waiting = comparison.ready(records)
        missing = [run for run in runs if run.id not in records]
        if not missing:
            assert not waiting
            return made
        run = missing[0]
        auroc = 0.9 if run.settings.lr == BEST[run.method.name] else 0.5
        records[run.id] = record(run, auroc=auroc, **options)
        made.append(run)
    return made


def test_the_learning_rates_come_first_and_then_split_by_split(comparison):
    records = {}
    made = make_all(comparison, records, seconds=200.0)
    assert [(run.method.name, run.settings.lr) for run in made[:6]] == [(m, lr) for m in METHODS for lr in LRS]
    assert comparison.learning_rates(records) == BEST
    assert [(run.seed - 7, run.method.name) for run in made[6:]] == [(n, m) for n in (1, 2) for m in METHODS]
    assert all(run.settings.lr == BEST[run.method.name] for run in made[6:])


def test_all_methods_of_a_split_share_its_images(comparison):
    made = make_all(comparison, {}, seconds=200.0)
    for number in range(3):
        wanted = split(comparison.source, number, 7).digest
        assert {run.source.digest for run in made if run.seed == 7 + number} == {wanted}


@pytest.mark.parametrize(("budget", "splits"), [(1.0, 3), (14.9, 3), (15.0, 4), (17.9, 4), (24.0, 7)])
def test_another_split_is_begun_only_if_there_is_time_for_all_of_it(budget, splits):
    made = make_all(make_comparison(budget=budget), {})  # a second each
    assert len(made) == 3 + 3 * splits


def test_the_time_of_earlier_calls_counts():
    records = {}
    made = make_all(make_comparison(budget=1e6), records, most=12, seconds=100.0)  # three whole splits, 1200 seconds
    assert len(made) == 12
    assert make_comparison(budget=1400.0).ready(records)[1] == 0
    runs, waiting = make_comparison(budget=1550.0).ready(records)
    assert waiting
    assert {run.seed - 7 for run in runs} == {3}


def test_it_continues_where_it_was_cut_off(comparison):
    whole = [run.id for run in make_all(comparison, {}, seconds=200.0)]
    records = {}
    make_all(make_comparison(), records, most=8, seconds=100.0)
    rest = [run.id for run in make_all(make_comparison(), records, seconds=100.0)]
    assert len(whole) == 12
    assert rest == whole[8:]


def test_only_whole_splits_count(comparison):
    records = {}
    make_all(comparison, records, most=8, seconds=100.0)  # two for each learning rate, two of the next split
    (split_of,) = comparison.whole_splits(records)
    assert list(split_of) == list(METHODS)
    assert {r["config"]["seed"] for r in split_of.values()} == {7}


def test_a_split_that_begins_is_told_once():
    told, comparison = [], make_comparison(budget=1.0)
    comparison.on_split = lambda number, planned: told.append((number, planned))
    make_all(comparison, {}, seconds=200.0)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_estimate_gives_way_to_what_was_measured(comparison):
    assert comparison.split_seconds({}) == pytest.approx(3.4)
    assert comparison.least_seconds() == pytest.approx((1 + 3) * 3.4)
    records = {}
    make_all(comparison, records, most=12, seconds=50.0)
    assert comparison.split_seconds(records) == 150.0


def test_steps_on_triplets_take_longer(comparison):
    comparison.estimate(0.5)
    trial = comparison.first_run().draw()
    passes = 5 + (len(trial.validation) + len(trial.tests["test"])) / 8 / 3
    assert comparison.run_seconds == pytest.approx({"none": passes / 2, "smote": passes / 2, "cle-smote": 0.7 * passes})


def test_a_frozen_network_computes_the_features_of_real_images_once(comparison):
    comparison.settings = replace(comparison.settings, frozen=True)
    comparison.methods = ("none", "smote")
    comparison.estimate(4.0)
    images, (large, *others) = len(comparison.source.images), comparison.first_run().experiment.counts.values()
    assert comparison.start_seconds == pytest.approx(4 * images / 8)
    synthetic = sum(large - count for count in others)
    assert comparison.run_seconds["none"] < 0.1
    assert comparison.run_seconds["smote"] - comparison.run_seconds["none"] == pytest.approx(4 * synthetic / 8)


@pytest.fixture(params=["convnet", "frozen"])
def settings(request, tmp_path):
    """Settings of a network from random weights, and of a frozen one from a file."""
    if request.param == "convnet":
        return Settings(steps=5, epochs=1, batch_size=8)
    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    return Settings(model="test_resnet", steps=5, epochs=1, batch_size=8, weights=Weights.read(weights), frozen=True)


def test_a_run_keeps_the_scores_of_its_last_epoch(comparison, settings):
    images = np.random.default_rng(0).integers(0, 255, (len(comparison.source.images), 32, 32, 3), dtype=np.uint8)
    comparison.source, comparison.settings = replace(comparison.source, images=images), settings
    line, arrays = comparison.first_run().make(torch.device("cpu"))
    data = split(comparison.source, 0, 7)
    assert np.array_equal(arrays["test_labels"], data.tests["test"].members.argmax(1))
    assert arrays["validation_scores"].shape == (data.held_out.sum(), 3)
    assert np.ptp(arrays["test_scores"][:, 0]) > 1e-4
    assert line["last"]["test"]["auroc"] == pytest.approx(auroc(arrays["test_labels"], arrays["test_scores"]), abs=1e-6)
