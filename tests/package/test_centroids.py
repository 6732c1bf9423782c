"""Centroids against a plain mean in float64."""

import copy
import importlib
import pickle
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.distributed as dist
from imblearn.over_sampling import SMOTE
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from clesmote_losses import CappedSMOTELoss, ClassCentroidTracker, SMOTEDataset, TripletPretrainer, encode_target
from tests.support.gloo import in_two_processes
from tests.support.three_classes import data, network

WIDTH = 96  # of test_resnet's embedding


def naive_centroids(model: nn.Module, base: TensorDataset) -> dict[int, Tensor]:
    model = copy.deepcopy(model).eval()
    images, labels = base.tensors
    with torch.no_grad():
        embeddings = model.forward_head(model.forward_features(images), pre_logits=True).double()
    return {c: embeddings[labels == c].mean(0) for c in labels.unique().tolist()}


def test_of_a_smote_dataset_the_real_images_of_the_over_sampled_classes_are_read() -> None:
    base, model = data(), network()
    read: list[int] = []

    class Counting(TensorDataset):
        def __getitem__(self, index: int) -> Any:
            read.append(index)
            return super().__getitem__(index)

    train_set = SMOTEDataset(Counting(*base.tensors))
    assert train_set.oversampled_classes == [1, 2]
    with ClassCentroidTracker(model, 3) as tracker:
        read.clear()
        tracker.refresh(train_set, batch_size=7)
    assert sorted(read) == torch.nonzero(base.tensors[1] > 0)[:, 0].tolist()
    expected = naive_centroids(model, base)
    assert tracker.centroids is not None
    assert tracker.centroids.shape == (3, WIDTH)
    assert tracker.counts.tolist() == [0, 13, 8]
    assert tracker.centroids[0].isnan().all()
    for c in (1, 2):
        torch.testing.assert_close(tracker.centroids[c].double(), expected[c], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["epoch", "online", "batch"])
def test_labels_that_count_from_1_are_named_at_the_refresh_and_by_the_loss(mode: Any) -> None:
    images, labels = data().tensors
    labels = torch.tensor([3, 1, 2])[labels]  # the largest class, which nothing is read of, has the label out of range
    model = network()
    with ClassCentroidTracker(model, 3, mode=mode) as tracker:
        with pytest.warns(UserWarning, match=r"label 3 is out of range for num_classes=3: labels must be 0 ... 2"):
            tracker.refresh(SMOTEDataset(TensorDataset(images, labels)))
        with pytest.raises(IndexError, match="Target 3 is out of bounds"):  # in torch's words
            CappedSMOTELoss(tracker=tracker)(model(images), labels)
        if mode == "epoch":
            with pytest.raises(ValueError, match=r"label 3 is out of range for num_classes=3.*count classes from 0"):
                tracker.refresh(TensorDataset(images, labels))


def test_a_label_out_of_range_that_a_refresh_reads_is_named_once() -> None:
    images, labels = data().tensors
    train_set = SMOTEDataset(TensorDataset(images, labels + 1))  # 1 is the largest class; 2 and 3 are blended
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match="label 3 is out of range for num_classes=3"):
            ClassCentroidTracker(network(), 3).refresh(train_set)
    assert not caught


@pytest.mark.parametrize("kind", ["data set", "subset", "loader", "loader of a SMOTEDataset", "batches"])
def test_of_anything_else_all_real_samples_are_read(kind: str) -> None:
    base, model = data(), network()
    given: Any = {
        "data set": base,
        "subset": Subset(base, range(len(base))),
        "loader": DataLoader(base, batch_size=9, shuffle=True),
        "loader of a SMOTEDataset": DataLoader(SMOTEDataset(base), batch_size=9, shuffle=True),
        "batches": (batch for batch in DataLoader(base, batch_size=9)),
    }[kind]
    with ClassCentroidTracker(model, 3) as tracker:
        tracker.refresh(given)
    assert tracker.counts.tolist() == [40, 13, 8]
    expected = torch.stack(list(naive_centroids(model, base).values()))
    torch.testing.assert_close(tracker.centroids, expected.float(), rtol=1e-5, atol=1e-6)


