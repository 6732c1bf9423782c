"""What a refresh reads: images, labels, and which images are synthetic, whatever carries the flag."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from clesmote_losses import SMOTEDataset, encode_target
from clesmote_losses.batches import batches_of, first_image, read_batch

IMAGES, LABELS = torch.rand(30, 3, 8, 8), torch.tensor([0] * 20 + [1] * 10)
BASE = TensorDataset(IMAGES, LABELS)


def real_labels(batches: Any) -> list[int]:
    """Return how many real images of each class there are."""
    read = [read_batch(batch) for batch in batches]
    labels, flags = (torch.cat([part[i] for part in read]) for i in (1, 2))
    assert len(labels) == 40
    return torch.bincount(labels[~flags]).tolist()


@pytest.mark.parametrize("flag", ["target", "item"])
@pytest.mark.parametrize("given", ["loader", "subset", "subset with another transform", "list of batches"])
def test_synthetic_images_are_known_whatever_carries_the_flag(flag: Any, given: str) -> None:
    train_set = SMOTEDataset(BASE, flag=flag)
    loader = DataLoader(train_set, 8)
    batches: Any = {
        "loader": lambda: batches_of(loader),
        "subset": lambda: batches_of(Subset(train_set, range(40)), batch_size=7),
        "subset with another transform": lambda: batches_of(Subset(train_set, range(40)), torch.zeros_like),
        "list of batches": lambda: iter([list(batch) for batch in loader]),
    }[given]()
    assert real_labels(batches) == [20, 10]


@pytest.mark.parametrize("flag", ["target", "item"])
def test_of_a_smote_dataset_the_real_images_of_over_sampled_classes_come(flag: Any) -> None:
    [batch] = batches_of(SMOTEDataset(BASE, flag=flag))
    images, labels, is_synthetic = read_batch(batch)
    assert torch.equal(images, IMAGES[20:])
    assert labels.tolist() == [1] * 10
    assert not is_synthetic.any()


def test_a_flag_in_the_target_and_one_beside_it_both_count() -> None:
    flags = torch.tensor([True, False, False])
    target = encode_target(torch.tensor([1, 0, 0]), torch.tensor([False, True, False]))
    assert read_batch((None, target, flags))[2].tolist() == [True, True, False]


def test_labels_may_be_numpys_or_a_list() -> None:
    for target in (np.array([1, 0]), [1, 0]):
        assert read_batch((None, target))[1].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("batch", "got"),
    [
        ({"image": IMAGES, "label": LABELS}, r"a dict of \['image', 'label'\].*batch\['image'\]"),
        (IMAGES, "got Tensor"),
        ([IMAGES], "got 1 items"),
        ((IMAGES, LABELS, LABELS, LABELS), "got 4 items"),
        ((IMAGES, LABELS, LABELS), r"third item must be bool, and is torch.int64.*for images, label, _ in loader"),
        ((IMAGES, LABELS, ["a.png"] * 30), "third item must be bool, and is list"),
    ],
)
def test_another_batch_is_refused_with_what_is_wanted(batch: Any, got: str) -> None:
    with pytest.raises(
        TypeError, match=rf"needs batches of \(image, target\), or \(image, label, is_synthetic\).*{got}"
    ):
        read_batch(batch)


@pytest.mark.parametrize("batch", [(IMAGES, LABELS[:, None]), (IMAGES, LABELS, LABELS[:-1] > 0)])
def test_labels_and_flags_need_one_shape(batch: Any) -> None:
    with pytest.raises(ValueError, match=r"labels and flags must have the same shape \(N,\)"):
        read_batch(batch)


def test_an_item_that_is_a_dict_cannot_be_transformed() -> None:
    class Dicts(Dataset[Any]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return {"image": IMAGES[index], "label": 0}

    with pytest.raises(TypeError, match=r"transform= needs items .*got a dict of \['image', 'label'\]"):
        list(batches_of(Dicts(), torch.zeros_like))


def test_the_first_image_is_that_of_a_data_set_with_the_transform() -> None:
    for data in (BASE, Subset(BASE, range(3)), SMOTEDataset(BASE, flag="item")):
        assert torch.equal(first_image(data), IMAGES[:1])
        assert torch.equal(first_image(data, torch.zeros_like), torch.zeros(1, 3, 8, 8))
    assert first_image(DataLoader(BASE)) is first_image(None) is first_image([]) is None


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(BASE)


@pytest.mark.parametrize("transform", [None, torch.neg], ids=["alone", "with a transform"])
def test_a_stream_is_refused_and_has_no_first_image(transform: Any) -> None:
    with pytest.raises(TypeError, match="map-style data set or a loader of batches; got Stream"):
        batches_of(Stream(), transform)
    assert first_image(Stream(), transform) is None
