"""Items, flags and counts of a data set that keeps real copies, blends every class, or over-samples by copies."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.distributed as dist
from imblearn.over_sampling import SMOTE, RandomOverSampler
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from clesmote_losses import (
    CappedSMOTELoss,
    ClassCentroidTracker,
    SMOTEDataset,
    TripletPretrainer,
    begin_epoch,
    decode_target,
    end_epoch,
)
from clesmote_losses.errors import ArgumentError
from clesmote_losses.smote.sample_records import Provenance
from tests.support.gloo import in_two_processes
from tests.support.smote_data import counting, tensor_dataset

COUNTS = {0: 24, 1: 7, 2: 10}
WAYS: dict[str, dict[str, Any]] = {
    "over": {"sampler": RandomOverSampler(random_state=0)},
    "real copies": {"real_share": 0.7},
    "real alone": {"real_share": 1},
    "all": {"blend": "all"},
    "any": {"partners": "any", "blend": "all", "blend_share": 0.2},
}
# real, copies that stay real, synthetic; by hand: .7 of 24 is 16.8
EXPECTED = {
    "over": [(24, 0, 0), (7, 0, 17), (10, 0, 14)],
    "real copies": [(24, 0, 0), (7, 10, 7), (10, 7, 7)],
    "real alone": [(24, 0, 0), (7, 17, 0), (10, 14, 0)],
    "all": [(24, 0, 24), (7, 17, 24), (10, 14, 24)],
    "any": [(24, 0, 6), (7, 17, 6), (10, 14, 6)],
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS)


@EVERY_WAY
def test_real_items_are_those_of_the_base_and_each_copy_is_one_of_them(way: str) -> None:
    base = tensor_dataset(COUNTS)
    train_set = SMOTEDataset(base, **WAYS[way])
    assert list(train_set.counts_by_class().values()) == EXPECTED[way]
    flags, source = train_set.is_synthetic, train_set.source
    labels, decoded = decode_target(torch.tensor([train_set[i][1] for i in range(len(train_set))]))
    np.testing.assert_array_equal(decoded.numpy(), flags)
    np.testing.assert_array_equal(labels.numpy(), train_set.labels)
    assert source[: len(base)].tolist() == list(range(len(base)))
    for i, (is_synthetic, of) in enumerate(zip(flags.tolist(), source.tolist(), strict=True)):
        if is_synthetic:
            assert of == i >= len(base)
            of = train_set.provenance(i).base
            assert torch.equal(train_set[i][0], base[of][0]) == (way == "over")
        else:
            assert torch.equal(train_set[i][0], base[of][0])
            assert train_set[i][1] == int(base[of][1])
            assert train_set.provenance(i) == Provenance(False, int(base[of][1]), of, None, 0.0)


@EVERY_WAY
def test_raised_and_blended_classes_are_told_apart(way: str) -> None:
    train_set = SMOTEDataset(tensor_dataset(COUNTS), **WAYS[way])
    assert train_set.oversampled_classes == [1, 2]
    assert train_set.blended_classes == [label for label, (_, _, n) in enumerate(EXPECTED[way]) if n]
    assert train_set.capped_classes == ([0, 1, 2] if 0 in train_set.blended_classes else [1, 2])
    usual = SMOTEDataset(tensor_dataset(COUNTS))
    assert usual.oversampled_classes == usual.blended_classes == [1, 2]


def test_a_cap_on_over_sampled_classes_has_centroids_where_all_draws_stay_real() -> None:
    train_set = SMOTEDataset(tensor_dataset(COUNTS), real_share=1.0, image_size=(32, 32))
    assert train_set.blended_classes == []
    tracker = ClassCentroidTracker(timm.create_model("test_resnet", num_classes=3), 3)
    criterion = CappedSMOTELoss(tracker=tracker, capped="oversampled")
    begin_epoch(criterion, train_set, 0)
    assert tracker.counts is not None
    assert tracker.counts.tolist() == [0, COUNTS[1], COUNTS[2]]


def test_the_representation_tells_copies_from_synthetic_samples_and_names_the_options() -> None:
    assert repr(SMOTEDataset(tensor_dataset(COUNTS), blend="all")).splitlines() == [
        "SMOTEDataset of TensorDataset, SMOTE, blend='all', blend_share=0.5",
        "    class 0: 24 real + 24 synthetic",
        "    class 1: 7 real + 17 copies of them + 24 synthetic",
        "    class 2: 10 real + 14 copies of them + 24 synthetic",
    ]


def test_each_real_image_is_read_once_for_the_centroids_of_all_blended_classes() -> None:
    train_set = SMOTEDataset(tensor_dataset(COUNTS), blend="all", image_size=(32, 32))
    model = timm.create_model("test_resnet", num_classes=3, in_chans=3).eval()
    tracker = ClassCentroidTracker(model, 3)
    tracker.refresh(train_set)
    assert tracker.centroids is not None
    images, labels = zip(*tensor_dataset(COUNTS), strict=True)
    with torch.no_grad():
        embeddings = model.forward_head(model.forward_features(torch.stack(images)), pre_logits=True)
    for label in COUNTS:
        mean = embeddings[torch.stack(labels) == label].mean(0)
        torch.testing.assert_close(tracker.centroids[label], mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", ["over", "any", "real alone"])
def test_without_a_search_no_more_than_a_few_images_are_read(way: str) -> None:
    few, base = counting(COUNTS), counting(COUNTS)
    plan = SMOTEDataset(few, **WAYS[way]).plan
    few.reads.clear()
    SMOTEDataset(few, plan=plan)  # reads the few that every data set reads to check it
    SMOTEDataset(base, **WAYS[way])
    assert (len(base.reads) == len(few.reads)) == (way != "real alone")  # SMOTE searches there


def test_copies_keep_sizes_that_could_not_be_blended(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label, count in (("a", 6), ("b", 2)):
        (tmp_path / label).mkdir()
        for i in range(count):
            pixels = rng.integers(0, 256, (8 + i, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{i}.png")
    base = ImageFolder(str(tmp_path))
    train_set = SMOTEDataset(base, sampler=RandomOverSampler(random_state=0))
    for i in range(8, 12):
        image, of = train_set[i][0], train_set.provenance(i).base
        assert image.size == base[of][0].size
        assert image.tobytes() == base[of][0].tobytes()


def test_paths_of_copies_are_those_of_their_images(digits: Path) -> None:
    train_set = SMOTEDataset(ImageFolder(str(digits)), real_share=0.9, sampler=SMOTE(k_neighbors=2, random_state=0))
    paths = [path for path, _ in train_set.samples]
    assert Counter(path is None for path in paths)[True] == train_set.is_synthetic.sum() > 0
    assert all(paths[i] == paths[of] for i, of in enumerate(train_set.source) if paths[i] is not None)


@pytest.mark.parametrize("way", ["real copies", "any"])
def test_flags_and_labels_stay_where_they_are_in_each_epoch_and_copies_are_drawn_anew(way: str) -> None:
    base = tensor_dataset(COUNTS)
    train_set = SMOTEDataset(base, **WAYS[way], redraw="epoch")
    loader = DataLoader(train_set, batch_size=200, num_workers=1, persistent_workers=True)
    seen = []
    for epoch in (1, 2):
        train_set.set_epoch(epoch)
        images, target = next(iter(loader))
        labels, flags = decode_target(target)
        np.testing.assert_array_equal(flags.numpy(), train_set.is_synthetic)
        np.testing.assert_array_equal(labels.numpy(), train_set.labels)
        copies = np.flatnonzero(~train_set.is_synthetic)
        np.testing.assert_array_equal(images[copies], torch.stack([base[i][0] for i in train_set.source[copies]]))
        seen.append((images, train_set.source, flags))
    assert torch.equal(seen[0][2], seen[1][2])
    assert not np.array_equal(seen[0][1], seen[1][1])
    assert not torch.equal(seen[0][0][seen[0][2]], seen[1][0][seen[0][2]])


def test_a_plan_of_other_draws_is_refused_with_and_without_its_sampler() -> None:
    base, sampler = tensor_dataset(COUNTS), SMOTE(k_neighbors=5, random_state=0)
    plan = SMOTEDataset(base, real_share=0.5).plan
    assert SMOTEDataset(base, plan=plan).counts_by_class()[1] == (7, 5, 12)
    SMOTEDataset(base, plan=plan, sampler=sampler, real_share=0.5)
    SMOTEDataset(base, plan=plan, real_share=0.5)
    with pytest.raises(ArgumentError, match=r"real_share=0.5 \(wanted None\)"):
        SMOTEDataset(base, plan=plan, sampler=sampler)
    with pytest.raises(ArgumentError, match=r"real_share=0.5 \(wanted 0.6\)"):
        SMOTEDataset(base, plan=plan, real_share=0.6)


def test_the_loss_caps_no_real_copy() -> None:
    train_set = SMOTEDataset(tensor_dataset(COUNTS), real_share=0.7, flag="target")
    criterion = CappedSMOTELoss(beta=0.01, distance=None)
    begin_epoch(criterion, train_set, 0)
    logits = torch.randn(len(train_set), 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    criterion(logits, torch.tensor([target for _, target in train_set])).backward()
    assert end_epoch(criterion)["synthetic"] == train_set.is_synthetic.sum() == 14
    assert logits.grad is not None
    np.testing.assert_array_equal(logits.grad.abs().sum(1).numpy() > 0, ~train_set.is_synthetic)


def test_pretraining_takes_a_set_whose_classes_are_all_blended() -> None:
    train_set = SMOTEDataset(tensor_dataset(COUNTS), blend="all", blend_share=0.2)
    model = timm.create_model("test_resnet", num_classes=3)
    history = TripletPretrainer(model).fit(train_set, epochs=1, batch_size=16, progress=False)
    assert np.isfinite(history[0]["loss"])


def _draws(rank: int) -> list[tuple[bytes, ...]]:
    found = []
    for options in WAYS.values():
        train_set = SMOTEDataset(tensor_dataset(COUNTS), **options, redraw="epoch")
        train_set.set_epoch(3)
        plan = train_set.plan
        found.append(tuple(array.tobytes() for array in (plan.base, plan.neighbor, plan.lam, plan.is_synthetic)))
    dist.barrier()
    return found


def test_every_rank_draws_the_same(tmp_path: Path) -> None:
    one, other = in_two_processes(_draws, tmp_path)
    assert one == other
    assert len({*one}) == len(WAYS)
