"""The scripts in ``integrations``, run as a reader of them would."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torchvision.datasets import ImageFolder

from tests.support.timm_runs import one_thread

FOLDER = Path(__file__).parents[2] / "integrations"


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=one_thread(), check=False)


@pytest.mark.slow
def test_the_plain_loop_trains_and_tells_what_was_capped(data):
    done = python(FOLDER / "plain_loop.py", data, "--model", "test_resnet", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 0", "epoch 1"]
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


@pytest.fixture
def script(monkeypatch, capsys):
    """Run a script in this process, which has torch already: its exit code, output and errors."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(FOLDER / name), run_name="__main__")
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def network(classes, sureness, data, file):
    """Save a network that is sure of its last class; return labels and logits of the images of a folder."""
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=classes).eval()
    config = timm.data.resolve_data_config({"img_size": 32}, model=model)
    images, labels = zip(*ImageFolder(data, timm.data.create_transform(**config)), strict=True)
    with torch.inference_mode():
        model.fc.weight.mul_(sureness / model(torch.stack(images)).std())
        model.fc.bias[-1] += 8 * sureness
        logits = model(torch.stack(images)).double().numpy()
    torch.save({"state_dict": model.state_dict()}, file)
    return np.array(labels), logits


def auroc_of(rank, of_class):
    """The share of pairs in the right order."""
    return (rank[of_class][:, None] > rank[~of_class]).mean() + (rank[of_class][:, None] == rank[~of_class]).mean() / 2


@pytest.mark.parametrize("names", [["one", "two"], ["one", "three", "two"]])
def test_a_sure_network_has_the_auroc_of_its_margins(names, data, tmp_path, script):
    for name in names:
        shutil.copytree(data / "train" / name, tmp_path / "test" / name)
    labels, logits = network(len(names), 5, tmp_path / "test", tmp_path / "model.pth.tar")
    each = range(len(names))
    odds = [logits[:, c] - np.logaddexp.reduce(np.delete(logits, c, 1), 1) for c in each]
    want = np.mean([auroc_of(odds[c], labels == c) for c in each])
    softmax = torch.from_numpy(logits).float().softmax(1).numpy()
    assert abs(np.mean([roc_auc_score(labels == c, softmax[:, c]) for c in each]) - want) > 0.01  # ties
    arguments = "--model", "test_resnet", "--img-size", 32, "--checkpoint", tmp_path / "model.pth.tar"
    code, told, _ = script("auroc.py", tmp_path / "test", *arguments)
    counts = ", ".join(f"{name} {len(list((data / 'train' / name).iterdir()))}" for name in names)
    assert (code, told) == (0, f"AUROC {want:.4f} of {len(labels)} images ({counts})\n")


def test_hidden_files_and_folders_are_neither_images_nor_classes_of_the_auroc(data, tmp_path, script):
    shutil.copytree(data / "train", tmp_path / "test")
    network(3, 1, tmp_path / "test", tmp_path / "model.pth.tar")
    arguments = (
        tmp_path / "test",
        "--model",
        "test_resnet",
        "--img-size",
        32,
        "--checkpoint",
        tmp_path / "model.pth.tar",
    )
    before = script("auroc.py", *arguments)
    assert before[0] == 0
    (tmp_path / "test" / "two" / "._two00.png").write_bytes(b"AppleDouble")
    (tmp_path / "test" / "two" / ".DS_Store").write_bytes(b"Bud1")
    (tmp_path / "test" / ".ipynb_checkpoints").mkdir()
    shutil.copy(tmp_path / "test" / "two" / "two00.png", tmp_path / "test" / ".ipynb_checkpoints")
    assert script("auroc.py", *arguments) == before


def test_an_image_that_cannot_be_read_is_named_and_not_replaced_by_the_next(data, tmp_path, script):
    shutil.copytree(data / "train", tmp_path / "test")
    network(3, 1, tmp_path / "test", tmp_path / "model.pth.tar")
    broken = tmp_path / "test" / "two" / "two03.png"
    broken.write_bytes(broken.read_bytes()[:-60])
    arguments = "--model", "test_resnet", "--img-size", 32, "--checkpoint", tmp_path / "model.pth.tar"
    code, told, error = script("auroc.py", tmp_path / "test", *arguments)
    assert (code, told) == (2, "")
    assert "two03.png cannot be read as an image" in error


