"""The suite ``medmnist``, on a small file of its format."""

from tests.support.official_formats import write_medmnist
from tests.support.suite_runs import experiments_of, run_and_report


def test_it_has_an_experiment_for_each_majority_against_the_normal_label(tmp_path):
    labels = {part: [[i % 3] for i in range(count)] for part, count in (("train", 120), ("val", 12), ("test", 9))}
    file = write_medmnist(tmp_path / "bloodmnist.npz", labels)
    experiments = experiments_of("medmnist", file, tmp_path / "out", normal="1")
    assert len(experiments) == 5
    assert [experiment.classes["normal"] for experiment in experiments] == [("1",)] * 5
    options = ["--data-dir", file, "--normal", "1"]
    run_and_report("medmnist", tmp_path / "out", options, ["interclass", "both-single-2"])
