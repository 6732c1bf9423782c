"""The suite ``chexpert``, on small files of its format."""

from tests.support.official_formats import write_chexpert, write_nih
from tests.support.suite_runs import experiments_of, run_and_report


def test_it_has_the_seventeen_experiments_and_is_tested_on_chestxray14_too(tmp_path, capsys):
    findings = ["No Finding"] * 60 + ["Lung Lesion", "Pneumothorax", "Fracture", "Pneumonia", "Cardiomegaly"] * 30
    training = [(i, "Frontal", {name: "1.0"}, "kept") for i, name in enumerate(findings)]
    data, external = write_chexpert(tmp_path / "chexpert", training), write_nih(tmp_path / "nih")
    experiments = experiments_of("chexpert", data, tmp_path / "out", image_size=16)
    assert len(experiments) == 17
    # planned with all images: a tenth is not taken off the 60 normal ones
    assert experiments[0].counts["Normal"] == 60
    assert all(e.counts["Lung Lesion"] == min(e.counts.values()) for e in experiments)
    options = ["--data-dir", data, "--external", external, "--model", "convnet", "--image-size", "16"]
    records = run_and_report("chexpert", tmp_path / "out", options, ["interclass", "both-multiple-Fracture"])
    assert set(records[0]["chosen"]) == {"validation", "CheXpert test", "ChestX-ray14"}
    assert records[0]["selection"]["frontal"] == 210
    assert "210 frontal" in capsys.readouterr().out
