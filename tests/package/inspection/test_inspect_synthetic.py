"""The tables against the loss and the tracker themselves, and planted cases."""

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from imblearn.over_sampling import SMOTE, BorderlineSMOTE, RandomOverSampler
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from clesmote_losses import (
    CappedSMOTELoss,
    ClassCentroidTracker,
    Inspection,
    SMOTEDataset,
    inspect_synthetic,
    log_prior,
)
from clesmote_losses.inspection.findings import first_looks
from clesmote_losses.restore import random_states
from tests.support.colored_blobs import FREQUENT, RARE, colors, smote, trained
from tests.support.gloo import in_two_processes
from tests.support.smote_data import Items
from tests.support.three_classes import data, network

WRONG = 4
PLANTED = list(range(FREQUENT, FREQUENT + WRONG))


def loss_by_itself(criterion: CappedSMOTELoss, model: nn.Module, train_set: SMOTEDataset, rows: Any) -> Tensor:
    """What training would see for these samples, without dropout."""
    model.eval()
    found = []
    for images, target in DataLoader(Subset(train_set, list(rows)), 16):
        found.append(criterion(model(images), target).detach())
    return torch.cat(found)


OPTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "defaults": dict,
    "euclidean": lambda: {"distance": "euclidean", "beta": 5.0},
    "constant": lambda: {"distance": None, "beta": 0.2},
    "weights, smoothing and adjustment": lambda: {
        "weight": torch.tensor([0.5, 2.0]),
        "label_smoothing": 0.1,
        "logit_adjustment": log_prior([60, 20]),
        "beta": 0.4,
    },
}


