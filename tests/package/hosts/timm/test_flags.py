"""The options as flags, errors in the words of the command line, and flags of train.py that the method excludes."""

import dataclasses
import re
from argparse import Namespace
from pathlib import Path

import pytest
import torch
import yaml
from imblearn.over_sampling import SMOTE
from torch.utils.data import TensorDataset

from clesmote_losses import SMOTEDataset
from clesmote_losses.errors import Argument
from clesmote_losses.hosts.options import Options
from clesmote_losses.hosts.timm.flags import (
    check_script_arguments,
    errors_as_flags,
    flag_parser,
    misplaced_flag,
    write_as_flag,
)
from tests.support.timm_runs import KIND, run

ON = Options(smote="smote")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"cap_beta": 2.0},
            "--cap-beta needs synthetic samples: add --smote {smote,borderline,adasyn,over}, or --smote-plan",
        ),
        ({"smote": "smote", "cap": "none", "cap_beta": 2.0}, "--cap-beta has no effect with --cap none"),
        ({"smote": "smote", "triplet_margin": 1.0}, "--triplet-margin has no effect without --triplet-epochs"),
        ({"smote": "smote", "triplet_epochs": -1}, "--triplet-epochs must be 0 or more; got -1"),
        ({"smote": "smote", "cap": "constant", "cap_gradient": "flow"}, "--cap constant has none"),
        ({"smote": "none", "cap": "constant"}, "--smote none turns the method off: drop its other options"),
        ({"smote": "svm"}, "--smote must be one of ('smote', 'borderline', 'adasyn', 'over', 'none'); got 'svm'"),
    ],
)
def test_errors_of_the_options_name_the_flags(given, message):
    with pytest.raises(SystemExit, match=re.escape(message)), errors_as_flags():
        Options.from_given(given)


def test_the_readme_lists_every_flag():
    table = (Path(__file__).parents[4] / "integrations" / "README.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("| `--")]
    for field in dataclasses.fields(Options):
        assert any(re.search(rf"`--{field.name.replace('_', '-')}[ `]", row) for row in rows), field.name


def test_flags_are_parsed_to_options_of_their_names_and_survive_yaml():
    line = "--smote adasyn --smote-k 3 --smote-image-size 64x48 --cap euclidean --cap-beta 2 --triplet-epochs 1 train.py --lr 1 -c x"
    given = vars(flag_parser().parse_args(line.split()))
    assert given.pop("script") == "train.py"
    assert given.pop("arguments") == ["--lr", "1", "-c", "x"]
    options = Options.from_given(given)
    assert options == Options("adasyn", 3, smote_image_size="64x48", cap="euclidean", cap_beta=2.0, triplet_epochs=1)
    assert Options.from_given(yaml.safe_load(yaml.safe_dump(options.recorded()))) == options


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        ({"mixup": 0.2}, "--mixup"),
        ({"cutmix": 1.0}, "--cutmix"),
        ({"cutmix_minmax": [0.2, 0.8]}, "--cutmix-minmax"),
        ({"aug_splits": 3}, "--aug-splits"),
        ({"jsd_loss": True}, "--jsd-loss"),
        ({"bce_loss": True}, "--bce-loss"),
        ({"kd_model_name": "resnet50"}, "--kd-model-name"),
        ({"naflex_loader": True}, "--naflex-loader"),
        ({"torchscript": True}, "--torchscript"),
        ({"dataset": "hfds/mnist"}, "--dataset hfds/mnist"),
        ({"dataset": "wds/train"}, "--dataset wds/train"),
        ({"dataset": "tfds/mnist"}, "--dataset tfds/mnist"),
        ({"dataset": "hfids/mnist"}, "--dataset hfids/mnist"),
    ],
)
def test_a_flag_that_the_method_excludes_is_refused_by_name(arguments, flag):
    with pytest.raises(ValueError, match=f"^{flag} .*: drop it"):
        check_script_arguments(Namespace(**arguments), ON)


def test_all_other_flags_pass():
    off = {
        "mixup": 0.0,
        "cutmix": 0.0,
        "cutmix_minmax": None,
        "aug_splits": 0,
        "dataset": "torch/cifar10",
        "bce_loss": False,
    }
    check_script_arguments(Namespace(**off, use_multi_epochs_loader=True), ON)
    check_script_arguments(Namespace(), ON)  # a script may lack any of these flags


def test_another_loss_than_cross_entropy_passes_where_nothing_is_capped():
    check_script_arguments(Namespace(bce_loss=True), Options(smote="smote", cap="none"))


def test_a_loader_that_reads_ahead_excludes_redraws():
    with pytest.raises(ValueError, match="--use-multi-epochs-loader reads ahead"):
        check_script_arguments(Namespace(use_multi_epochs_loader=True), Options(smote="smote", smote_redraw="epoch"))


def test_a_flag_of_the_method_among_those_of_the_script_is_found():
    assert misplaced_flag(["--lr", "1", "--cap-beta=2"], "") == "--cap-beta"
    assert misplaced_flag(["--lr", "1", "--cap", "2"], "parser.add_argument('--cap')") is None  # the script's own


def base(images):
    return TensorDataset(images, torch.tensor([0] * 20 + [1] * 6 + [2] * 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"small_class": "error"},
            "4 sample.*6 are needed for --smote-k 5 .*a smaller --smote-k, --smote-small-class shrink_k",
        ),
        ({"small_class": "duplicate", "plan": "other"}, "other options.*Pass only one of --smote-plan and --smote, or"),
        ({"plan": "strange"}, "--smote-plan: this plan was made for another data set"),
        (
            {"plan": "other", "sampler": None, "redraw": "epoch"},
            "--smote-redraw epoch with --smote-plan needs --smote too",
        ),
    ],
)
def test_errors_of_the_library_name_the_flags(options, message):
    images = torch.rand(30, 3, 4, 4)
    plans = {
        "other": SMOTEDataset(base(images), sampler=SMOTE(k_neighbors=2, random_state=0)).plan,
        "strange": SMOTEDataset(TensorDataset(images, torch.tensor([0] * 20 + [1] * 10))).plan,
    }
    options = {"sampler": SMOTE(random_state=0), **options, "plan": plans.get(options.get("plan"))}
    with pytest.raises(SystemExit, match=message), errors_as_flags():
        SMOTEDataset(base(images), **options)


def test_images_of_unequal_size_ask_for_the_flag():
    sizes = [torch.rand(3, 4 + i % 2, 4) for i in range(12)]
    items = [(image, int(i >= 8)) for i, image in enumerate(sizes)]
    with pytest.raises(SystemExit, match="pass --smote-image-size HxW"), errors_as_flags():
        SMOTEDataset(items, labels=[label for _, label in items], sampler=SMOTE(k_neighbors=2, random_state=0))


def test_a_bug_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="a bug"), errors_as_flags():
        raise RuntimeError("a bug")


@pytest.mark.parametrize("flag", [["--mixup", "0.2"], ["--bce-loss"]], ids=" ".join)
def test_an_excluded_flag_is_refused_before_anything_is_written(flag, data, tmp_path):
    with pytest.raises(SystemExit, match=f"{flag[0]} .*: drop it"):
        run(KIND, data, tmp_path / "out", ["--smote", "smote"], *flag)
    assert not (tmp_path / "out").exists()


def test_an_argument_that_is_no_flag_keeps_its_name():
    assert write_as_flag(Argument("m_neighbors")) == "m_neighbors"
    assert write_as_flag(Argument("num_classes")) == "--num-classes"
    assert write_as_flag(Argument("image_size", "(height, width)")) == "--smote-image-size HxW"
