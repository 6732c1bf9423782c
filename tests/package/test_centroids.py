"""Centroids against a plain mean in float64."""

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from imblearn.over_sampling import SMOTE
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from clesmote_losses import CappedSMOTELoss, ClassCentroidTracker, SMOTEDataset, encode_target
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
    with pytest.raises(RuntimeError, match=r"call tracker.refresh\(train_set\) at the start of every epoch"):
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
