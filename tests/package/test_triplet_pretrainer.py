"""Pretraining on triplets."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from imblearn.over_sampling import SMOTE
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from clesmote_losses import SMOTEDataset, TripletPretrainer
from tests.support.gloo import in_two_processes


def network(seed: int = 0, **options: Any) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("test_resnet", num_classes=2, in_chans=1, **options)


def digits(rare: int = 12, common: int = 60) -> SMOTEDataset:
    images, labels = load_digits(return_X_y=True)
    chosen = np.concatenate([np.flatnonzero(labels == 1)[:common], np.flatnonzero(labels == 7)[:rare]])
    pixels = torch.from_numpy(images[chosen]).float().reshape(-1, 1, 8, 8) / 16
    pixels = nn.functional.interpolate(pixels, 32)
    return SMOTEDataset(TensorDataset(pixels, torch.from_numpy((labels[chosen] == 7).astype(np.int64))))


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("sampling", ["dataset", "batch"])
@pytest.mark.parametrize("anchors", ["all", "real"])
def test_pretraining_pulls_classes_apart_and_leaves_the_classifier_alone(sampling: Any, anchors: Any) -> None:
    model, train_set = network().eval(), digits()
    before, head = weights(model), weights(model.get_classifier())
    state = torch.get_rng_state()
    history = TripletPretrainer(model, margin=0.5, sampling=sampling, anchors=anchors).fit(
        train_set, epochs=4, lr=1e-3, batch_size=32, progress=False
    )
    assert [epoch["epoch"] for epoch in history] == [0, 1, 2, 3]
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert history[-1]["active"] < history[0]["active"]
    assert_equal(head, weights(model.get_classifier()))
    assert not torch.equal(before["conv1.0.weight"], model.state_dict()["conv1.0.weight"])
    assert not any(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_the_step_over_the_data_set_is_the_gradient_of_equation_1() -> None:
    from clesmote_losses.triplet_sampling import draw_batches

    model, train_set = network(), digits(rare=8, common=20)
    expected = copy.deepcopy(model).train()
    (batch,) = draw_batches(
        train_set.labels, train_set.is_synthetic, anchors="all", sampling="dataset", batch_size=64, seed=[7, 0]
    )
    images = torch.stack([train_set[i][0] for i in batch.indices])
    a, p, n = expected.forward_head(expected.forward_features(images), pre_logits=True).tensor_split(3)
    (torch.relu((a - p).norm(dim=1) - (a - n).norm(dim=1) + 0.1)).mean().backward()
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter -= 0.1 * (parameter.grad if parameter.grad is not None else 0)
    optimizer: Any = lambda parameters: torch.optim.SGD(parameters, lr=0.1)  # noqa: E731
    TripletPretrainer(model, margin=0.1).fit(train_set, epochs=1, seed=7, optimizer=optimizer, progress=False)
    for (name, ours), theirs in zip(model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_the_same_seed_gives_the_same_weights_and_workers_change_nothing() -> None:
    results = []
    for seed, num_workers in ((0, 0), (0, 2), (1, 0)):
        model = network(drop_path_rate=0.2)
        TripletPretrainer(model).fit(digits(8, 20), epochs=2, seed=seed, num_workers=num_workers, progress=False)
        results.append(weights(model))
    assert_equal(results[0], results[1])
    assert not torch.equal(results[0]["conv1.0.weight"], results[2]["conv1.0.weight"])


@pytest.mark.parametrize(
    ("pretrainer", "fit", "message"),
    [
        ({"margin": 2.0}, {}, r"margin=0.0 \(now 2.0\)"),
        ({"sampling": "batch"}, {}, r"sampling='dataset' \(now 'batch'\)"),
        ({}, {"lr": 1e-3}, r"lr=0.0001 \(now 0.001\)"),
        ({}, {"seed": 1}, r"seed=0 \(now 1\)"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(
    pretrainer: dict[str, Any], fit: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "triplets.pt"
    TripletPretrainer(network()).fit(digits(8, 20), epochs=1, checkpoint=path, progress=False)
    with pytest.raises(ValueError, match=f"triplets.pt was written with {message}.*delete this one"):
        TripletPretrainer(network(), **pretrainer).fit(digits(8, 20), epochs=2, checkpoint=path, progress=False, **fit)
    other = timm.create_model("test_vit", img_size=32, num_classes=2, in_chans=1)
    with pytest.raises(ValueError, match="written with another model"):
        TripletPretrainer(other).fit(digits(8, 20), epochs=2, checkpoint=path, progress=False)


@pytest.mark.parametrize("sampling", ["dataset", "batch"])
def test_a_resumed_run_equals_the_uninterrupted_one(sampling: Any, tmp_path: Path) -> None:
    whole, resumed = network(), network()
    options: dict[str, Any] = {"progress": False, "lr": 1e-3}
    history = TripletPretrainer(whole, sampling=sampling).fit(digits(8, 20), epochs=3, **options)
    path = tmp_path / "triplet.pt"
    TripletPretrainer(resumed, sampling=sampling).fit(digits(8, 20), epochs=1, checkpoint=path, **options)
    resumed = network(drop_rate=0.0)  # a new process
    resumed_history = TripletPretrainer(resumed, sampling=sampling).fit(
        digits(8, 20), epochs=3, checkpoint=path, **options
    )
    assert_equal(weights(whole), weights(resumed))
    assert resumed_history == history
    assert [file.name for file in tmp_path.iterdir()] == ["triplet.pt"]


def test_a_run_killed_in_an_epoch_loses_that_epoch_only(tmp_path: Path) -> None:
    whole, killed = network(), network()
    TripletPretrainer(whole).fit(digits(8, 20), epochs=2, progress=False)
    train_set, path = digits(8, 20), tmp_path / "triplet.pt"

    class Killed(Exception):
        pass

    def transform(image: Tensor) -> Tensor:
        if path.exists():
            raise Killed
        return image

    train_set.transform = transform
    with pytest.raises(Killed):
        TripletPretrainer(killed).fit(train_set, epochs=2, checkpoint=path, progress=False)
    resumed = network()
    TripletPretrainer(resumed).fit(digits(8, 20), epochs=2, checkpoint=path, progress=False)
    assert_equal(weights(whole), weights(resumed))


@pytest.mark.filterwarnings("ignore:the embedding has collapsed")
def test_autocast_trains(tmp_path: Path) -> None:
    model = network()
    before = weights(model)
    history = TripletPretrainer(model, margin=0.5).fit(digits(8, 20), epochs=1, amp=torch.bfloat16, progress=False)
    assert np.isfinite(history[0]["loss"])
    assert not torch.equal(before["conv1.0.weight"], model.state_dict()["conv1.0.weight"])
    assert model.state_dict()["conv1.0.weight"].dtype == torch.float32


def test_another_loss_sees_all_embeddings_and_labels_of_the_batch() -> None:
    seen: list[tuple[tuple[int, ...], Tensor]] = []

    def supervised_contrastive(embeddings: Tensor, labels: Tensor) -> Tensor:
        seen.append((tuple(embeddings.shape), labels))
        similarity = nn.functional.normalize(embeddings) @ nn.functional.normalize(embeddings).T / 0.1
        similarity = similarity - 1e9 * torch.eye(len(labels))
        same = (labels[:, None] == labels) & ~torch.eye(len(labels), dtype=torch.bool)
        return -(similarity.log_softmax(1) * same).sum(1).div(same.sum(1).clamp(min=1)).mean()

    model = network()
    history = TripletPretrainer(model, sampling="batch", loss=supervised_contrastive).fit(
        digits(), epochs=4, lr=1e-3, batch_size=40, progress=False
    )
    assert history[-1]["loss"] < history[0]["loss"]
    assert np.isnan(history[0]["active"])
    assert all(shape == (len(labels), 96) for shape, labels in seen)
    assert all(set(labels.tolist()) == {0, 1} for _, labels in seen)


def test_a_loss_with_parameters_is_trained_too(tmp_path: Path) -> None:
    class Proxies(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proxies = nn.Parameter(torch.eye(2, 96))

        def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
            return nn.functional.cross_entropy(-torch.cdist(embeddings, self.proxies), labels)

    options: dict[str, Any] = {"lr": 1e-3, "progress": False}
    whole, resumed = Proxies(), Proxies()
    history = TripletPretrainer(network(), sampling="batch", loss=whole).fit(digits(8, 20), epochs=2, **options)
    assert history[1]["loss"] < history[0]["loss"]
    assert not torch.equal(whole.proxies, torch.eye(2, 96))
    assert whole.proxies.grad is None
    path = tmp_path / "triplet.pt"
    TripletPretrainer(network(), sampling="batch", loss=resumed).fit(
        digits(8, 20), epochs=1, checkpoint=path, **options
    )
    resumed = Proxies()
    TripletPretrainer(network(), sampling="batch", loss=resumed).fit(
        digits(8, 20), epochs=2, checkpoint=path, **options
    )
    assert torch.equal(whole.proxies, resumed.proxies)


def test_a_collapsed_embedding_is_warned_of() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias, self.fc = nn.Parameter(torch.ones(4)), nn.Linear(4, 2)

        def forward(self, images: Tensor) -> Tensor:
            out: Tensor = self.fc(self.bias + 1e-6 * images.flatten(1)[:, :4])
            return out

    with pytest.warns(UserWarning, match="the embedding has collapsed in epoch 0"):
        TripletPretrainer(Constant()).fit(digits(8, 20), epochs=1, progress=False)


def test_an_encoder_without_classifier_is_trained_by_its_output() -> None:
    model = timm.create_model("test_resnet", num_classes=0, in_chans=1)
    history = TripletPretrainer(model, margin=0.5).fit(digits(), epochs=2, lr=1e-3, progress=False)
    assert history[1]["loss"] < history[0]["loss"]


def test_the_saved_file_loads_in_timm(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "pretrained.safetensors"
    pretrainer = TripletPretrainer(model)
    pretrainer.fit(digits(8, 20), epochs=1, progress=False)
    pretrainer.save(path)
    loaded = timm.create_model("test_resnet", num_classes=2, in_chans=1, checkpoint_path=str(path))
    assert_equal(weights(model), weights(loaded))
    assert [file.name for file in tmp_path.iterdir()] == ["pretrained.safetensors"]


def test_without_its_classifier_the_file_fits_another_number_of_classes(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "backbone.safetensors"
    TripletPretrainer(model).save(path, classifier=False)
    assert set(weights(model)) - set(load_file(path)) == {"fc.weight", "fc.bias"}
    other = timm.create_model("test_resnet", num_classes=5, in_chans=1)
    timm.models.load_checkpoint(other, str(path), strict=False)
    assert torch.equal(other.state_dict()["conv1.0.weight"], model.state_dict()["conv1.0.weight"])


def test_items_with_the_flag_apart_train_alike() -> None:
    base = digits(8, 20).base
    results = []
    for flag in ("target", "item"):
        model = network()
        TripletPretrainer(model).fit(SMOTEDataset(base, flag=flag), epochs=1, progress=False)  # type: ignore[arg-type]
        results.append(weights(model))
    assert_equal(*results)


def pretrain(rank: int) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    model = network(seed=rank)  # as timm seeds them
    train_set = SMOTEDataset(digits().base, sampler=SMOTE(random_state=0))
    history = TripletPretrainer(model, margin=0.5).fit(train_set, epochs=2, lr=1e-3, batch_size=16, progress=False)
    return weights(model), history


def test_two_processes_end_with_the_same_weights(tmp_path: Path) -> None:
    (first, history), (second, _) = in_two_processes(pretrain, tmp_path)
    assert_equal(first, second)
    assert history[1]["loss"] < history[0]["loss"]
    assert not torch.equal(first["conv1.0.weight"], network().state_dict()["conv1.0.weight"])


class Dropping(nn.Module):
    """A network that skips one of its blocks at random in training (LayerDrop, stochastic depth)."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Sequential(nn.Flatten(), nn.Linear(1024, 8))
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.fc = nn.Linear(8, 2)
        self.skipped: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        x = self.start(images)
        if self.training:
            self.skipped.append(int(torch.randint(3, ())))
        for i, block in enumerate(self.blocks):
            if not self.training or i != self.skipped[-1]:
                x = x + torch.tanh(block(x))
        out: Tensor = self.fc(x)
        return out


def pretrain_with_skipped_layers(rank: int) -> tuple[dict[str, Tensor], list[int], bool]:
    torch.manual_seed(0)
    model = Dropping()
    before = weights(model.fc)
    train_set = SMOTEDataset(digits(8, 20).base, sampler=SMOTE(random_state=0))
    TripletPretrainer(model, margin=0.5).fit(train_set, epochs=2, lr=1e-2, batch_size=4, progress=False)
    return weights(model), model.skipped, all(torch.equal(before[name], model.fc.state_dict()[name]) for name in before)


def test_ranks_that_skip_different_layers_end_with_the_same_weights(tmp_path: Path) -> None:
    (first, skipped, is_head_kept), (second, other_skipped, _) = in_two_processes(
        pretrain_with_skipped_layers, tmp_path
    )
    assert skipped != other_skipped
    assert is_head_kept  # not even weight decay, since no rank has a gradient for it
    assert_equal(first, second)
