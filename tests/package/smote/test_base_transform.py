"""Raw images without the transform."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset
from torchvision import transforms

from clesmote_losses.smote.base_transform import split_transform
from clesmote_losses.smote.labels import find_labels
from tests.support.base_datasets import LABELS, Pictures, Unreadable, merged


def test_a_data_set_without_a_transform_is_its_own_raw_data_set() -> None:
    for dataset in (TensorDataset(torch.rand(7, 2), torch.from_numpy(LABELS)), Unreadable()):
        raw, transform, _ = split_transform(dataset)
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
    raw, taken, _ = split_transform(dataset)
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
    raw, transform, _ = split_transform(base)
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
    raw, taken, _ = split_transform(part)
    assert taken is transform
    assert part.transform is transform
    assert isinstance(raw[1][0], Image.Image)
    assert torch.equal(taken(raw[1][0]), part[1][0])
    np.testing.assert_array_equal(find_labels(part), LABELS[[5, 2]])


def test_of_two_transforms_on_top_of_each_other_the_outer_is_taken_over_and_the_inner_stays() -> None:
    part = TransformedSubset(Pictures(transform=transforms.CenterCrop(4)), [5, 2], transforms.ToTensor())
    raw, taken, _ = split_transform(part)
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


def test_a_subset_that_works_on_after_the_transform_of_its_data_set_is_refused() -> None:
    raw, *_ = split_transform(DoublingSubset(Pictures(), [0, 1]))
    assert raw[0][0].size == (12, 12)
    with pytest.raises(ValueError, match="goes on working on the image after it"):
        split_transform(DoublingSubset(Pictures(transform=transforms.CenterCrop(4)), [0, 1]))


def test_parts_with_one_transform_object_are_concatenated_and_others_refused() -> None:
    first, second = transforms.ToTensor(), transforms.ToTensor()
    assert split_transform(ConcatDataset([Pictures(transform=first), Pictures(transform=first)]))[1] is first
    for other in (second, None):
        with pytest.raises(ValueError, match="ConcatDataset have different transforms"):
            split_transform(ConcatDataset([Pictures(transform=first), Pictures(transform=other)]))


def test_a_transform_of_image_and_label_together_is_refused() -> None:
    base = PicturesTransformedOnce()
    base.transforms = lambda image, target: (image, target)
    with pytest.raises(ValueError, match=r"calls it with \(Image, int\), and a blend has only one image"):
        split_transform(base)


def test_the_data_set_keeps_everything_that_it_holds() -> None:
    class Caching(Pictures):
        def __getitem__(self, index: int) -> tuple[Any, Any]:
            self.cache[index] = super().__getitem__(index)
            return self.cache[index]

    base = Caching(transform=transforms.RandomHorizontalFlip())
    base.cache = {}
    before = dict(vars(base))
    random_state = torch.get_rng_state()
    split_transform(base)
    assert vars(base).keys() == before.keys()
    assert all(value is before[name] for name, value in vars(base).items())
    assert base.cache == {}
    assert torch.equal(torch.get_rng_state(), random_state)


class Noise:
    """Draws from a generator of its own."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __call__(self, image: Any) -> Any:
        return np.asarray(image) + self.rng.random()


def test_a_transform_with_a_generator_of_its_own_spends_no_number() -> None:
    base = Pictures(transform=Noise())
    transform = split_transform(base)[1]
    assert transform is base.transform
    assert transform.rng.random() == np.random.default_rng(0).random()


def test_the_parts_of_a_concatenation_are_checked_each() -> None:
    class Halved(Pictures):
        def __getitem__(self, index: int) -> tuple[Any, Any]:
            image, label = super().__getitem__(index)
            return image.point(lambda value: value // 2), label

    crop = transforms.CenterCrop(4)
    good, bad = Pictures(transform=crop), Halved(transform=crop)
    split_transform(ConcatDataset([good, good, good]))
    with pytest.raises(ValueError, match="goes on working"):
        split_transform(ConcatDataset([good, Subset(bad, [3]), good, good, good]))


def test_a_data_set_that_cannot_be_copied_is_refused_with_the_reason() -> None:
    class Alone(Pictures):
        def __copy__(self) -> Any:
            raise RuntimeError("one is enough")

    with pytest.raises(ValueError, match=r"Alone cannot be copied \(RuntimeError: one is enough\)\. Let it"):
        split_transform(Alone(transform=transforms.ToTensor()))


GENERATOR = np.random.default_rng(0)


def hidden_flip(image: Any) -> Any:
    """Flip by a generator of the module, which no copy of the transform has for itself."""
    array = np.asarray(image)
    return array[:, ::-1] if GENERATOR.random() < 0.5 else array


def test_a_transform_with_a_generator_that_twins_share_is_taken_over_every_time() -> None:
    for _ in range(20):  # each reads four items, and differs in half of them
        assert split_transform(Pictures(transform=hidden_flip))[1] is hidden_flip


def test_a_steady_difference_is_refused_though_the_transform_is_called_once_and_last() -> None:
    class SeesTheProbe(Pictures):
        def __getitem__(self, index: int) -> tuple[Any, Any]:
            image = Image.fromarray(self.data[index])
            is_own = self.transform is own
            return self.transform(image.rotate(180) if is_own else image), self.targets[index]

    def own(image: Any) -> Any:
        return np.asarray(image)

    with pytest.raises(ValueError, match="gives another image 0 than its transform of the raw image"):
        split_transform(SeesTheProbe(transform=own))
