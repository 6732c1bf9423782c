"""Labels without decoding images, raw images without the transform."""

import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm.data
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import DatasetFolder, FakeData, ImageFolder, VisionDataset

from clesmote_losses.smote.base_dataset import check_labels, find_labels, image_path, split_transform

LABELS = np.array([2, 0, 1, 1, 0, 2, 0])


class Unreadable(Dataset):
    """Its images cannot be read."""

    def __init__(self, length: int = len(LABELS), **attributes: Any) -> None:
        self.length = length
        for name, value in attributes.items():
            setattr(self, name, value)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        raise AssertionError(f"image {index} was read")


class Pictures(VisionDataset):
    """Built as torchvision builds CIFAR10: arrays in memory, PIL images out."""

    def __init__(self, labels: Any = LABELS, transform: Any = None, target_transform: Any = None) -> None:
        super().__init__("", transform=transform, target_transform=target_transform)
        self.data = np.random.default_rng(0).integers(0, 256, (len(labels), 6, 6, 3), np.uint8)
        self.targets = labels

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = Image.fromarray(self.data[index]), int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)

    def __len__(self) -> int:
        return len(self.data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Handwritten digits 0, 1 and 2, as PNG files in a folder for each."""
    root = tmp_path_factory.mktemp("digits")
    digits = load_digits()
    for label, count in enumerate((5, 3, 4)):
        (root / f"digit {label}").mkdir()
        for i, image in enumerate(digits.images[digits.target == label][:count]):
            Image.fromarray((image * 15.9).astype(np.uint8)).save(root / f"digit {label}" / f"{i}.png")
    return root


def delete_images(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.write_bytes(b"")


@pytest.mark.parametrize("name", ["targets", "labels", "_labels"])
@pytest.mark.parametrize(
    "store",
    [list, tuple, np.asarray, torch.from_numpy, lambda y: y.astype(np.uint8), lambda y: [torch.tensor(v) for v in y]],
    ids=["list", "tuple", "array", "tensor", "uint8", "list of tensors"],
)
def test_labels_are_found_under_every_usual_name_and_in_every_container(name: str, store: Callable[[Any], Any]) -> None:
    found = find_labels(Unreadable(**{name: store(LABELS)}))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, LABELS)


@pytest.mark.parametrize("name", ["samples", "_samples"])  # the second in GTSRB, StanfordCars, Imagenette
def test_labels_and_paths_are_found_in_pairs_of_both(name: str) -> None:
    dataset = Unreadable(**{name: [(f"{i}.png", int(label)) for i, label in enumerate(LABELS)]})
    np.testing.assert_array_equal(find_labels(dataset), LABELS)
    assert image_path(dataset, 3) == "3.png"


def test_labels_in_a_column_as_medmnist_keeps_them_are_flattened() -> None:
    np.testing.assert_array_equal(find_labels(Unreadable(labels=LABELS[:, None])), LABELS)


@pytest.mark.parametrize("make", [ImageFolder, lambda root: timm.data.create_dataset("", root=str(root))])
def test_labels_of_an_image_folder_are_found_when_no_file_can_be_decoded(
    make: Callable[[Path], Any], folder: Path
) -> None:
    dataset = make(folder)
    from_items = [dataset[i][1] for i in range(len(dataset))]
    assert sorted(set(from_items)) == [0, 1, 2]
    contents = {path: path.read_bytes() for path in folder.rglob("*.png")}
    try:
        delete_images(folder)
        np.testing.assert_array_equal(find_labels(dataset), from_items)
    finally:
        for path, content in contents.items():
            path.write_bytes(content)


def test_labels_follow_subsets_of_subsets_and_concatenations() -> None:
    base = Unreadable(targets=LABELS.tolist())
    order = np.random.default_rng(0).permutation(len(LABELS))
    nested = Subset(Subset(base, order.tolist()), [5, 0, 0, 3])
    np.testing.assert_array_equal(find_labels(nested), LABELS[order][[5, 0, 0, 3]])
    both = ConcatDataset([nested, base, Subset(base, torch.tensor([1, 2])), Subset(base, range(2, 4))])
    expected = [*LABELS[order][[5, 0, 0, 3]], *LABELS, *LABELS[1:3], *LABELS[2:4]]
    np.testing.assert_array_equal(find_labels(both), expected)
    np.testing.assert_array_equal(find_labels(Subset(both, [12, 1])), [expected[12], expected[1]])


def test_labels_of_a_tensor_dataset_are_its_second_tensor() -> None:
    np.testing.assert_array_equal(find_labels(TensorDataset(torch.rand(7, 2), torch.from_numpy(LABELS))), LABELS)


def merged(label: int) -> int:
    return {0: 0, 1: 1, 2: 1}[label]


@pytest.mark.parametrize("store", [list, np.asarray, torch.from_numpy], ids=["list", "array", "tensor"])
def test_a_target_transform_is_applied_to_the_labels_as_the_data_set_applies_it(store: Callable[[Any], Any]) -> None:
    dataset = Pictures(store(LABELS), target_transform=merged)
    np.testing.assert_array_equal(find_labels(dataset), [dataset[i][1] for i in range(len(dataset))])
    assert find_labels(dataset).max() == 1  # it changes something


@pytest.mark.parametrize(
    "dataset",
    [FakeData(size=7), Unreadable(), TensorDataset(torch.rand(7, 2)), Unreadable(labels=lambda: LABELS)],
    ids=["FakeData", "no attribute", "one tensor", "a method"],
)
def test_where_no_labels_are_found_they_are_asked_for_and_nothing_is_read(dataset: Any) -> None:
    with pytest.raises(ValueError, match=rf"labels of {type(dataset).__name__} are not found.*labels="):
        find_labels(dataset)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0.0, 1.0], TypeError, "integers.*float64"),
        (torch.tensor([0.5, 1.0]), TypeError, "integers.*float32"),
        (["cat", "dog"], TypeError, "names to indices"),
        ([None, 1], TypeError, "integers"),
        ([[0, 1], [1, 0]], ValueError, r"shape \(2,\).*\(2, 2\)"),
        ([0, 1, 1], ValueError, r"shape \(2,\).*\(3,\)"),
        ([0], ValueError, r"shape \(2,\).*\(1,\)"),
        ([0, -1], ValueError, "sample 1 has -1"),
        (torch.tensor([-100, 0]), ValueError, "sample 0 has -100"),
    ],
)
def test_what_is_no_class_index_is_refused_with_what_came(labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_labels(labels, 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint64])
def test_checked_labels_are_int64_whatever_integers_came(dtype: Any) -> None:
    checked = check_labels(LABELS.astype(dtype), len(LABELS))
    assert checked.dtype == np.int64
    np.testing.assert_array_equal(checked, LABELS)


def test_a_data_set_without_a_transform_is_its_own_raw_data_set() -> None:
    for dataset in (TensorDataset(torch.rand(7, 2), torch.from_numpy(LABELS)), Unreadable()):
        raw, transform = split_transform(dataset)
        assert raw is dataset
        assert transform is None


class PicturesTransformedOnce(Pictures):
    """Calls ``transforms``, where torchvision keeps both transforms together, as OxfordIIITPet does."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = Image.fromarray(self.data[index]), int(self.targets[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)


@pytest.mark.parametrize("kind", [Pictures, PicturesTransformedOnce])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda d: d,
        lambda d: Subset(d, [6, 1, 3]),
        lambda d: Subset(Subset(d, [6, 1, 3]), [2, 0]),
        lambda d: ConcatDataset([d, Subset(d, [4])]),
        lambda d: Subset(ConcatDataset([d, d]), [9, 0]),
    ],
    ids=["plain", "Subset", "nested Subset", "ConcatDataset", "Subset of ConcatDataset"],
)
def test_raw_items_then_the_transform_are_the_items_and_the_data_set_keeps_its_transform(
    wrap: Callable[[Any], Any], kind: type[Pictures]
) -> None:
    transform = transforms.Compose([transforms.RandomHorizontalFlip(), transforms.ToTensor()])
    base = kind(transform=transform, target_transform=merged)
    before = dict(vars(base))
    dataset = wrap(base)
    raw, taken = split_transform(dataset)
    assert taken is transform
    assert vars(base) == before
    assert len(raw) == len(dataset)
    for i in range(len(dataset)):
        assert isinstance(raw[i][0], Image.Image)
        torch.manual_seed(i)
        image, label = dataset[i]
        torch.manual_seed(i)
        assert torch.equal(taken(raw[i][0]), image)
        assert raw[i][1] == label


