"""Training on the features of a frozen network."""

from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

from benchmarks.data.experiments import of_classes
from benchmarks.methods.pretrained import Weights
from benchmarks.methods.registry import METHODS
from benchmarks.training import frozen
from benchmarks.training.controlled import Settings
from benchmarks.training.evaluation import predict, to_input
from benchmarks.training.frozen import FrozenFeatures
from benchmarks.training.run import Run
from clesmote_losses.restore import preserved_rng
from tests.support.benchmark_images import pictures, small_source

CPU = torch.device("cpu")
TWO = of_classes("two", {"a": 30, "b": 8})


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    with preserved_rng(seed=5):
        save_file(timm.create_model("test_resnet").state_dict(), path)
    return Settings(
        model="test_resnet", steps=20, epochs=2, batch_size=8, augmentation="none", weights=Weights.read(path), frozen=True, lr=0.05
    )  # fmt: skip


@pytest.fixture(scope="module")
def source():
    return small_source(count=40, tested=10, size=32)


def run_of(source, method, settings):
    return Run("waves", source, TWO, METHODS[method], settings, 0)


def test_features_are_the_input_of_the_classifier_whatever_else_is_in_the_batch():
    network = timm.create_model("test_resnet", num_classes=2).eval()
    images = pictures([0, 1, 2] * 30, 32)
    with torch.no_grad():
        wanted = network.forward_head(
            network.forward_features(to_input(torch.from_numpy(images).permute(0, 3, 1, 2))), pre_logits=True
        )
    features = FrozenFeatures(network.train(), "a")
    assert network.training
    found = features(images)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    # to the last bit, from the cache of the process or anew
    assert torch.equal(FrozenFeatures(network, "a")(images[80:][::-1]), found[80:].flip(0))
    assert torch.equal(FrozenFeatures(network, "b")(images[5:9]), found[5:9])


def test_features_are_computed_once_for_networks_of_one_name(monkeypatch):
    def no_more(images):
        raise RuntimeError("computed again")

    network = timm.create_model("test_resnet", num_classes=2)
    images = pictures([0, 1, 0, 1], 32)
    FrozenFeatures(network, "c")(images[:3])
    monkeypatch.setattr(torch.nn.Module, "__call__", lambda module, images: no_more(images))
    again = FrozenFeatures(network, "c")
    assert len(again(images[:3])) == 3
    with pytest.raises(RuntimeError, match="computed again"):
        again(images)  # the fourth is new
    with pytest.raises(RuntimeError, match="computed again"):
        FrozenFeatures(network, "d")(images[:3])


def test_a_classifier_that_is_not_one_linear_layer_is_refused():
    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(3, 2)

        def forward(self, images):
            return 2 * self.fc(images.mean((2, 3)))

    with pytest.raises(ValueError, match="logits of this network are more than its classifier makes"):
        FrozenFeatures(Scaled(), "e")(pictures([0, 1], 16))
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1))
    network.get_classifier = lambda: network[0]
    with pytest.raises(ValueError, match=r"one linear classifier; this one has Conv2d"):
        FrozenFeatures(network, "f")


@pytest.mark.parametrize("method", ["weighted", "ldam-drw", "smote-redraw", "euclidean-cap", "balanced"])
def test_a_method_trains_the_classifier_and_nothing_else(source, settings, method):
    kept = {}

    def look(model, data):
        kept.update({name: value.detach().clone() for name, value in model.state_dict().items()})
        return {"features": data.images.numpy()}

    line, arrays = run_of(source, method, settings).make(CPU, look=look)
    assert arrays["features"].ndim == 2
    assert line["steps"] == 20
    assert line["config"]["settings"]["frozen"] is True
    start = timm.models.load_state_dict(str(settings.weights.path))
    same = [name for name in kept if name in start and torch.equal(kept[name], start[name])]
    assert {name.split(".")[0] for name in set(start) - set(same)} == {"fc"}


def test_the_scores_are_those_of_the_whole_network_that_is_saved(source, settings, tmp_path):
    run = run_of(source, "oversampling", settings)
    line, _ = run.make(CPU, weights=tmp_path / "w.safetensors")
    saved = settings.make_network(source.images.shape, 2)
    saved.load_state_dict(timm.models.load_state_dict(str(tmp_path / "w.safetensors")))
    test = run.draw().tests["test"]
    scores = predict(saved, torch.from_numpy(test.images).permute(0, 3, 1, 2), to_input)
    assert 0.5 < line["chosen"]["test"]["auroc"] == pytest.approx(roc_auc_score(test.labels, scores[:, 1]), abs=1e-6)


def test_a_run_does_not_depend_on_what_was_computed_before(source, settings):
    first, _ = run_of(source, "smote", settings).make(CPU)
    frozen._features.cache_clear()
    run_of(source, "ldam-drw", settings).make(CPU)  # which changes the classifier and what comes into it
    again, _ = run_of(source, "smote", settings).make(CPU)
    assert {**again, "seconds": 0} == {**first, "seconds": 0}


def test_a_file_of_weights_is_part_of_a_run_and_its_place_is_not(source, settings):
    plain = replace(settings, weights=None, frozen=False)
    assert not {"weights", "frozen"} & plain.plain().keys()
    moved = replace(settings, weights=Weights(settings.weights.path / "x", settings.weights.digest))
    ids = [run_of(source, "none", each).id for each in (plain, settings, moved, replace(settings, frozen=False))]
    assert len(set(ids)) == 3
    assert ids[1] == ids[2]


@pytest.mark.parametrize(
    ("method", "reason"), [("cle-smote", "pretrains"), ("strong-augmentation", "has the augmentation")]
)
def test_a_method_that_needs_images_is_refused(source, settings, method, reason):
    with pytest.raises(ValueError, match=f"computes the features of each image once, and {method} {reason}"):
        run_of(source, method, settings).make(CPU)