def test_the_transform_of_the_evaluation_is_used_if_one_is_given() -> None:
    base, model = data(), network()
    noisy = SMOTEDataset(base, transform=lambda image: image + torch.randn_like(image))
    with ClassCentroidTracker(model, 3) as tracker:
        tracker.refresh(noisy)
        with_noise = tracker.centroids
        tracker.refresh(noisy, transform=lambda image: image)
    expected = naive_centroids(model, base)
    torch.testing.assert_close(tracker.centroids[1].double(), expected[1], rtol=1e-5, atol=1e-6)  # type: ignore[index]
    assert (with_noise[1] - tracker.centroids[1]).abs().max() > 1e-3  # type: ignore[index]
    assert noisy.transform is not None


def test_the_mean_image_of_each_class_can_be_embedded_instead() -> None:
    base, model = data(), network()
    with ClassCentroidTracker(model, 3, statistic="mean_image") as tracker:
        tracker.refresh(SMOTEDataset(base))
    images, labels = base.tensors
    mean_image = torch.stack([images[labels == c].double().mean(0).float() for c in (1, 2)])
    model.eval()
    expected = model.forward_head(model.forward_features(mean_image), pre_logits=True)
    assert tracker.centroids is not None
    torch.testing.assert_close(tracker.centroids[1:], expected, rtol=1e-4, atol=1e-5)
    assert tracker.centroids[0].isnan().all()


def test_a_refresh_leaves_modes_gradients_buffers_and_generators_as_they_were() -> None:
    base, model = data(), network()
    model.layer2.eval()  # frozen by the user
    loss = model(base.tensors[0]).square().sum()
    loss.backward()
    modes = [module.training for module in model.modules()]
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    state = copy.deepcopy(model.state_dict())
    tracker = ClassCentroidTracker(model, 3)

    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(1))]

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draw()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)

    def augment(image: Tensor) -> Tensor:
        return image + torch.randn_like(image) * random.random() * np.random.rand()

    noisy = SMOTEDataset(base, transform=augment)
    tracker.refresh(DataLoader(noisy, batch_size=8, shuffle=True))
    tracker.refresh(noisy, num_workers=1)
    assert draw() == expected
    assert [module.training for module in model.modules()] == modes
    assert not all(modes)
    assert all(map(torch.equal, gradients, [p.grad for p in model.parameters() if p.grad is not None]))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_modes_are_restored_when_a_refresh_fails() -> None:
    model = network()
    tracker = ClassCentroidTracker(model, 3)
    with pytest.raises(TypeError, match="batches of float images"):
        tracker.refresh(TensorDataset(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(4, dtype=torch.long)))
    assert model.training


def test_online_centroids_are_the_mean_over_the_training_forwards_of_the_last_epoch() -> None:
    base, model = data(), network()
    tracker = ClassCentroidTracker(model, 3, mode="online")
    criterion = CappedSMOTELoss(tracker=tracker)
    loader = DataLoader(SMOTEDataset(base), batch_size=16, shuffle=True)
    for epoch in range(2):
        seen: list[tuple[Tensor, Tensor]] = []
        tracker.refresh()
        criterion.reset_stats()
        for images, target in loader:
            criterion(model(images), target)
            seen.append((tracker.embeddings.detach().double(), target))
        synthetic, unknown = criterion.stats["synthetic"], criterion.stats["without_centroid"]
        assert unknown == (synthetic if epoch == 0 else 0)
    tracker.refresh()
    embeddings, target = (torch.cat(parts) for parts in zip(*seen, strict=True))
    assert tracker.counts.tolist() == [40, 13, 8]
    for c in range(3):
        expected = embeddings[target == c].mean(0)  # synthetic targets are no class
        torch.testing.assert_close(tracker.centroids[c].double(), expected, rtol=1e-5, atol=1e-6)  # type: ignore[index]


def test_online_centroids_learn_in_warm_up_and_not_from_a_validation() -> None:
    base, model = data(), network()
    tracker = ClassCentroidTracker(model, 3, mode="online")
    criterion = CappedSMOTELoss(tracker=tracker, warmup_epochs=1)
    images, labels = base.tensors
    criterion.set_epoch(0)
    tracker.refresh()
    criterion(model(images), encode_target(labels, labels == 2))
    criterion(model.eval()(images), labels)
    model.train()
    tracker.refresh()
    assert tracker.counts.tolist() == [40, 13, 0]