def test_a_raw_copy_shares_the_images_in_memory() -> None:
    base = Pictures(transform=transforms.ToTensor())
    assert split_transform(base)[0].data is base.data


class AlwaysTransforms(Dataset):
    """As most people write it: the transform is called without asking whether there is one."""

    def __init__(self, transform: Any) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (len(LABELS), 6, 6), np.uint8)
        self.targets, self.transform = LABELS, transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.targets[index])


class AlwaysTransformsByMethod(AlwaysTransforms):
    def __init__(self) -> None:
        super().__init__(None)
        del self.transform

    def transform(self, image: Any) -> Any:
        return transforms.functional.to_tensor(image)


@pytest.mark.parametrize("make", [lambda: AlwaysTransforms(transforms.ToTensor()), AlwaysTransformsByMethod])
def test_a_data_set_that_calls_its_transform_without_asking_gives_raw_images_too(make: Callable[[], Any]) -> None:
    base = make()
    raw, transform = split_transform(base)
    raw = pickle.loads(pickle.dumps(raw))  # workers started by spawn
    for i in range(len(base)):
        assert isinstance(raw[i][0], Image.Image)
        assert torch.equal(transform(raw[i][0]), base[i][0])


class TransformedSubset(Subset):
    """The usual way to give the training part of random_split its own augmentation."""

    def __init__(self, dataset: Any, indices: Any, transform: Any) -> None:
        super().__init__(dataset, indices)
        self.transform = transform

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, label = self.dataset[self.indices[index]]
        return self.transform(image), label

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, Any]]:  # torch wants both or none
        return [self[index] for index in indices]


