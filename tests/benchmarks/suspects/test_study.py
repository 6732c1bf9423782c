"""A cell of the study on few images of colours."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import benchmarks.suspects.study as study
from benchmarks.suspects.study import make_record, make_run, networks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("cifar"), np.random.default_rng(0)
    for part, name in [(part, name) for part in ("train", "test") for name in ("airplane", "automobile")]:
        (root / part / name).mkdir(parents=True)
        for i in range(70 if part == "train" else 1):
            pixels = rng.integers(0, 120, (32, 32, 3), dtype=np.uint8)
            pixels[..., 0 if name == "airplane" else 2] += 120
            Image.fromarray(pixels).save(root / part / name / f"{i}.png")
    return root


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(study, "FREQUENT", 50)
    monkeypatch.setattr(study, "RARE", 20)


def tiny(**options):
    network = networks(None)["convnet"]
    return replace(network, settings=replace(network.settings, steps=20, **options))


def test_a_cell_knows_which_labels_are_wrong_and_scores_every_candidate(folder, few):
    run = make_run("automobile", tiny(), folder, 0.3, 0)
    trial = run.draw()
    truth = run.source.stratum[trial.train.indices]
    assert (truth[trial.train.labels == 1] == 0).sum() == 6
    record = make_record(run)
    assert (record["wrong"], record["images"]) == (6, 20)
    assert set(record["precision"]) == set(record["auroc"]) >= {"loss", "suspects()"}
    assert record["precision"]["suspects()"] >= 5 / 6  # colours are plain to see
    assert record["id"] != make_run("automobile", tiny(), folder, 0.3, 1).id


def test_a_frozen_network_is_inspected_as_it_was_trained(folder, few):
    settings = {"model": "test_resnet", "frozen": True}
    record = make_record(make_run("automobile", tiny(**settings), folder, 0.3, 0))
    assert record["precision"]["head"] >= 5 / 6


def test_the_frozen_network_needs_weights(tmp_path):
    assert list(networks(None)) == ["convnet"]
    with pytest.raises(ValueError, match="cannot be read"):
        networks(tmp_path / "none.safetensors")