def test_a_model_that_is_trained_in_evaluation_mode_has_online_centroids_too() -> None:
    base, model = data(), network().eval()
    images, labels = base.tensors
    tracker = ClassCentroidTracker(model, 3, mode="online")
    criterion = CappedSMOTELoss(tracker=tracker)
    tracker.refresh()
    criterion(model(images), encode_target(labels, labels == 2)).backward()
    with torch.no_grad():
        criterion(model(images), labels)  # a validation
    tracker.refresh()
    assert tracker.counts.tolist() == [40, 13, 0]
    torch.testing.assert_close(tracker.centroids[1].double(), naive_centroids(model, base)[1], rtol=1e-5, atol=1e-6)  # type: ignore[index]


@pytest.mark.parametrize("mode", ["epoch", "online", "batch"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_tracker_that_is_copied_with_its_model_hears_the_copy(copied: Any, mode: Any) -> None:
    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network()
            self.tracker = ClassCentroidTracker(self.network, 3, mode=mode)
            self.criterion = CappedSMOTELoss(tracker=self.tracker)

    globals()["Module"] = Module  # pickle looks it up there
    Module.__qualname__ = "Module"
    base, module = data(), Module()
    images, labels = base.tensors
    module.tracker.refresh(base)
    module.criterion(module.network(images), labels)  # embeddings with a graph, which cannot be copied
    other = copied(module)
    nn.init.zeros_(other.network.fc.weight)
    for each in (module, other):
        each.tracker.refresh(base)
        each.criterion(each.network(images), labels).backward()
        assert each.tracker.model is each.network
    torch.testing.assert_close(other.tracker.centroids, module.tracker.centroids)
    with torch.no_grad():
        before = module.tracker.embeddings
        other.network(images[:2])
    assert len(other.tracker.embeddings) == 2
    assert module.tracker.embeddings is before


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_dropout_before_the_classifier_does_not_lower_the_caps(name: str) -> None:
    images, labels = torch.randn(24, 3, 32, 32), torch.arange(24) % 2
    options = {"img_size": 32} if name == "test_vit" else {}
    caps = []
    for rate in (0.0, 0.5, 0.8):
        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=2, drop_rate=rate, **options)
        for part in model.train().modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        tracker = ClassCentroidTracker(model, 2)
        tracker.refresh(TensorDataset(images, labels))
        criterion = CappedSMOTELoss(tracker=tracker)
        criterion(model(images), encode_target(labels, torch.ones(24, dtype=torch.bool)))
        caps.append(float(criterion.stats["mean_cap"]))
    assert caps == pytest.approx([caps[0]] * 3, rel=1e-4)


@pytest.mark.parametrize("mode", ["online", "batch"])
def test_a_tracker_that_embeds_no_image_finds_dropout_by_one_image_of_a_data_set(mode: Any) -> None:
    base, model = data(), network()
    model.drop_rate = 0.9
    tracker = ClassCentroidTracker(model, 3, mode=mode)
    tracker.refresh(SMOTEDataset(base, transform=lambda image: image.byte()))  # normalised later: nothing to embed
    tracker.refresh(DataLoader(base))
    model(base.tensors[0])
    assert (tracker.embeddings == 0).float().mean() > 0.8
    tracker.refresh(SMOTEDataset(base))
    assert model.training
    model(base.tensors[0])
    assert (tracker.embeddings == 0).float().mean() < 0.5


# --- logits of another forward pass


def refreshed(model: nn.Module, **options: Any) -> tuple[CappedSMOTELoss, Tensor, Tensor]:
    base = data()
    tracker = ClassCentroidTracker(model, 3, **options)
    tracker.refresh(base)
    images, labels = base.tensors
    return CappedSMOTELoss(tracker=tracker), images, encode_target(labels, labels == 2)


@pytest.mark.parametrize("between", ["a second view", "an evaluation without gradient"])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_logits_of_an_earlier_forward_pass_are_refused(name: str, between: str) -> None:
    model = timm.create_model(name, num_classes=3, **({"img_size": 32} if name == "test_vit" else {}))
    criterion, images, target = refreshed(model)
    logits = model(images)
    with torch.set_grad_enabled(between == "a second view"):
        later = model(images.flip(3))
    with pytest.raises(
        RuntimeError, match=r"logits are those of an earlier forward pass.*embeddings=tracker.embeddings"
    ):
        criterion(logits, target)
    if between == "a second view":
        criterion(model(images), target)
        with pytest.raises(RuntimeError, match="used already"):
            criterion(later, target)


WAYS: dict[str, Any] = {
    "mixed precision": lambda model: lambda x: torch.autocast("cpu", torch.bfloat16)(model)(x),
    "checkpointing": lambda model: lambda x: checkpoint(model, x, use_reentrant=False),
    "reentrant checkpointing": lambda model: lambda x: checkpoint(model, x.requires_grad_(), use_reentrant=True),
    "data parallel of one": nn.DataParallel,
    "logits that are changed in place": lambda model: lambda x: model(x).div_(2).clamp_(-5, 5),
    "two views averaged": lambda model: lambda x: (model(x) + model(x.flip(3))) / 2,
    "logits without a graph": lambda model: lambda x: model(x).detach().requires_grad_(),
}


@pytest.mark.parametrize("way", WAYS)
def test_usual_ways_to_train_are_not_refused(way: str) -> None:
    model = network()
    criterion, images, target = refreshed(model)
    run = WAYS[way](model)
    for _ in range(2):
        loss = criterion(run(images.clone()), target)
        (loss / 2).backward()
    with pytest.raises(RuntimeError, match="used already"):  # also after a forward pass that backward repeats
        criterion(torch.randn(len(images), 3, requires_grad=True), target)


def test_a_frozen_backbone_and_detached_heads_are_told_apart_too() -> None:
    model = network()
    model.requires_grad_(False).fc.requires_grad_(True)
    criterion, images, target = refreshed(model)
    criterion(model(images), target).backward()
    logits = model(images)
    model(images)
    with pytest.raises(RuntimeError, match="earlier forward pass"):
        criterion(logits, target)


def test_one_embedding_that_overflowed_does_not_take_the_centroid_with_it() -> None:
    tracker = ClassCentroidTracker(network(), 2, mode="online")
    tracker.refresh()
    embeddings = torch.randn(5, 4)
    embeddings[1] = torch.inf
    tracker.centroids_for(embeddings, torch.tensor([0, 0, 1, 1, 0]), torch.zeros(5, dtype=torch.bool))
    tracker.refresh()
    assert tracker.centroids is not None
    torch.testing.assert_close(tracker.centroids[0], embeddings[[0, 4]].mean(0))
    assert tracker.counts.tolist() == [2, 2]


def test_a_copy_of_the_loss_says_that_it_hears_no_model() -> None:
    base, model = data(), network()
    tracker = ClassCentroidTracker(model, 3)
    tracker.refresh(base)
    criterion = copy.deepcopy(CappedSMOTELoss(tracker=tracker))
    with pytest.raises(RuntimeError, match="no embeddings yet"):
        criterion(model(base.tensors[0]), base.tensors[1])


def test_a_tracker_made_before_the_model_moved_counts_where_the_model_is() -> None:
    model = network()
    tracker = ClassCentroidTracker(model, 3, mode="online")
    tracker.refresh()
    model.to("meta")
    labels = torch.zeros(2, dtype=torch.long, device="meta")
    _, counts = tracker.centroids_for(torch.empty(2, 96, device="meta"), labels, labels > 0)
    assert counts.device.type == "meta"


def test_another_data_sets_transform_is_replaced_too() -> None:
    base, model = data(), network()

    class Noisy(TensorDataset):
        transform: Any = staticmethod(torch.zeros_like)

        def __getitem__(self, index: int) -> Any:
            return self.transform(self.tensors[0][index]), self.tensors[1][index]

    with ClassCentroidTracker(model, 3) as tracker:
        tracker.refresh(Noisy(*base.tensors), transform=lambda image: image)
    expected = torch.stack(list(naive_centroids(model, base).values()))
    torch.testing.assert_close(tracker.centroids, expected.float(), rtol=1e-5, atol=1e-6)


class Wrapped(Dataset[Any]):
    """Hands a transform on to the data set that reads, and may work on after it."""

    def __init__(self, base: Any, transform: Any, step: Any = None) -> None:
        self.base, self.transform, self.step = base, transform, step

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int) -> Any:
        image, label = self.base[index]
        image = image if self.transform is None else self.transform(image)
        return image if self.step is None else self.step(image), label


