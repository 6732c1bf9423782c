"""The suite ``cifar10-17``, on small images."""

from tests.support.benchmark_images import write_folder
from tests.support.suite_runs import experiments_of, run_and_report


def test_it_has_the_seventeen_experiments_and_bird_is_in_no_majority(tmp_path):
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog"]
    data = write_folder(tmp_path / "data", dict.fromkeys(classes, 40), tested=4)
    experiments = experiments_of("cifar10-17", data, tmp_path / "out")
    assert len(experiments) == 17
    assert all(e.counts["bird"] == min(e.counts.values()) for e in experiments)
    run_and_report("cifar10-17", tmp_path / "out", ["--data-dir", data], ["interclass", "both-multiple-dog"])
