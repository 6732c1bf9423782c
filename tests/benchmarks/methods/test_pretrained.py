"""Networks that start from a file."""

import shutil

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.transforms.functional import normalize

from benchmarks.methods.networks import CONVNET, make_network
from benchmarks.methods.pretrained import Weights
from benchmarks.training.evaluation import to_input
from clesmote_losses.restore import preserved_rng

NAME = "test_resnet"


@pytest.fixture(scope="module")
def trained():
    with preserved_rng(seed=5):
        return timm.create_model(NAME).eval()


@pytest.fixture(scope="module")
def file(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file(trained.state_dict(), path)
    return path


def started(file, channels=3, **options):
    return make_network(NAME, num_classes=2, image_size=32, in_chans=channels, weights=file, **options)


def test_all_weights_but_those_of_the_classifier_are_those_of_the_file(trained, file):
    model = started(file)
    assert model.training
    classifier = [name for name, value in model.state_dict().items() if value.shape != trained.state_dict()[name].shape]
    assert classifier == ["fc.weight", "fc.bias"]
    for name, value in model.state_dict().items():
        assert name in classifier or torch.equal(value, trained.state_dict()[name])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "mean"), [("test_resnet", 0.5), ("test_efficientnet", 0.485)])
def test_inputs_are_scaled_as_timm_scales_them_and_grey_images_are_repeated(channels, name, mean, tmp_path):
    trained = timm.create_model(name).eval()
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    cfg = trained.pretrained_cfg
    assert cfg["mean"][0] == mean
    pixels = torch.randint(256, (4, channels, 32, 32), dtype=torch.uint8)
    wanted = normalize(pixels.float().expand(-1, 3, -1, -1) / 255, cfg["mean"], cfg["std"])
    model = make_network(
        name, num_classes=2, image_size=32, in_chans=channels, weights=tmp_path / "w.safetensors"
    ).eval()
    features = model.forward_head(trained.forward_features(wanted), pre_logits=True)
    torch.testing.assert_close(model(to_input(pixels)), model.get_classifier()(features), atol=1e-4, rtol=1e-4)


def test_a_checkpoint_of_timms_script_is_read_too(trained, file, tmp_path):
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in trained.state_dict().items()}, "epoch": 3},
        tmp_path / "last.pth.tar",
    )
    first, second = (started(path).state_dict() for path in (file, tmp_path / "last.pth.tar"))
    same = [name for name in first if torch.equal(first[name], second[name])]
    assert set(first) - set(same) == {"fc.weight", "fc.bias"}  # random


def test_weights_of_something_else_are_refused(trained, file, tmp_path):
    with pytest.raises(ValueError, match=r"are of another network than --model"):
        make_network("test_vit", num_classes=2, image_size=160, weights=file)
    some = {name: value for name, value in trained.state_dict().items() if "layer1" not in name}
    assert len(some) < len(trained.state_dict())
    save_file(some, tmp_path / "some.safetensors")
    with pytest.raises(ValueError, match=r"of its weights \d+ are missing \(layer1.* and 0 are unknown \(none\)"):
        started(tmp_path / "some.safetensors")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.pth holds no weights that timm reads"):
        started(tmp_path / "text.pth")
    with pytest.raises(ValueError, match="--weights needs a network of timm; got --model convnet"):
        make_network(CONVNET, num_classes=2, image_size=32, weights=file)


def test_a_file_is_told_by_its_content(file, tmp_path):
    copy = shutil.copy(file, tmp_path / "other.safetensors")
    assert Weights.read(copy) == Weights.read(file)
    with copy.open("r+b") as damaged:
        damaged.seek(-1, 2)
        damaged.write(b"\0" if copy.read_bytes()[-1] else b"\1")
    assert Weights.read(copy) != Weights.read(file)
    with pytest.raises(ValueError, match=r"none\.safetensors cannot be read: No such file"):
        Weights.read(tmp_path / "none.safetensors")