def test_a_transform_of_a_data_set_is_replaced_behind_wrappers_too() -> None:
    base, model = data(), network()

    class Keeps(Wrapped):
        def __getitem__(self, index: int) -> Any:
            return self.base[index]

    zero = torch.zeros_like
    around = Keeps(Wrapped(base, zero), zero)
    with ClassCentroidTracker(model, 3) as tracker:
        tracker.refresh(around, transform=lambda image: image)
    expected = torch.stack(list(naive_centroids(model, base).values()))
    torch.testing.assert_close(tracker.centroids, expected.float(), rtol=1e-5, atol=1e-6)
    assert around.transform is zero


def test_albumentations_replaces_a_transform() -> None:
    A = pytest.importorskip("albumentations")
    to_tensor = pytest.importorskip("albumentations.pytorch").ToTensorV2()
    base, model = data(), network()
    arrays = [(image.permute(1, 2, 0).numpy(), int(label)) for image, label in base]
    with ClassCentroidTracker(model, 3) as tracker:
        tracker.refresh(arrays, transform=A.Compose([to_tensor]))
    expected = torch.stack(list(naive_centroids(model, base).values()))
    torch.testing.assert_close(tracker.centroids, expected.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("transform", "step", "message"),
    [
        (torch.zeros_like, lambda image: image + 1, "goes on working on the image after it.*Pass a data set"),
        (None, lambda image: image + torch.rand(()), "Wrapped draws random numbers.*Pass a data set without"),
    ],
)
def test_a_transform_that_cannot_be_replaced_is_refused(transform: Any, step: Any, message: str) -> None:
    with ClassCentroidTracker(network(), 3) as tracker, pytest.raises(ValueError, match=message):
        tracker.refresh(Wrapped(data(), transform, step), transform=lambda image: image)