def test_test_images_of_other_classes_than_the_checkpoint_are_refused(data, tmp_path, script):
    network(3, 1, data / "train", tmp_path / "model.pth.tar")
    arguments = "--model", "test_resnet", "--img-size", 32, "--checkpoint", tmp_path / "model.pth.tar"
    for name in ("one", "two"):
        shutil.copytree(data / "train" / name, tmp_path / "test" / name)
    (tmp_path / "test" / "three").mkdir()  # timm knows no class without images, so the others would move up
    code, told, error = script("auroc.py", tmp_path / "test", *arguments)
    assert (code, told) == (2, "")
    assert "does not fit test_resnet with the classes of" in error
    assert "one, two:" in error
    shutil.rmtree(tmp_path / "test" / "one")
    code, told, error = script("auroc.py", tmp_path / "test", *arguments)
    assert (code, told) == (2, "")
    assert "must have images of two classes or more, and of each of them; found two: " in error


def count(folder):
    return {path.name: len(list(path.iterdir())) for path in sorted(folder.iterdir())}


def test_the_copy_counts_images_alone(data, tmp_path, script):
    source = tmp_path / "source"
    shutil.copytree(data, source)
    one = source / "train" / "one"
    for name in (".DS_Store", "._one00.png", "Thumbs.db", "notes.txt"):
        (one / name).write_bytes(b"no image")
    for hidden in (one / ".ipynb_checkpoints", source / ".ipynb_checkpoints"):
        hidden.mkdir()
        shutil.copy(one / "one00.png", hidden)
    (one / "gone.png").symlink_to(tmp_path / "nowhere.png")
    shutil.copy(one / "._one00.png", source / "validation" / "one")
    (one / "patient").mkdir()
    (one / "one01.png").rename(one / "patient" / "one00.PNG")  # a subfolder, a name of its own, and upper case
    code, _, error = script("imbalanced_folder.py", source, tmp_path / "out", "one=25", "three=4")
    assert (code, "one holds 24 images" in error) == (2, True)
    assert script("imbalanced_folder.py", source, tmp_path / "out", "one=24", "three=4", "--oversample")[0] == 0
    written = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    for file in written:
        Image.open(file).load()
    assert count(tmp_path / "out" / "validation") == count(data / "validation")
    assert len(ImageFolder(tmp_path / "out" / "train")) == 48
    assert (tmp_path / "out" / "train" / "one" / "patient" / "one00.PNG").read_bytes() == (
        data / "train" / "one" / "one01.png"
    ).read_bytes()


def test_a_copy_of_an_oversampled_copy_loses_no_image(data, tmp_path, script):
    for source, target in ((data, tmp_path / "first"), (tmp_path / "first", tmp_path / "second")):
        pairs = ("one=24", "three=4") if source == data else ("one=24", "three=12")
        assert script("imbalanced_folder.py", source, target, *pairs, "--oversample")[0] == 0
    assert count(tmp_path / "second" / "train") == {"one": 24, "three": 24}


def test_an_imbalanced_folder_and_its_oversampled_twin(data, tmp_path, script):
    for name, *flags in (["imbalanced"], ["again"], ["equal", "--oversample"]):
        assert script("imbalanced_folder.py", data, tmp_path / name, "one=20", "three=4", *flags)[0] == 0
    assert count(tmp_path / "imbalanced" / "train") == {"one": 20, "three": 4}
    assert count(tmp_path / "equal" / "train") == {"one": 20, "three": 20}
    assert count(tmp_path / "equal" / "validation") == count(data / "validation")
    assert len({path.read_bytes() for path in (tmp_path / "equal" / "train" / "three").iterdir()}) == 4
    names = [sorted(path.name for path in (tmp_path / name).rglob("*.png")) for name in ("imbalanced", "again")]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["one=25"], "holds 24 images"),
        (["tree=1"], "holds 0 images"),
        (["one"], "'one' must be CLASS=COUNT"),
        (["one=3", "one=4"], "'one=4': the class is named twice"),
    ],
)
def test_a_class_that_is_not_there_is_told(pairs, message, data, tmp_path, script):
    code, _, error = script("imbalanced_folder.py", data, tmp_path / "out", *pairs)
    assert (code, message in error) == (2, True)
    assert not (tmp_path / "out").exists()


def test_a_copy_inside_its_source_is_refused(data, script):
    code, _, error = script("imbalanced_folder.py", data, data / "small", "one=3")
    assert (code, "small must not lie in" in error) == (2, True)
    assert not (data / "small").exists()
