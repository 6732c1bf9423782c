"""``python -m benchmarks run``: its options, and the runs that come of them."""

import json

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

from benchmarks.__main__ import main
from benchmarks.data.image_files import image_files, read_images
from benchmarks.sweep.command import FROZEN_RATES, PRETRAINED_RATES
from benchmarks.training.evaluation import on_device, predict, to_input
from clesmote_losses.restore import preserved_rng
from tests.support.tiny_runs import command, lines, write_waves


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_waves(tmp_path_factory.mktemp("waves"))


def test_without_validation_all_images_are_trained_on(data, tmp_path):
    main(command(data, tmp_path, "--methods", "none", "--no-tuning", "--no-validation", "--trials", "1"))
    (record,) = lines(tmp_path)
    assert record["config"]["experiment"]["counts"]["well"] == 60 > 54  # a tenth would be held out
    assert set(record["chosen"]) == {"test"}


def test_wrong_labels_are_those_of_every_method_and_stand_in_the_line(data, tmp_path):
    options = ["--methods", "none", "smote", "--no-tuning", "--trials", "1"]
    main(command(data, tmp_path, *options))
    main(command(data, tmp_path, *options, "--label-noise", "0.5"))
    clean, _, *noisy = lines(tmp_path)
    assert len(noisy) == 2
    for record in noisy:
        drawn = record["config"]["experiment"]
        assert (drawn["label_noise"], drawn["wrong_labels"]) == (0.5, {"cough": 1, "fever": 1})
        assert drawn["validation_counts"] == clean["config"]["experiment"]["validation_counts"]


def test_weights_are_kept_so_that_timm_loads_them(data, tmp_path):
    main(
        command(
            data,
            tmp_path,
            "--methods",
            "none",
            "--no-tuning",
            "--save-weights",
            "--model",
            "test_resnet",
            "--image-size",
            "32",
        )
    )
    record = lines(tmp_path)[0]
    model = timm.create_model(
        "test_resnet", num_classes=2, checkpoint_path=tmp_path / "runs" / f"{record['id']}.safetensors"
    )
    files = {name: image_files(data / "test" / name) for name in ("well", "cough", "fever")}
    images = read_images([file for found in files.values() for file in found], 32)
    labels = np.repeat([0, 1, 1], 12)
    scores = predict(model, on_device(images, torch.device("cpu")), to_input)
    assert roc_auc_score(labels, scores[:, 1]) == pytest.approx(record["chosen"]["test"]["auroc"], abs=1e-6)


@pytest.mark.parametrize(
    ("more", "rates"),
    [([], PRETRAINED_RATES), (["--frozen"], FROZEN_RATES), (["--frozen", "--label-noise", "0.5"], FROZEN_RATES)],
)
def test_a_file_of_weights_is_tuned_at_its_own_rates_and_gives_a_report(data, tmp_path, more, rates):
    with preserved_rng(seed=5):
        save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "w.safetensors")
    given = ["--model", "test_resnet", "--weights", str(tmp_path / "w.safetensors"), "--image-size", "32"]
    main(command(data, tmp_path, "--methods", "oversampling", "--trials", "1", *given, *more))
    *tuning, trial = lines(tmp_path)
    assert [record["config"]["settings"]["lr"] for record in tuning] == list(rates)
    assert trial["config"]["learning_rates"] == list(rates)
    assert str(tmp_path) not in json.dumps(trial)
    main(["report", str(tmp_path)])
    text = (tmp_path / "report.md").read_text()
    assert f"digest {trial['config']['settings']['weights']}" in text
    assert ("frozen: a new linear head" in text) == bool(more)
    assert ("50% wrong labels in the rare strata (1 of cough, 1 of fever)" in text) == (len(more) > 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "smot"], "no method 'smot'; there are none, oversampling"),
        (["--experiments", "intercalss"], "no experiment 'intercalss' in folder; there are interclass"),
        (["--normal", "wel"], "--normal wel is no class: which of cough, fever, well are all others compared with?"),
        (["--model", "resnet_of_mine"], "timm has no model 'resnet_of_mine'"),
        (["--steps", "1"], "--steps 1 must be at least --epochs 2"),
        (["--lr", "-1"], "wanted a finite number above 0"),
        (["--trials", "0"], "wanted a number of 1 or more"),
        (["--device", "quantum"], "--device quantum cannot be used"),
        (["--data-dir", "{data}/train"], "has no folder train/"),
        (["--out", "{data}/test/well/0000.png"], "cannot be written to: Not a directory"),
        (["--preset", "as_published"], "is fixed by preset as_published: leave it out"),
        (["--external", "{data}"], "--external belongs to chexpert, and folder does not have it"),
        (["--no-tuning", "--lr", "1e-3", "1e-2"], "--no-tuning takes one --lr"),
        (["--label-noise", "1"], "wanted a share, from 0 on and below 1"),
        (["--label-noise", "0.1"], "of its rare strata (cough, fever) it is less than one image"),
        (["--frozen", "--methods", "none"], "--frozen needs --weights"),
        (["--weights", "{data}/none.safetensors"], "--weights {data}/none.safetensors cannot be read: No such file"),
        (["--weights", "{data}/train/well/0000.png"], "--weights needs a network of timm; got --model convnet"),
        (["--model", "test_resnet", "--weights", "{data}/train/well/0000.png"], "holds no weights that timm reads"),
        (["--frozen", "--weights", "{data}/train/well/0000.png"], "and cle-smote pretrains the network: leave it out"),
        (
            ["--frozen", "--weights", "{data}/train/well/0000.png", "--augmentation", "shift", "--methods", "none"],
            "leave --augmentation out",
        ),
        (["--noisy-validation"], "--noisy-validation needs --label-noise above 0"),
        (["--image-size", "8"], "convnet takes images of 16x16 and more"),
    ],
)
def test_a_mistake_ends_in_one_line_that_says_what_to_do(options, message, data, tmp_path, capsys):
    options = [option.format(data=data) for option in options]
    with pytest.raises(SystemExit) as end:
        main(command(data, tmp_path, *options))
    printed = capsys.readouterr()
    assert end.value.code == 2
    assert message.format(data=data) in printed.err
    assert printed.err.count("\n") == 1


def test_as_published_is_of_one_suite(data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(
            [
                "run",
                "folder",
                "--normal",
                "well",
                "--data-dir",
                str(data),
                "--out",
                str(tmp_path),
                "--preset",
                "as_published",
            ]
        )
    assert "preset as_published belongs to cifar10-ablation" in capsys.readouterr().err