def test_batch_centroids_are_the_mean_of_the_class_in_the_batch_and_an_absent_class_is_unknown() -> None:
    tracker = ClassCentroidTracker(network(), 3, mode="batch")
    embeddings, labels = torch.randn(6, 4), torch.tensor([0, 0, 2, 2, 2, -100])
    centroids, counts = tracker.centroids_for(embeddings, labels, torch.tensor([True, False, True, True, False, False]))
    torch.testing.assert_close(centroids[0], embeddings[:2].mean(0))
    torch.testing.assert_close(centroids[2], embeddings[2:5].mean(0))
    assert centroids[1].isnan().all()
    assert counts.tolist() == [2, 0, 3]
    tracker.refresh()  # nothing to do, and nothing asked for


def test_without_a_refresh_the_loss_says_so() -> None:
    base, model = data(), network()
    criterion = CappedSMOTELoss(tracker=ClassCentroidTracker(model, 3))
    with pytest.raises(
        RuntimeError, match=r"call begin_epoch\(criterion, train_set, epoch\) at the start of every epoch"
    ):
        criterion(model(base.tensors[0]), base.tensors[1])


def test_embeddings_of_a_refresh_are_not_taken_for_those_of_a_batch() -> None:
    base, model = data(), network()
    tracker = ClassCentroidTracker(model, 3)
    tracker.refresh(SMOTEDataset(base))
    with pytest.raises(RuntimeError, match="no embeddings yet"):
        CappedSMOTELoss(tracker=tracker)(torch.randn(4, 3), torch.zeros(4, dtype=torch.long))


def test_embeddings_are_used_for_one_loss_only() -> None:
    base, model = data(), network()
    tracker = ClassCentroidTracker(model, 3)
    criterion = CappedSMOTELoss(tracker=tracker)
    tracker.refresh(base)
    logits = model(base.tensors[0])
    criterion(logits, base.tensors[1])
    other = copy.deepcopy(model)(base.tensors[0])  # an EMA copy's, and just as many
    with pytest.raises(RuntimeError, match=r"used already.*EMA copy.*criterion.eval"):
        criterion(other, base.tensors[1])
    criterion(logits, base.tensors[1], tracker.embeddings)  # on purpose
    criterion.eval()(other, base.tensors[1])