@pytest.mark.parametrize(
    ("name", "outputs", "options"),
    [*(("test_resnet", 2, name) for name in OPTIONS), ("test_vit", 2, "defaults"), ("test_resnet", 1, "defaults")],
)
def test_loss_and_cap_are_those_of_the_criterion_for_the_same_samples(name: str, outputs: int, options: str) -> None:
    train_set, model = smote(colors(wrong=WRONG)), trained(name, outputs)
    tracker = ClassCentroidTracker(model, 2)
    criterion = CappedSMOTELoss(tracker=tracker, reduction="none", **{"beta": 0.5, **OPTIONS[options]()})
    inspection = inspect_synthetic(model, train_set, criterion)
    table = inspection.table

    tracker.refresh(train_set)
    expected = loss_by_itself(criterion, model, train_set, table["index"])
    assert 0 < table["capped"].sum() < len(table) == FREQUENT - RARE  # not degenerate
    assert criterion.stats["capped"] == table["capped"].sum()
    np.testing.assert_allclose(np.minimum(table["loss"], table["cap"]), expected, rtol=1e-4, atol=1e-5)
    real = inspection.real[inspection.real["class"] == 1]
    expected = loss_by_itself(criterion, model, train_set, real["index"])
    np.testing.assert_allclose(real["loss"], expected, rtol=1e-4, atol=1e-5)
    assert tracker.centroids is not None
    np.testing.assert_allclose(inspection.centroids[1], tracker.centroids[1], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return trained()


@pytest.fixture(scope="module")
def planted(model: nn.Module) -> Inspection:
    return inspect_synthetic(model, smote(colors(wrong=WRONG)), beta=0.5)


def test_blends_of_two_wrong_images_are_capped_and_those_of_two_right_ones_are_not(planted: Inspection) -> None:
    wrong_parents = planted.table[["base", "neighbor"]].isin(PLANTED).sum(axis=1)
    capped = planted.table["capped"]
    assert (wrong_parents == 2).sum() > 3 < (wrong_parents == 0).sum()
    assert capped[wrong_parents == 2].all()
    assert not capped[wrong_parents == 0].any()


def test_planted_wrong_labels_come_first_among_the_suspects(planted: Inspection) -> None:
    suspects = planted.suspects()
    assert len(suspects) == RARE
    assert sorted(suspects["index"][:WRONG]) == PLANTED
    assert suspects["score"][WRONG - 1] > 0.5 > suspects["score"][WRONG]


def test_a_clean_set_has_neither_capped_blends_nor_doubtful_images(model: nn.Module) -> None:
    inspection = inspect_synthetic(model, smote(colors()), beta=0.5)
    assert not inspection.table["capped"].any()
    assert (inspection.suspects()["score"] < 0.5).all()


def of_ten_classes(wrong: int) -> Inspection:
    """Ten clouds; the last class is rare, and its first images may be of the first class. The network fits the right labels."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(10).repeat_interleave(torch.tensor([40] * 9 + [20]))
    labels = truth.clone()
    truth[360 : 360 + wrong] = 0
    images = torch.randn(10, 64, generator=generator)[truth] + 0.7 * torch.randn(380, 64, generator=generator)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mlp = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(mlp.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(mlp(images), truth).backward()
        optimizer.step()
    assert (mlp(images).argmax(1) == truth).all()
    tracker = ClassCentroidTracker(nn.Sequential(nn.Flatten(), mlp), 10, classifier="1.2")
    return inspect_synthetic(tracker.model, smote(TensorDataset(images.view(-1, 1, 8, 8), labels)), tracker=tracker)


@pytest.mark.parametrize("wrong", [0, 3])
def test_of_ten_classes_exactly_the_wrong_labels_are_doubtful(wrong: int) -> None:
    inspection = of_ten_classes(wrong)
    suspects = inspection.suspects()
    doubtful = suspects[suspects["likely_class"] != suspects["class"]]
    assert sorted(doubtful["index"]) == list(range(360, 360 + wrong))
    assert doubtful["likely_class"].tolist() == [0] * wrong
    said = first_looks(inspection)
    assert len(said) == 1 + wrong
    assert said[0].startswith("3 real images have a doubtful label, of 20" if wrong else "No real image")


def test_a_row_names_its_parents_and_repeats_their_losses(planted: Inspection) -> None:
    table, real = planted.table, planted.real.set_index("index")
    for row in table.itertuples():
        origin = planted.train_set.provenance(row.index)
        assert (row.base, row.neighbor, row._2) == (origin.base, origin.neighbor, origin.label)  # _2 is "class"
        assert row.lam == pytest.approx(origin.lam)
    for parent in ("base", "neighbor"):
        for column in ("loss", "cap"):
            assert table[f"{parent}_{column}"].tolist() == real.loc[table[parent], column].tolist()
    for index in PLANTED:
        own = table[(table["base"] == index) | (table["neighbor"] == index)]
        assert real.loc[index, "capped_blends"] == pytest.approx(own["capped"].mean())
    assert real["suspicion"].isna().tolist() == (~real["oversampled"]).tolist()
    assert real["capped_blends"].isna()[real["class"] == 0].all()


def test_embeddings_and_centroids_are_rows_of_the_tables(planted: Inspection, model: nn.Module) -> None:
    with torch.no_grad():
        rows = (
            copy.deepcopy(model)
            .eval()
            .forward_head(
                model.eval().forward_features(torch.stack([planted.train_set[i][0] for i in planted.real["index"]])),
                pre_logits=True,
            )
        )
    model.train()
    np.testing.assert_allclose(planted.real_embeddings, rows, atol=1e-4)
    np.testing.assert_allclose(planted.centroids[0], rows[:FREQUENT].mean(0), atol=1e-4)
    assert planted.synthetic_embeddings.shape == (len(planted.table), rows.shape[1])
    assert planted.known.tolist() == [True, True]
    near_red = planted.real.set_index("index").loc[PLANTED, "nearest_class"]
    assert (near_red == 0).all()  # of two classes, the other is the nearest other


def test_everything_is_left_as_it_was(model: nn.Module) -> None:
    train_set = smote(colors(wrong=WRONG))
    tracker = ClassCentroidTracker(model, 2)
    criterion = CappedSMOTELoss(tracker=tracker)
    tracker.refresh(train_set)
    model.train()
    model.bn1.eval()  # frozen by its user
    criterion(model(colors().tensors[0][:8]), torch.zeros(8, dtype=torch.int64)).backward()

    def state() -> list[Any]:
        hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()]
        modes = [part.training for part in model.modules()]
        gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
        tensors = [*model.state_dict().values(), *criterion.state_dict().values(), *tracker.state_dict().values()]
        plan, own = train_set.plan, sorted(set(vars(train_set)) - {"_has_own_labels"})  # which is cached
        return [random_states(), hooks, modes, criterion.training, own], [
            *(t.clone().nan_to_num() for t in [*tensors, *gradients] if isinstance(t, Tensor)),
            *(torch.from_numpy(part) for part in (plan.base, plan.neighbor, plan.lam)),
            *(value.nan_to_num() for value in criterion.stats.values()),
        ]

    plain, tensors = state()
    inspect_synthetic(model, train_set, criterion)
    plain_after, tensors_after = state()
    assert plain_after == plain
    assert all(torch.equal(one, other) for one, other in zip(tensors, tensors_after, strict=True))
    with pytest.raises(RuntimeError, match="no embeddings yet"):  # those of the inspection are of no batch
        tracker.embeddings  # noqa: B018
    model.bn1.train()


def test_options_take_the_place_of_those_of_the_criterion(model: nn.Module) -> None:
    train_set = smote(colors(wrong=WRONG))
    criterion = CappedSMOTELoss(tracker=ClassCentroidTracker(model, 2), beta=0.5)
    as_trained, wider = (inspect_synthetic(model, train_set, criterion, beta=beta) for beta in (None, 1.0))
    np.testing.assert_allclose(wider.table["cap"], 2 * as_trained.table["cap"], rtol=1e-5)
    assert (as_trained.beta, wider.beta) == (0.5, 1.0)
    other = inspect_synthetic(model, train_set, criterion, distance="euclidean")
    np.testing.assert_allclose(other.table["cap"], 0.5 / other.table["distance"], rtol=1e-5)


def test_no_distance_is_a_constant_cap_as_in_the_loss_with_and_without_a_criterion(model: nn.Module) -> None:
    train_set = smote(colors())
    criterion = CappedSMOTELoss(tracker=ClassCentroidTracker(model, 2), gradient="scale", warmup_epochs=2)
    for given in (None, criterion):
        constant = inspect_synthetic(model, train_set, given, beta=5.0, distance=None)
        assert set(constant.table["cap"]) == {5.0}
        assert constant.distance is None
    assert constant.loss_options["gradient"] == "scale"
    assert constant.loss_options["warmup_epochs"] == 2
    assert inspect_synthetic(model, train_set).distance == "cosine"


def test_a_copy_of_the_tracked_model_is_read_at_the_layer_of_the_tracker(model: nn.Module) -> None:
    train_set, tracker = smote(colors()), ClassCentroidTracker(model, 2, classifier="layer4")
    ema = copy.deepcopy(model)
    with torch.no_grad():
        ema.fc.weight.neg_()  # so that the two are told apart
    of_copy, of_model = (inspect_synthetic(one, train_set, tracker=tracker) for one in (ema, model))
    np.testing.assert_allclose(of_copy.real_embeddings, of_model.real_embeddings, atol=1e-5)
    assert of_copy.real_embeddings.shape[1] != model.fc.in_features
    assert of_copy.table["loss"].mean() > of_model.table["loss"].mean() + 0.5
    with pytest.raises(ValueError, match="VisionTransformer has none"):
        inspect_synthetic(trained("test_vit"), train_set, tracker=tracker)


def test_centroids_of_mean_images_are_those_of_the_tracker(model: nn.Module) -> None:
    train_set, tracker = smote(colors()), ClassCentroidTracker(model, 2, statistic="mean_image")
    tracker.refresh(train_set)
    inspection = inspect_synthetic(model, train_set, tracker=tracker)
    np.testing.assert_allclose(inspection.centroids, tracker.centroids, atol=1e-4)
    assert inspection.known.tolist() == [False, True]


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": RandomOverSampler(random_state=0)},
        {"sampler": BorderlineSMOTE(k_neighbors=3, m_neighbors=20, kind="borderline-2", random_state=0)},
        {"blend": "all"},
        {"flag": "item", "real_share": 0.7},
        {"sampler": SMOTE(sampling_strategy={1: RARE})},
    ],
    ids=["copies", "parents of another class", "blends of all", "copies that stay real", "none"],
)
def test_every_kind_of_set_is_inspected(options: dict[str, Any], model: nn.Module) -> None:
    train_set = smote(colors(wrong=WRONG), **options)
    inspection = inspect_synthetic(model, train_set)
    table = inspection.table
    assert table["index"].tolist() == np.flatnonzero(train_set.is_synthetic).tolist()
    assert np.isfinite(table[["loss", "base_loss", "neighbor_loss"]]).all(axis=None)
    assert set(inspection.suspects()["class"]) <= set(train_set.oversampled_classes)


def test_no_image_is_read_more_than_twice(model: nn.Module) -> None:
    images, labels = colors().tensors
    base = Items([image.numpy() for image in images], labels.tolist(), torch.from_numpy)
    train_set = smote(base)
    read = train_set.base.reads if hasattr(train_set.base, "reads") else base.reads
    read.clear()
    inspect_synthetic(model, train_set)
    counts = np.bincount(read)
    assert counts[0] == 1 + 8  # the first shows whether the transform is random
    assert counts[1:].max() == 2  # once as it is, once for all its blends
    assert counts[1:].min() == 1


def test_a_random_transform_is_told_and_the_evaluation_transform_is_silent(model: nn.Module) -> None:
    def flip(image: Tensor) -> Tensor:
        return image.flip(-1) if torch.rand(()) < 0.5 else image

    train_set, before = smote(colors(), transform=flip), random_states()
    with pytest.warns(UserWarning, match="draws random numbers"):
        first = inspect_synthetic(model, train_set)
    with pytest.warns(UserWarning, match="draws random numbers"):
        again = inspect_synthetic(model, train_set)
    assert first.table.equals(again.table)  # drawn by a seed
    assert random_states() == before
    inspect_synthetic(model, train_set, transform=lambda image: image)


def test_names_and_files_come_from_the_data_set(digits: Path) -> None:
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    base = ImageFolder(digits, transforms.Compose([transforms.Resize(32), transforms.ToTensor()]))
    inspection = inspect_synthetic(network(), smote(base))
    assert inspection.class_names == ["0", "1", "2"]
    suspects = inspection.suspects()
    assert suspects["file"].tolist() == [base.samples[i][0] for i in suspects["index"]]
    assert inspect_synthetic(network(), smote(base), class_names=["a", "b", "c"]).class_names == ["a", "b", "c"]


def inspected(rank: int, version: int = 0) -> list[Any]:
    """Tables of this rank; the model is sharded if a version is given."""
    model = network()
    if version:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        fully_shard(model.layer4, mesh=mesh)
        fully_shard(model, mesh=mesh)
    sampler = SMOTE(sampling_strategy={1: 40, 2: 39}, k_neighbors=4, random_state=0)
    train_set = smote(data(), sampler=sampler)
    inspection = inspect_synthetic(model, train_set, tracker=ClassCentroidTracker(model, 3), batch_size=59)
    return [inspection.table, inspection.real, inspection.real_embeddings, inspection.centroids]


on_cpu = pytest.mark.skipif(not hasattr(torch.cpu.Stream, "record_event"), reason="this torch's FSDP 2 needs a GPU")


@pytest.mark.parametrize("version", [0, pytest.param(2, marks=on_cpu)], ids=["whole", "sharded"])
def test_two_ranks_run_a_share_each_and_have_the_whole(version: int, tmp_path: Path) -> None:
    expected = inspected(0)
    assert len(expected[0]) + len(expected[1]) == 119  # shares of two batches and of one
    for found in in_two_processes(inspected, tmp_path, version, timeout=90.0):
        for one, other in zip(found[:2], expected[:2], strict=True):
            assert one.columns.tolist() == other.columns.tolist()
            for column in other:
                if column != "file":
                    np.testing.assert_allclose(
                        one[column].astype(float), other[column].astype(float), rtol=1e-3, atol=1e-4
                    )
        for one, other in zip(found[2:], expected[2:], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_wrong_uses_say_what_to_pass(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    train_set: Any = smote(colors())
    for wrong, error, message in (
        ({"train_set": colors()}, TypeError, "must be a SMOTEDataset.*got TensorDataset"),
        ({"criterion": nn.CrossEntropyLoss()}, TypeError, "must be a CappedSMOTELoss.*got CrossEntropyLoss"),
        ({"tracker": "fc"}, TypeError, "must be a ClassCentroidTracker.*got str"),
        ({"beta": 0}, ValueError, "beta must be positive"),
        ({"distance": "manhattan"}, ValueError, "distance must be one of"),
        ({"class_names": ["red"]}, ValueError, r"must hold 2 names.*got \['red'\]"),
        ({"train_set": smote(data())}, ValueError, "label 2 is out of range for the 2 classes"),
        (
            {"tracker": ClassCentroidTracker(model, 3, classifier="fc")},
            ValueError,
            r"no tensor of logits of shape \(N, 3\)",
        ),
    ):
        with pytest.raises(error, match=message):
            inspect_synthetic(**{"model": model, "train_set": train_set, **wrong})
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"needs pandas: pip install .clesmote-losses\[report\]"):
        inspect_synthetic(model, train_set)
