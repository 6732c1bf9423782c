"""The suite ``kermany``, on small files of its format."""

from tests.support.official_formats import xray
from tests.support.suite_runs import experiments_of, run_and_report


def test_it_has_five_experiments_three_rarer_ones_and_trains_on_no_patient_of_the_test_images(tmp_path):
    data = tmp_path / "data"
    for first, (part, count) in enumerate((("train", 40), ("val", 2), ("test", 5))):
        for name, stem in (
            ("normal", "IM-{}-0001"),
            ("bacteria", "person{}_bacteria_1"),
            ("virus", "person{}_virus_1"),
        ):
            for i in range(count):
                number = 1000 * first + 300 * (name == "virus") + i
                xray(data / part / name / f"{stem.format(number)}.jpeg", i)
    xray(data / "train" / "virus" / "person2300_virus_9.jpeg")  # a patient with a test image
    experiments = experiments_of("kermany", data, tmp_path / "out", image_size=16)
    assert [e.name for e in experiments[5:]] == ["interclass-100", "both-single-bacteria-100", "both-single-virus-100"]
    options = ["--data-dir", data, "--image-size", "16"]
    records = run_and_report("kermany", tmp_path / "out", options, ["interclass", "both-single-virus"])
    assert list(records[0]["selection"].values()) == [127, 126]
