"""Labels of the balanced data set: passed ones against its own, and items of other forms."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset
from torchvision import transforms

from clesmote_losses import SMOTEDataset
from tests.support.base_datasets import Pictures
from tests.support.smote_data import float_images
from tests.support.user_datasets import ARRAYS, Scans

IMAGES, LABELS = float_images({0: 60, 1: 24, 2: 16})
SAMPLER = SMOTE(k_neighbors=3, random_state=0)


class Silent(Dataset):
    """Its labels are not found without reading."""

    def __init__(self, labels: Any) -> None:
        self.given = labels

    def __len__(self) -> int:
        return len(self.given)

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(IMAGES[index]), self.given[index]


def other_order() -> np.ndarray:
    """The labels of a table in another order, in which 70 rows of a hundred are still right."""
    labels = LABELS.copy()
    rows = np.random.default_rng(1).permutation(100)
    wrong = np.sort(rows[:50])
    labels[wrong] = labels[wrong[::-1]]
    assert 15 < (labels != LABELS).sum() < 45
    return labels


OWN = {
    "found": lambda: TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(LABELS)),
    "pictures": lambda: Pictures(LABELS),
    "found in a subset": lambda: Subset(
        TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(LABELS)), np.arange(100)
    ),
    "only in the items": lambda: Silent(LABELS.tolist()),
    "names in the items": lambda: Silent(np.array(["normal", "benign", "malignant"])[LABELS].tolist()),
    "one-hot in the items": lambda: Silent(torch.eye(3)[LABELS]),
}


@pytest.mark.parametrize("base", OWN.values(), ids=OWN.keys())
def test_passed_labels_may_merge_the_classes_of_the_data_set_and_may_not_split_or_mix_them(base: Any) -> None:
    merged = np.array([0, 1, 1])[LABELS]
    train_set = SMOTEDataset(base(), labels=merged, sampler=SAMPLER)
    assert np.bincount(train_set.labels).tolist() == [60, 60]
    split = np.where((LABELS == 0) & (IMAGES[:, 0, 0, 0] > np.median(IMAGES[LABELS == 0, 0, 0, 0])), 3, LABELS)
    for labels in (split, other_order()):
        with pytest.raises(ValueError, match=r"labels= contradict .*samples \d+ and \d+ have label .* gives \d and \d"):
            SMOTEDataset(base(), labels=labels, sampler=SAMPLER)


def test_a_class_is_split_by_the_wrapper_that_the_message_shows() -> None:
    base = Pictures(LABELS, transform=transforms.Compose([transforms.RandomHorizontalFlip(), transforms.ToTensor()]))
    split = np.where((LABELS == 0) & (np.arange(100) % 2 == 0), 3, LABELS)
    with pytest.raises(ValueError, match="labels= contradict") as caught:
        SMOTEDataset(base, labels=split, sampler=SAMPLER)
    scope: dict[str, Any] = {"torch": torch}
    exec("if True:\n" + str(caught.value).split(" with\n")[1], scope)
    train_set = SMOTEDataset(scope["Relabelled"](base, split), sampler=SAMPLER)
    assert len(set(np.bincount(train_set.labels))) == 1
    assert len(np.unique(train_set.labels)) == 4
    for index in range(100):
        torch.manual_seed(index)
        image, target = train_set[index]
        torch.manual_seed(index)
        assert torch.equal(image, base[index][0])
        assert target == split[index]


def test_one_wrong_label_in_a_list_that_is_found_is_noticed_when_the_set_is_made() -> None:
    labels = LABELS.copy()
    labels[np.flatnonzero(LABELS == 0)[41]] = 2
    with pytest.raises(ValueError, match=r"labels= contradict"):
        SMOTEDataset(OWN["found"](), labels=labels, sampler=SAMPLER)


@pytest.mark.parametrize("send", [lambda s: s, lambda s: pickle.loads(pickle.dumps(s))], ids=["here", "in a worker"])
def test_one_wrong_label_of_an_item_is_noticed_when_it_is_read(send: Any) -> None:
    labels = LABELS.copy()
    unread = next(i for i in np.flatnonzero(LABELS == 0) if i not in np.linspace(0, 99, 32).astype(int))
    labels[unread] = 1
    train_set = send(
        SMOTEDataset(Silent(LABELS.tolist()), labels=labels, sampler=SMOTE(sampling_strategy={2: 30}, random_state=0))
    )
    with pytest.raises(ValueError, match=rf"labels= contradict .*samples \d+ and {unread} have label 0"):
        _ = [train_set[index] for index in range(100)]


def test_a_list_that_is_not_what_the_items_give_is_not_compared() -> None:
    base = Silent(LABELS.tolist())
    base.labels = np.random.default_rng(0).integers(20, 90, 100)  # ages
    assert np.bincount(SMOTEDataset(base, labels=LABELS, sampler=SAMPLER).labels).tolist() == [60, 60, 60]


@pytest.mark.parametrize("own", [[-1] * 100, [None] * 100, list(range(100))], ids=["-1", "None", "ids"])
def test_a_data_set_without_labels_takes_any(own: list[Any]) -> None:
    train_set = SMOTEDataset(Silent(own), labels=LABELS, sampler=SAMPLER)
    assert [train_set[i][1] for i in range(100)] == LABELS.tolist()
    with pytest.raises(ValueError, match="have label 0 there"):  # one folder of images: it is a class
        SMOTEDataset(Silent([0] * 100), labels=LABELS, sampler=SAMPLER)


def test_uncertain_samples_are_left_out_by_a_subset_and_the_rest_is_balanced() -> None:
    labels = np.where(np.arange(100) % 9 == 4, -1, LABELS)
    certain = np.flatnonzero(labels >= 0)
    base = TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(labels))
    for part in (Subset(base, certain), Subset(ConcatDataset([base, base]), certain + 100)):
        train_set = SMOTEDataset(part, sampler=SAMPLER)
        assert train_set.labels.min() == 0
        assert len(set(np.bincount(train_set.labels))) == 1
        for place, index in enumerate(certain):
            assert train_set[place][1] == labels[index]
            assert torch.equal(train_set[place][0], torch.from_numpy(IMAGES[index]))


class Form(Silent):
    """Items of any form, made by ``form(image, label, index)``."""

    def __init__(self, form: Any, targets: Any) -> None:
        super().__init__(LABELS.tolist())
        self.form, self.targets = form, targets

    def __getitem__(self, index: int) -> Any:
        return self.form(*super().__getitem__(index), index)


FORMS = {
    "dict": (lambda image, label, _: {"image": image, "label": label}, "a dict of 'image', 'label'"),
    "triple": (lambda image, label, index: (image, index, label), "a tuple of 3"),
    "image": (lambda image, label, _: image, "a Tensor"),
    "nested": (lambda image, label, _: ((image, image), label, label), "a tuple of 3"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("balanced", [False, True], ids=["imbalanced", "nothing to make"])
def test_items_that_are_no_pairs_are_refused_when_the_set_is_made_and_the_wrapper_shown(
    form: tuple[Any, str], balanced: bool
) -> None:
    make, came = form
    options: Any = {"sampler": SMOTE(sampling_strategy={0: 60}) if balanced else SAMPLER}
    with pytest.raises(TypeError, match=rf"must give \(image, label\); item \d+ is {came}. Wrap it"):
        SMOTEDataset(Form(make, LABELS), **options)


def test_the_wrapper_that_the_message_shows_works() -> None:
    base = Form(FORMS["dict"][0], LABELS)
    with pytest.raises(TypeError) as caught:
        SMOTEDataset(base)
    code = str(caught.value).split("labels=:\n")[1]
    scope: dict[str, Any] = {"torch": torch}
    exec("if True:\n" + code, scope)
    train_set = SMOTEDataset(scope["Pairs"](base), labels=LABELS, sampler=SAMPLER)
    for index in range(100):
        image, target = train_set[index]
        assert torch.equal(image, torch.from_numpy(IMAGES[index]))
        assert target == LABELS[index]
    assert sum(len(images) for images, _ in DataLoader(train_set, 50)) == 180


def test_the_wrapper_that_the_message_shows_hands_on_a_transform_of_a_data_set_that_augments() -> None:
    class Triples(Scans):
        def __getitem__(self, index: int) -> Any:
            return self.image(index), self.targets[index], f"{index}.png"

    base = Triples()
    with pytest.raises(TypeError) as caught:
        SMOTEDataset(base)
    scope: dict[str, Any] = {"torch": torch}
    exec("if True:\n" + str(caught.value).split("labels=:\n")[1], scope)
    train_set = SMOTEDataset(scope["Pairs"](base), labels=base.targets)
    assert train_set.transform is base.transform
    assert np.array_equal(np.asarray(train_set.raw_image(3)), ARRAYS[3])