def test_the_models_state_and_its_copies_know_nothing_of_the_tracker() -> None:
    base, model = data(), network()
    keys = list(model.state_dict())
    parameters = sum(1 for _ in model.parameters())
    tracker = ClassCentroidTracker(model, 3)
    criterion = CappedSMOTELoss(tracker=tracker)
    average = ModelEmaV3(model)
    tracker.refresh(SMOTEDataset(base))
    logits = model(base.tensors[0])
    before = tracker.embeddings
    average.module(base.tensors[0][:3])
    copy.deepcopy(model)(base.tensors[0][:5])
    assert tracker.embeddings is before
    assert list(model.state_dict()) == list(average.module.state_dict()) == keys
    assert sum(1 for _ in model.parameters()) == parameters
    assert list(criterion.parameters()) == list(criterion.modules())[1:] == []
    criterion(logits, base.tensors[1]).backward()


def test_a_resumed_tracker_goes_on_as_if_it_had_not_stopped() -> None:
    base, model = data(), network()
    for mode in ("epoch", "online"):
        tracker = ClassCentroidTracker(model, 3, mode=mode)  # type: ignore[arg-type]
        tracker.refresh(SMOTEDataset(base))
        model(base.tensors[0])
        tracker.centroids_for(tracker.embeddings, base.tensors[1], torch.zeros(61, dtype=torch.bool))
        resumed = ClassCentroidTracker(model, 3, mode=mode)  # type: ignore[arg-type]
        resumed.load_state_dict(copy.deepcopy(tracker.state_dict()))
        if mode == "online":
            tracker.refresh(), resumed.refresh()
        assert resumed.centroids is not tracker.centroids
        torch.testing.assert_close(resumed.centroids, tracker.centroids, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(resumed.counts, tracker.counts)
        assert resumed.counts.sum() > 0


# --- two processes


def refresh_in_shares(rank: int, kind: str, statistic: Any) -> tuple[Tensor, Tensor]:
    base, model = data(), network()
    if dist.is_initialized():
        model = nn.parallel.DistributedDataParallel(model)
    tracker = ClassCentroidTracker(model, 3, statistic=statistic)
    given: Any = base
    if kind == "SMOTEDataset":
        given = SMOTEDataset(base, sampler=SMOTE(random_state=0))
    elif kind == "unequal loaders":
        given = DataLoader(Subset(base, range(50) if rank == 0 else range(50, 61)), batch_size=8)
    elif kind == "an empty share":
        given = DataLoader(Subset(base, range(61) if rank == 0 else []), batch_size=8)
    elif kind == "one image":
        given = Subset(base, [0])
    tracker.refresh(given, batch_size=5)
    assert tracker.centroids is not None
    return tracker.centroids, tracker.counts


def refresh_everything(rank: int) -> dict[Any, tuple[Tensor, Tensor]]:
    return {
        (kind, statistic): refresh_in_shares(rank, kind, statistic)
        for kind in ("SMOTEDataset", "unequal loaders", "an empty share", "one image")
        for statistic in ("mean_embedding", "mean_image")
    }


def online_in_shares(rank: int) -> tuple[Tensor, Tensor]:
    tracker = ClassCentroidTracker(network(), 3, mode="online")
    tracker.refresh()
    images, labels = (tensor[rank::2] for tensor in data().tensors)
    if rank == 0:  # one rank trained on nothing
        tracker.centroids_for(images.flatten(1)[:, :7], labels, labels == 2)
    tracker.refresh()
    assert tracker.centroids is not None
    return tracker.centroids, tracker.counts


def work(rank: int) -> dict[Any, Any]:
    return {**refresh_everything(rank), "online": online_in_shares(rank)}


def test_two_processes_with_unequal_shares_get_the_centroids_of_one(tmp_path: Path) -> None:
    first, second = in_two_processes(work, tmp_path)
    assert first.keys() == second.keys()
    for case in first:
        for ours, theirs in zip(first[case], second[case], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True, msg=str(case))
    for (kind, statistic), (centroids, counts) in ((k, v) for k, v in first.items() if k != "online"):
        alone, alone_counts = refresh_in_shares(0, kind if kind in ("SMOTEDataset", "one image") else "all", statistic)
        torch.testing.assert_close(centroids, alone, rtol=1e-4, atol=1e-5, equal_nan=True, msg=f"{kind} {statistic}")
        assert torch.equal(counts, alone_counts)
    images, labels = (tensor[0::2] for tensor in data().tensors)
    centroids, counts = first["online"]
    assert counts[2] == 0
    torch.testing.assert_close(centroids[1], images.flatten(1)[labels == 1, :7].double().mean(0).float())


def sharded(version: int) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    model = network()
    if version == 1:
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"))
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    fully_shard(model.layer4, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def refresh_under_fsdp(rank: int, version: int) -> list[tuple[Tensor, Tensor]]:
    """Centroids of a set, of loaders of unequal length, and of one that is empty on a rank; then a loss, and a refusal."""
    base, model = Subset(data(), range(9)), sharded(version)
    tracker, found = ClassCentroidTracker(model, 3), []
    for mine in (base, DataLoader(Subset(base, [range(1), range(1, 9)][rank]), 2), DataLoader(base, 2) if rank else []):
        tracker.refresh(mine, batch_size=1)
        found.append((tracker.centroids, tracker.counts))
    images, labels = next(iter(DataLoader(base, 9)))
    CappedSMOTELoss(tracker=tracker)(model(images), encode_target(labels, labels > 0))
    with pytest.raises(ValueError, match="pretrain before fully_shard"):
        TripletPretrainer(model)
    return found


on_cpu = pytest.mark.skipif(not hasattr(torch.cpu.Stream, "record_event"), reason="this torch's FSDP 2 needs a GPU")


@pytest.mark.parametrize("version", [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=on_cpu)])
def test_under_fsdp_ranks_with_unequal_shares_embed_in_step(version: int, tmp_path: Path) -> None:
    alone = ClassCentroidTracker(network(), 3)
    alone.refresh(Subset(data(), range(9)))
    assert alone.centroids is not None
    for found in in_two_processes(refresh_under_fsdp, tmp_path, version, timeout=60.0):
        for centroids, counts in found:
            torch.testing.assert_close(centroids, alone.centroids, rtol=1e-4, atol=1e-5, equal_nan=True)
            assert torch.equal(counts, alone.counts)


@pytest.mark.parametrize("loader", ["torch.utils.data", "monai.data"])
@pytest.mark.parametrize(
    ("mode", "statistic"), [("epoch", "mean_embedding"), ("epoch", "mean_image"), ("online", "mean_embedding")]
)
def test_a_state_made_of_monai_images_is_plain_and_loads_without_monai(
    loader: str, mode: Any, statistic: Any, tmp_path: Path
) -> None:
    data = pytest.importorskip("monai.data")
    make_loader = importlib.import_module(loader).DataLoader
    images = torch.rand(12, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = [0, 1] * 6
    scans = [
        (data.MetaTensor(image, meta={"filename_or_obj": "a.nii"}), label)
        for image, label in zip(images, labels, strict=True)
    ]
    states = []
    for samples in (scans, list(zip(images, labels, strict=True))):
        torch.manual_seed(0)
        model = timm.create_model("test_resnet", num_classes=2).eval()
        tracker = ClassCentroidTracker(model, 2, mode=mode, statistic=statistic)
        tracker.refresh(make_loader(samples, batch_size=5))
        model.train()
        for batch, target in make_loader(samples, batch_size=4):
            model(batch)
            tracker.centroids_for(tracker.embeddings, torch.as_tensor(target), torch.zeros(4, dtype=torch.bool))
        assert type(tracker.embeddings) is torch.Tensor
        torch.save(tracker.state_dict(), tmp_path / "state.pt")
        states.append(torch.load(tmp_path / "state.pt", weights_only=True))
    assert {type(tensor) for state in states for tensor in state.values()} == {torch.Tensor}
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name])