def test_the_transform_of_a_subset_with_its_own_is_taken_over() -> None:
    transform = transforms.ToTensor()
    part = TransformedSubset(Pictures(), [5, 2], transform)
    raw, taken = split_transform(part)
    assert taken is transform
    assert part.transform is transform
    assert isinstance(raw[1][0], Image.Image)
    assert torch.equal(taken(raw[1][0]), part[1][0])
    np.testing.assert_array_equal(find_labels(part), LABELS[[5, 2]])


def test_of_two_transforms_on_top_of_each_other_the_outer_is_taken_over_and_the_inner_stays() -> None:
    part = TransformedSubset(Pictures(transform=transforms.CenterCrop(4)), [5, 2], transforms.ToTensor())
    raw, taken = split_transform(part)
    assert raw[0][0].size == (4, 4)
    assert torch.equal(taken(raw[0][0]), part[0][0])


def test_a_transform_that_a_plain_subset_was_given_and_never_uses_is_not_taken_over() -> None:
    transform = transforms.ToTensor()
    part = Subset(Pictures(transform=transform), [5, 2])
    part.transform = transforms.CenterCrop(2)
    assert split_transform(part)[1] is transform


class DoublingSubset(Subset):
    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, label = self.dataset[self.indices[index]]
        return image.resize((12, 12)), label

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, Any]]:
        return [self[index] for index in indices]


def test_a_subset_that_reads_in_its_own_way_still_does() -> None:
    raw, _ = split_transform(DoublingSubset(Pictures(transform=transforms.ToTensor()), [0, 1]))
    assert raw[0][0].size == (12, 12)


def test_parts_with_one_transform_object_are_concatenated_and_others_refused() -> None:
    first, second = transforms.ToTensor(), transforms.ToTensor()
    assert split_transform(ConcatDataset([Pictures(transform=first), Pictures(transform=first)]))[1] is first
    for other in (second, None):
        with pytest.raises(ValueError, match="ConcatDataset have different transforms"):
            split_transform(ConcatDataset([Pictures(transform=first), Pictures(transform=other)]))


def test_a_transform_of_image_and_label_together_is_refused() -> None:
    base = VisionDataset("", transforms=lambda image, target: (image, target))
    with pytest.raises(ValueError, match="VisionDataset transforms image and label together"):
        split_transform(base)


@pytest.mark.parametrize("make", [ImageFolder, lambda root: timm.data.create_dataset("", root=str(root))])
def test_the_path_of_an_image_is_found_through_subsets_and_concatenations(
    make: Callable[[Path], Any], folder: Path
) -> None:
    dataset = make(folder)
    picture = random.Random(0).randrange(len(dataset))
    path = image_path(dataset, picture)
    assert path is not None
    np.testing.assert_array_equal(np.asarray(Image.open(path).convert("RGB")), np.asarray(dataset[picture][0]))
    assert image_path(Subset(Subset(dataset, [3, picture]), [1]), 0) == path
    assert image_path(ConcatDataset([Subset(dataset, [0, 1]), dataset]), 2 + picture) == path
    assert image_path(ConcatDataset([Pictures(), dataset]), len(LABELS) + picture) == path
    assert image_path(ConcatDataset([Pictures(), dataset]), 2) is None
    twice = ConcatDataset([dataset, dataset])
    assert [image_path(twice, i) for i in range(24)] == 2 * [image_path(dataset, i) for i in range(12)]


@pytest.mark.parametrize(
    ("samples", "path"),
    [
        ([("a.png", 0), ("b.png", 1)], "b.png"),
        (["a.png", "b.png"], "b.png"),
        ([Path("a.png"), Path("b.png")], "b.png"),
        (np.array(["a.png", "b.png"]), "b.png"),
        ([(np.zeros(2), 0), (np.zeros(2), 1)], None),
        (np.zeros((2, 4)), None),
        ({"a": 1}, None),
    ],
    ids=["pairs", "paths", "Paths", "array of paths", "pairs with arrays", "array", "no sequence"],
)
def test_samples_of_any_form_give_a_path_or_none_and_never_an_error(samples: Any, path: str | None) -> None:
    assert image_path(Unreadable(samples=samples), 1) == path


def test_a_data_set_folder_of_tensors_has_paths_too(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    torch.save(torch.zeros(1), tmp_path / "a" / "0.pt")
    dataset = DatasetFolder(str(tmp_path), loader=torch.load, extensions=(".pt",), transform=nn.Identity())
    assert image_path(dataset, 0) == str(tmp_path / "a" / "0.pt")
    raw, transform = split_transform(dataset)
    assert transform is dataset.transform
    assert torch.equal(raw[0][0], torch.zeros(1))
