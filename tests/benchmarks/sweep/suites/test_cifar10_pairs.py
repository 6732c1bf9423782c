"""The suite ``cifar10-pairs``."""

from dataclasses import replace

import numpy as np

from benchmarks.data.trials import draw, wrong_labels
from benchmarks.sweep.registry import SUITES
from tests.support.benchmark_images import small_source


def test_its_pairs_have_images_to_spare_for_wrong_labels():
    source = small_source(("airplane", "automobile", "cat", "dog"), count=5000, tested=2, size=2)
    for experiment in SUITES["cifar10-pairs"].experiments(source, True):
        frequent, rare = experiment.counts
        noisy = replace(experiment, label_noise=0.3)
        trial = draw(source, noisy, 0)
        assert np.bincount(trial.train.labels).tolist() == [4400, 44]
        assert wrong_labels(source, noisy, trial) == {rare: 13}
        assert frequent in ("airplane", "dog")
