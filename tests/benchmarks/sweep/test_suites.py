"""Every suite, run through the command line on small files of its format."""

import pytest

from benchmarks.__main__ import main
from benchmarks.sweep.store import read_records
from tests.support.benchmark_images import write_folder
from tests.support.official_formats import write_chexpert, write_medmnist, write_nih, xray


def prepared(suite, folder):
    """What the suite needs, small, and the options that name it."""
    match suite:
        case "chexpert":
            found = ["No Finding"] * 60 + ["Lung Lesion", "Pneumothorax", "Fracture", "Pneumonia", "Cardiomegaly"] * 30
            training = [(i, "Frontal", {name: "1.0"}, "kept") for i, name in enumerate(found)]
            write_chexpert(folder / "chexpert", training)
            return [
                "--data-dir",
                folder / "chexpert",
                "--external",
                write_nih(folder / "nih"),
                "--model",
                "convnet",
                "--image-size",
                "16",
            ]
        case "cifar10-17":
            classes = ["airplane", "automobile", "bird", "cat", "deer", "dog"]
            return ["--data-dir", write_folder(folder, dict.fromkeys(classes, 40), tested=4)]
        case "kermany":
            for part, count in (("train", 40), ("val", 2), ("test", 5)):
                for name, stem in (
                    ("normal", "IM-{}-0001"),
                    ("bacteria", "person{}_bacteria_1"),
                    ("virus", "person{}_virus_1"),
                ):
                    for i in range(count):
                        number = 1000 * ["train", "val", "test"].index(part) + 300 * (name == "virus") + i
                        xray(folder / part / name / f"{stem.format(number)}.jpeg", i)
            return ["--data-dir", folder, "--image-size", "16"]
        case "medmnist":
            labels = {
                "train": [[i % 3] for i in range(120)],
                "val": [[i % 3] for i in range(12)],
                "test": [[i % 3] for i in range(9)],
            }
            return ["--data-dir", write_medmnist(folder / "bloodmnist.npz", labels), "--normal", "1"]


@pytest.mark.parametrize("suite", ["chexpert", "cifar10-17", "kermany", "medmnist"])
def test_every_suite_runs_and_is_reported(suite, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    options = [str(option) for option in prepared(suite, tmp_path / "data")]
    out = tmp_path / "out"
    main([
        "run", suite, *options, "--out", str(out), "--methods", "none", "cle-smote", "--trials", "1", "--no-tuning", "--lr", "1e-3",
        "--steps", "5", "--epochs", "1", "--batch-size", "4",
    ])  # fmt: skip
    records = list(read_records(out).values())
    experiments = {record["config"]["experiment"]["name"] for record in records}
    assert len(experiments) == {"chexpert": 17, "cifar10-17": 17, "kermany": 5, "medmnist": 5}[suite]
    assert len(records) == len(experiments) * 2
    if suite == "chexpert":
        assert set(records[0]["chosen"]) == {"validation", "CheXpert test", "ChestX-ray14"}
        assert records[0]["selection"]["frontal"] == 210
        assert "210 frontal" in capsys.readouterr().out
    main(["report", str(out)])
    text = (out / "report.md").read_text()
    assert "Interclass | CLE-SMOTE |" in text
    assert "less each other method" in text


def test_the_ablation_says_how_many_images_it_needs(tmp_path, capsys):
    folder = write_folder(tmp_path / "few", {"airplane": 8, "cat": 8, "automobile": 8}, tested=2)
    with pytest.raises(SystemExit):
        main(["run", "cifar10-ablation", "--data-dir", str(folder), "--out", str(tmp_path / "out")])
    assert "5000 training images of class 'airplane' are wanted; there are 8" in capsys.readouterr().err
