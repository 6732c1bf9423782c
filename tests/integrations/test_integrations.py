"""The scripts in ``integrations``, run as a reader of them would."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from sklearn.metrics import roc_auc_score
from torchvision.datasets import ImageFolder

from tests.support.timm_runs import one_thread

FOLDER = Path(__file__).parents[2] / "integrations"


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=one_thread(), check=False)


def test_the_plain_loop_trains_and_tells_what_was_capped(data):
    done = python(FOLDER / "plain_loop.py", data, "--model", "test_resnet")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 0", "epoch 1", "epoch 2"]
    assert all(line.endswith("of 28 synthetic samples capped") for line in lines)


@pytest.mark.slow
def test_without_its_eleven_lines_the_plain_loop_is_a_plain_loop(data, tmp_path):
    lines = (FOLDER / "plain_loop.py").read_text().splitlines()
    plain = [line for line in lines if not line.endswith("# +")]
    assert len(lines) - len(plain) == 11
    assert "clesmote" not in "\n".join(plain).replace(plain[0], "")
    (tmp_path / "plain.py").write_text("\n".join(plain))
    done = python(tmp_path / "plain.py", data, "--model", "test_resnet")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.slow
def test_the_auroc_of_a_checkpoint_is_that_of_its_scores(data, tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=3).eval()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "model.pth.tar")
    arguments = ["--model", "test_resnet", "--img-size", "32", "--checkpoint", str(tmp_path / "model.pth.tar")]
    done = python(FOLDER / "auroc.py", data / "train", *arguments)
    assert done.returncode == 0, done.stderr
    config = timm.data.resolve_data_config({"img_size": 32}, model=model)
    train_set = ImageFolder(data / "train", timm.data.create_transform(**config))
    images, labels = zip(*train_set, strict=True)
    with torch.inference_mode():
        scores = model(torch.stack(images)).softmax(1).numpy()
    parts = [roc_auc_score(np.array(labels) == c, scores[:, c]) for c in range(3)]
    assert done.stdout == f"AUROC {np.mean(parts):.4f} of 44 images (one 24, three 8, two 12)\n"


def count(folder):
    return {path.name: len(list(path.iterdir())) for path in sorted(folder.iterdir())}


def test_an_imbalanced_folder_and_its_oversampled_twin(data, tmp_path):
    for name, *flags in (["imbalanced"], ["again"], ["equal", "--oversample"]):
        done = python(FOLDER / "imbalanced_folder.py", data, tmp_path / name, "one=20", "three=4", *flags)
        assert done.returncode == 0, done.stderr
    assert count(tmp_path / "imbalanced" / "train") == {"one": 20, "three": 4}
    assert count(tmp_path / "equal" / "train") == {"one": 20, "three": 20}
    assert count(tmp_path / "equal" / "validation") == count(data / "validation")
    assert len({path.read_bytes() for path in (tmp_path / "equal" / "train" / "three").iterdir()}) == 4
    names = [sorted(path.name for path in (tmp_path / name).rglob("*.png")) for name in ("imbalanced", "again")]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("pair", "message"),
    [("one=25", "holds 24 images"), ("tree=1", "holds 0 images"), ("one", "'one' must be CLASS=COUNT")],
)
def test_a_class_that_is_not_there_is_told(pair, message, data, tmp_path):
    done = python(FOLDER / "imbalanced_folder.py", data, tmp_path / "out", pair)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()
