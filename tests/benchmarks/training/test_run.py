"""A run and its line, of the methods that there are and of new ones."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from benchmarks.data.experiments import of_classes
from benchmarks.methods.losses import LOSSES, AdjustedCrossEntropy, use_cosine_classifier
from benchmarks.methods.objective import Objective
from benchmarks.methods.registry import METHODS, Method
from benchmarks.methods.sampling import SAMPLINGS
from benchmarks.metrics import METRICS, Metric
from benchmarks.training.as_published import PublishedSettings
from benchmarks.training.augmentation import AUGMENTATIONS
from benchmarks.training.controlled import Settings
from benchmarks.training.evaluation import on_device, predict, to_input
from benchmarks.training.pretraining import PRETRAININGS, Pretraining
from benchmarks.training.run import Run, run_id, save_weights
from clesmote_losses import decode_target
from tests.support.benchmark_images import small_source

CPU = torch.device("cpu")
TWO = of_classes("two", {"a": 30, "b": 8})
SETTINGS = Settings(steps=6, epochs=2, batch_size=8)


@pytest.fixture(scope="module")
def source():
    return replace(small_source(count=40, tested=10), flow={"images": 120})


def run_of(source, method, settings=SETTINGS, **options):
    return Run("waves", source, TWO, METHODS[method] if isinstance(method, str) else method, settings, 0, **options)


def test_a_line_says_all_about_a_run_and_leaves_random_numbers_alone(source):
    run, made = run_of(source, "cle-smote"), []
    state = torch.get_rng_state()
    line, arrays = run.make(CPU, on_steps=made.append)
    assert torch.equal(torch.get_rng_state(), state)
    assert arrays is None
    assert sum(made) == run.steps == 6
    assert line["id"] == run.id == run_id(json.loads(json.dumps(line["config"])))
    assert line["role"] == "trial"
    assert line["config"]["method"] == METHODS["cle-smote"].chosen()
    assert line["config"]["settings"]["protocol"] == 1
    assert "learning_rates" not in line["config"]
    assert line["selection"] == {"images": 120}
    assert line["environment"]["device"] == "cpu"
    assert json.loads(json.dumps(line)) == line  # plain values
    losses = [point["loss"] for point in line["curve"]]
    assert losses == [round(loss, 6) for loss in losses]
    again, _ = run.make(CPU)
    assert {**again, "seconds": 0} == {**line, "seconds": 0}


def test_values_that_are_not_finite_are_none_in_a_line(source):
    line, _ = run_of(source, "none", replace(SETTINGS, lr=1e30)).make(CPU)
    assert line["diverged"]
    assert line["curve"][-1]["loss"] is None


def test_runs_that_differ_in_anything_have_other_names(source):
    run = run_of(source, "smote")
    others = [
        replace(run, seed=1),
        replace(run, method=replace(run.method, redraw=True)),
        replace(run, settings=replace(SETTINGS, lr=0.1)),
        replace(run, learning_rates=(0.1, 0.2)),
        replace(run, experiment=of_classes("two", {"a": 30, "b": 7})),
    ]
    assert len({run.id, *(other.id for other in others)}) == 6
    assert others[3].config["learning_rates"] == [0.1, 0.2]
    assert replace(run, role="tuning").id == run.id  # the same run, whatever it is for
    assert run.id.startswith("smote-seed0-")


def test_a_choice_goes_to_the_settings_that_have_it_and_else_to_the_method(source):
    run = run_of(source, "cle-smote").with_choice({"lr": 0.1, "beta": 0.3})
    assert (run.settings.lr, run.method.beta) == (0.1, 0.3)
    published = run_of(source, "euclidean-cap", PublishedSettings()).with_choice({"beta": 100.0})
    assert (published.settings.beta, published.method.beta) == (100.0, 10.0)


def test_the_preset_as_published_holds_nothing_out(source):
    settings = PublishedSettings(epochs=1, pretraining_epochs=1, batch_size=16)
    with_32 = replace(source, images=np.pad(source.images, ((0, 0), (8, 8), (8, 8), (0, 0))))
    with_32 = replace(with_32, tests={"test": replace(source.tests["test"], images=with_32.images[:30])})
    run, made = run_of(with_32, "cle-smote", settings), []
    line, arrays = run.make(CPU, on_steps=made.append, look=lambda model, data: {"size": np.array(len(data))})
    assert set(line["chosen"]) == {"test"}
    assert sum(made) == run.steps == 4 + 4
    assert arrays["size"] == 60
    assert line["curve"][0].keys() == {"epoch", "loss", "share_capped", "auroc"}


def test_what_to_keep_of_the_network_is_asked_at_the_end(source):
    def look(model, data):
        return {"bias": model.fc.bias.detach().numpy(), "size": np.array(len(data.images))}

    _, arrays = run_of(source, "oversampling").make(CPU, look=look)
    assert arrays["bias"].shape == (2,)
    assert arrays["size"] == 60


def test_weights_are_those_of_the_chosen_epoch_and_timm_loads_them(source, tmp_path):
    path = tmp_path / "weights.safetensors"
    settings = Settings("test_resnet", steps=9, epochs=3, batch_size=8)
    for name in ("none", "ldam-drw", "crt"):  # crt: with the classifier that was fitted at the end of the epoch
        line, _ = run_of(source, name, settings).make(CPU, weights=path)
        model = timm.create_model("test_resnet", num_classes=2, checkpoint_path=path)
        test = run_of(source, name).draw().tests["test"]
        scores = predict(model, on_device(test.images, CPU), to_input)
        right = METRICS["balanced_accuracy"].function(test.labels, scores)
        assert right == pytest.approx(line["chosen"]["test"]["balanced_accuracy"], abs=1e-6)
        assert name == "ldam-drw" or METRICS["auroc"].function(test.labels, scores) == pytest.approx(
            line["chosen"]["test"]["auroc"], abs=1e-6
        )


def test_a_cosine_classifier_is_saved_as_a_plain_one_without_bias(tmp_path):
    model = timm.create_model("test_resnet", num_classes=3)
    use_cosine_classifier(model)
    save_weights(model, tmp_path / "weights.safetensors")
    found = load_file(tmp_path / "weights.safetensors")
    assert torch.equal(found["fc.weight"], model.fc.weight)
    assert torch.equal(found["fc.bias"], torch.zeros(3))
    assert found.keys() == timm.create_model("test_resnet", num_classes=3).state_dict().keys()


class Smoothed(Objective):
    """Cross-entropy with smoothed labels."""

    def forward(self, logits, target):
        return F.cross_entropy(logits, decode_target(target)[0], label_smoothing=0.5)


@dataclass(frozen=True)
class Mixup(Method):
    """A method with an option and hooks of its own."""

    alpha: float = 0.2

    def build_loss(self, training):
        return MixupLoss(training.counts, self.alpha)


class MixupLoss(AdjustedCrossEntropy):
    """Mixes each image of a batch with another one, and their losses likewise."""

    def __init__(self, counts, alpha):
        super().__init__(counts)
        self.alpha = alpha

    def begin_step(self, training, batch):
        self.lam = float(np.random.default_rng(training.step).beta(self.alpha, self.alpha))
        self.other = batch.target.flip(0)
        return batch._replace(inputs=self.lam * batch.inputs + (1 - self.lam) * batch.inputs.flip(0))

    def forward(self, logits, target):
        return self.lam * super().forward(logits, target) + (1 - self.lam) * super().forward(logits, self.other)

    def end_epoch(self):
        return {"lam": self.lam}


def test_new_entries_of_every_table_reach_the_line(source, monkeypatch):
    def undersampled(trial, aims, seed):
        part = trial.train
        places = np.concatenate([np.flatnonzero(part.strata == stratum)[:8] for stratum in (0, 1)])
        parts = {name: getattr(part, name)[places] for name in ("indices", "labels", "strata", "members")}
        return replace(part, **parts), None

    seen = []
    monkeypatch.setitem(SAMPLINGS, "undersampled", undersampled)
    monkeypatch.setitem(LOSSES, "smoothed", lambda method, training: Smoothed())
    monkeypatch.setitem(METRICS, "brier", Metric("Brier", lambda labels, scores: ((labels - scores[:, 1]) ** 2).mean()))
    monkeypatch.setitem(AUGMENTATIONS, "dark", lambda images: seen.append(len(images)) or to_input(images) / 2)
    monkeypatch.setitem(PRETRAININGS, "norm", Pretraining("batch", lambda embeddings, *_: embeddings.square().mean()))
    parts = {"data": "undersampled", "loss": "smoothed", "augmentation": "dark", "pretraining": "norm"}
    monkeypatch.setitem(METHODS, "new", Method("new", "New", **parts))
    line, _ = run_of(source, "new").make(CPU)
    assert line["config"]["method"] == {"name": "new", **parts}
    assert line["training_samples"] == 16
    assert 0 < line["chosen"]["test"]["brier"] < 1
    assert line["chosen"]["validation"].keys() == METRICS.keys()
    assert len(line["pretraining_loss"]) == 1
    assert seen
    assert line["curve"][-1]["loss"] > 0.5  # cross-entropy with so much smoothing cannot fall below 0.56
    assert line["share_capped"] is None


def test_a_new_method_is_one_object_with_hooks(source, monkeypatch):
    monkeypatch.setitem(METHODS, "mixup", Mixup("mixup", "Mixup", data="oversampled"))
    run = run_of(source, "mixup").with_choice({"alpha": 1.0})
    line, _ = run.make(CPU)
    assert line["config"]["method"] == {"name": "mixup", "data": "oversampled", "alpha": 1.0}
    lams = [float(np.random.default_rng(step).beta(1.0, 1.0)) for step in (2, 5)]  # of the last step of each epoch
    assert [point["lam"] for point in line["curve"]] == [pytest.approx(lam, abs=1e-6) for lam in lams]
