"""Images and data sets of every kind are balanced, and keep their kind."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm.data
import torch
from imblearn.over_sampling import SMOTE
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Subset
from torchvision import transforms, tv_tensors
from torchvision.datasets import FakeData, ImageFolder, VisionDataset

from clesmote_losses import SMOTEDataset, decode_target
from tests.support.smote_data import COUNTS, EVERY_SAMPLER, SAMPLERS, Items, float_images, tensor_dataset, to_array

# --- images of every kind --------------------------------------------------------------------------------------------


def whole_range(dtype: Any, shape: tuple[int, ...]) -> Callable[[np.random.Generator], np.ndarray]:
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return lambda rng: rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return lambda rng: rng.standard_normal(shape).astype(dtype)


def pil_image(mode: str, dtype: Any, channels: int) -> Callable[[np.random.Generator], Image.Image]:
    make = whole_range(dtype, (6, 5) if channels == 1 else (6, 5, channels))
    return lambda rng: Image.frombytes(mode, (5, 6), make(rng).tobytes())


KINDS: dict[str, Callable[[np.random.Generator], Any]] = {
    "PIL L": pil_image("L", np.uint8, 1),
    "PIL LA": pil_image("LA", np.uint8, 2),
    "PIL RGB": pil_image("RGB", np.uint8, 3),
    "PIL RGBA": pil_image("RGBA", np.uint8, 4),
    "PIL I;16": pil_image("I;16", np.uint16, 1),
    "PIL I": pil_image("I", np.int32, 1),
    "PIL F": pil_image("F", np.float32, 1),
    **{
        f"array {dtype.__name__}": whole_range(dtype, (6, 5, 3))
        for dtype in (np.uint8, np.uint16, np.int16, np.float16, np.float32, np.float64)
    },
    "array HW": whole_range(np.uint8, (6, 5)),
    **{
        f"tensor {dtype.__name__}": lambda rng, dtype=dtype: torch.from_numpy(whole_range(dtype, (3, 6, 5))(rng))
        for dtype in (np.uint8, np.uint16, np.int16, np.float16, np.float32, np.float64)
    },
    "tensor bfloat16": lambda rng: torch.from_numpy(rng.standard_normal((3, 6, 5))).bfloat16(),
    "tv_tensors.Image": lambda rng: tv_tensors.Image(torch.from_numpy(whole_range(np.uint8, (3, 6, 5))(rng))),
}
EVERY_KIND = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())


def kind(image: Any) -> tuple[Any, ...]:
    if isinstance(image, Image.Image):
        return Image.Image, image.mode, image.size
    return type(image), image.dtype, image.shape


@EVERY_KIND
@pytest.mark.parametrize("sampler", [SAMPLERS["SMOTE"], SAMPLERS["ADASYN"]], ids=["SMOTE", "ADASYN"])
def test_a_synthetic_image_is_of_the_kind_of_the_real_ones_and_lies_between_its_parents(
    make: Callable[[np.random.Generator], Any], sampler: Any
) -> None:
    rng = np.random.default_rng(0)
    base = Items([make(rng) for _ in range(30)], [0] * 18 + [1] * 12)
    train_set = SMOTEDataset(base, sampler=sampler)
    strictly = []
    for index in np.flatnonzero(train_set.is_synthetic):
        item = train_set[index]
        assert type(item) is tuple
        where = train_set.provenance(index)
        x, y, mixed = (to_array(image) for image in (base.images[where.base], base.images[where.neighbor], item[0]))
        assert kind(item[0]) == kind(base.images[where.base])
        low, high = np.minimum(x, y), np.maximum(x, y)
        assert ((low <= mixed) & (mixed <= high)).all()
        strictly.append(((low < mixed) & (mixed < high)).mean())
    assert np.mean(strictly) > 0.5  # they are blends and not copies


@EVERY_KIND
def test_images_of_unequal_size_need_image_size_and_blend_at_it(make: Callable[[np.random.Generator], Any]) -> None:
    rng = np.random.default_rng(0)
    images = [make(rng) for _ in range(20)]
    for i in range(0, 20, 2):  # half of them lose two columns: the last axis of a tensor, the second of the rest
        image = images[i]
        if isinstance(image, Image.Image):
            images[i] = image.crop((0, 0, 3, 6))
        else:
            images[i] = image[..., :3] if isinstance(image, torch.Tensor) else image[:, :3]
            if isinstance(image, tv_tensors.Image):
                images[i] = tv_tensors.wrap(images[i], like=image)
    base = Items(images, [0] * 12 + [1] * 8)
    with pytest.raises(ValueError, match=r"unequal size.*image_size=\(height, width\)"):
        SMOTEDataset(base, sampler=SMOTE(k_neighbors=3, random_state=0))
    train_set = SMOTEDataset(base, sampler=SMOTE(k_neighbors=3, random_state=0), image_size=(4, 9))
    assert kind(train_set[0][0]) == kind(images[0])  # real images keep their size
    shape = to_array(train_set[20][0]).shape
    assert kind(train_set[20][0])[:2] == kind(images[0])[:2]
    assert shape == ((3, 4, 9) if isinstance(images[0], torch.Tensor) else (4, 9, *to_array(images[0]).shape[2:]))


def test_images_of_unequal_modes_are_refused_with_advice_that_helps() -> None:
    base = Items([Image.new(mode, (4, 4)) for mode in ["RGB", "L"] * 10], [0] * 12 + [1] * 8)
    for image_size in (None, 4):
        with pytest.raises(ValueError, match=r"images 12 and 13: they differ: .*let the base data set convert them"):
            SMOTEDataset(base, image_size=image_size)


def test_a_palette_image_is_refused() -> None:
    base = Items([Image.new("P", (4, 4))] * 20, [0] * 12 + [1] * 8)
    with pytest.raises(TypeError, match=r"mode 'P'.*convert\(\"RGB\"\)"):
        SMOTEDataset(base)


@EVERY_SAMPLER
def test_real_items_are_the_items_of_the_base_to_the_bit(sampler: Any) -> None:
    rng = np.random.default_rng(0)
    transform = transforms.Compose([transforms.RandomHorizontalFlip(), transforms.ToTensor()])
    images = [Image.fromarray(rng.integers(0, 256, (6, 5, 3), np.uint8)) for _ in range(40)]
    base = Items(images, [0] * 25 + [1] * 15, transform)
    train_set = SMOTEDataset(base, sampler=sampler)
    for i in range(len(base)):
        torch.manual_seed(i)
        image, target = train_set[i]
        torch.manual_seed(i)
        assert torch.equal(image, base[i][0])
        assert target == base[i][1]


# --- the data sets people have ---------------------------------------------------------------------------------------


class Pictures(VisionDataset):
    """Built as torchvision builds CIFAR10: arrays in memory, PIL images out."""

    def __init__(self, transform: Any = None) -> None:
        super().__init__("", transform=transform)
        rng = np.random.default_rng(0)
        self.targets = rng.permutation(np.repeat(list(COUNTS), list(COUNTS.values()))).tolist()
        self.data = rng.integers(0, 256, (len(self.targets), 16, 16, 3), np.uint8)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.fromarray(self.data[index])
        return image if self.transform is None else self.transform(image), self.targets[index]

    def __len__(self) -> int:
        return len(self.data)


class Float(torch.nn.Module):
    def forward(self, image: Any) -> torch.Tensor:
        return transforms.functional.pil_to_tensor(image).float()


BASES: dict[str, Callable[[Path], Any]] = {
    "ImageFolder": lambda root: ImageFolder(str(root), transform=Float()),
    "like CIFAR10": lambda root: Pictures(Float()),
    "FakeData": lambda root: FakeData(26, (3, 16, 16), num_classes=3, transform=Float()),
    "timm ImageDataset": lambda root: timm.data.create_dataset("", root=str(root), transform=Float()),
    "Subset": lambda root: Subset(ImageFolder(str(root), transform=Float()), list(range(23, 1, -1))),
    "nested Subset": lambda root: Subset(Subset(Pictures(Float()), list(range(1, 24))), list(range(22, 0, -1))),
    "ConcatDataset": lambda root: ConcatDataset([ImageFolder(str(root), SHARED), Subset(Pictures(SHARED), range(20))]),
    "TensorDataset": lambda root: tensor_dataset(COUNTS),
    "plain": lambda root: Items(list(float_images(COUNTS)[0]), float_images(COUNTS)[1].tolist(), torch.from_numpy),
}
SHARED = Float()
EVERY_BASE = pytest.mark.parametrize("make", BASES.values(), ids=BASES.keys())


def attributes(dataset: Any) -> list[dict[str, Any]]:
    """Of the data set and of those it wraps."""
    wrapped = getattr(dataset, "datasets", [dataset.dataset] if hasattr(dataset, "dataset") else [])
    return [dict(vars(dataset)), *(found for part in wrapped for found in attributes(part))]


@EVERY_BASE
def test_any_base_is_balanced_by_blends_of_its_images_and_left_as_it_was(
    make: Callable[[Path], Any], digits: Path
) -> None:
    base = make(digits)
    labels = np.array([int(base[i][1]) for i in range(len(base))])
    before = attributes(base)
    given = {"labels": labels} if isinstance(base, FakeData) else {}
    train_set = SMOTEDataset(base, sampler=SMOTE(k_neighbors=2, random_state=0), **given)
    assert train_set.is_synthetic.sum() >= 4
    after = attributes(base)
    assert [vars_.keys() for vars_ in after] == [vars_.keys() for vars_ in before]
    for old, new in zip(before, after, strict=True):
        assert all(new[name] is old[name] for name in old)
    assert set(np.bincount(train_set.labels)) == {np.bincount(labels).max()}
    assert train_set.oversampled_classes == np.flatnonzero(np.bincount(labels) < np.bincount(labels).max()).tolist()
    for index in range(len(train_set)):
        image, target = train_set[index]
        label, is_synthetic = decode_target(target)
        where = train_set.provenance(index)
        assert (label, is_synthetic) == (train_set.labels[index], train_set.is_synthetic[index])
        assert (where.label, where.is_synthetic) == (label, is_synthetic)
        if not is_synthetic:
            np.testing.assert_array_equal(image, base[index][0])
            assert label == labels[index]
        else:
            assert labels[where.base] == labels[where.neighbor] == label
            exact = (1 - where.lam) * to_array(base[where.base][0]) + where.lam * to_array(base[where.neighbor][0])
            assert np.abs(to_array(image) - exact).max() <= (1e-6 if len(image) == 3 and exact.max() <= 1 else 0.5001)


@EVERY_BASE
def test_forked_workers_deliver_what_the_data_set_gives(make: Callable[[Path], Any], digits: Path) -> None:
    base = make(digits)
    if isinstance(base, ConcatDataset):
        base = Subset(base, range(24, 44))  # images of one size
    given = {"labels": [int(base[i][1]) for i in range(len(base))]} if isinstance(base, FakeData) else {}
    train_set = SMOTEDataset(base, sampler=SMOTE(k_neighbors=1, random_state=0), **given)
    assert train_set.is_synthetic.any()
    batches = list(DataLoader(train_set, batch_size=5, num_workers=2, multiprocessing_context="fork"))
    images, targets = torch.cat([batch[0] for batch in batches]), torch.cat([batch[1] for batch in batches])
    assert targets.dtype == torch.int64
    assert torch.equal(images, torch.stack([torch.as_tensor(train_set[i][0]) for i in range(len(train_set))]))
    label, is_synthetic = decode_target(targets)
    np.testing.assert_array_equal(label, train_set.labels)
    np.testing.assert_array_equal(is_synthetic, train_set.is_synthetic)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("use_prefetcher", [True, False])
def test_timms_loader_gives_the_images_that_it_gives_for_stored_images(
    use_prefetcher: bool, num_workers: int, digits: Path
) -> None:
    base = timm.data.create_dataset("", root=str(digits))
    train_set = SMOTEDataset(base, sampler=SMOTE(k_neighbors=2, random_state=0))
    stored = []  # the same data set in memory, by hand
    for i in range(len(train_set)):
        where = train_set.provenance(i)
        x = to_array(base[where.base][0])
        y = x if where.neighbor is None else to_array(base[where.neighbor][0])
        stored.append(Image.fromarray(((1 - where.lam) * x + where.lam * y).round().astype(np.uint8)))

    def load(dataset: Any, workers: int) -> tuple[torch.Tensor, torch.Tensor]:
        options = {"use_prefetcher": use_prefetcher, "num_workers": workers, "device": torch.device("cpu")}
        loader = timm.data.create_loader(
            dataset, (3, 24, 24), 8, crop_pct=0.9, persistent_workers=options["num_workers"] > 0, **options
        )
        images, targets = zip(*loader, strict=True)
        return torch.cat(images), torch.cat(targets)

    images, targets = load(train_set, num_workers)
    expected, _ = load(Items(stored, train_set.labels.tolist()), 0)
    assert targets.dtype == torch.int64
    label, is_synthetic = decode_target(targets)
    np.testing.assert_array_equal(label, train_set.labels)
    np.testing.assert_array_equal(is_synthetic, train_set.is_synthetic)
    assert images.dtype == torch.float32
    assert images.shape == (len(train_set), 3, 24, 24)
    assert torch.equal(images, expected)
    assert base.transform is None


def test_timms_training_loader_augments_real_and_synthetic_images_and_keeps_every_flag(digits: Path) -> None:
    train_set = SMOTEDataset(timm.data.create_dataset("", root=str(digits)), sampler=SMOTE(k_neighbors=2))
    loader = timm.data.create_loader(
        train_set,
        (3, 24, 24),
        9,
        is_training=True,
        auto_augment="rand-m9-mstd0.5",
        re_prob=0.5,
        num_workers=0,
        persistent_workers=False,
        device=torch.device("cpu"),
    )
    targets = torch.cat([target for _, target in loader])
    assert len(targets) == len(train_set) == 36
    label, is_synthetic = decode_target(targets)
    assert Counter(label.tolist()) == Counter(train_set.labels.tolist())
    assert is_synthetic.sum() == train_set.is_synthetic.sum() == 12


def test_a_transform_that_a_host_sets_reaches_real_and_synthetic_images(digits: Path) -> None:
    base = ImageFolder(str(digits), transform=transforms.ToTensor())
    train_set = SMOTEDataset(base, sampler=SMOTE(k_neighbors=2, random_state=0))
    assert train_set.transform is base.transform
    train_set.transform = transforms.Compose([transforms.CenterCrop(4), transforms.ToTensor()])
    assert {tuple(train_set[i][0].shape) for i in (0, len(train_set) - 1)} == {(3, 4, 4)}
    assert base[0][0].shape == (3, 16, 16)
    own = SMOTEDataset(base, sampler=SMOTE(k_neighbors=2, random_state=0), transform=transforms.CenterCrop(2))
    assert own[len(own) - 1][0].size == (2, 2)
    train_set.transform = None
    assert isinstance(train_set[0][0], Image.Image)


@pytest.mark.parametrize("collated", [False, True])
def test_flag_item_gives_the_flag_as_a_third_item(collated: bool) -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 10}), flag="item")
    if not collated:
        assert [train_set[i][1:] for i in (0, 39)] == [(int(train_set.labels[0]), False), (1, True)]
        return
    images, labels, flags = next(iter(DataLoader(train_set, batch_size=40)))
    assert images.shape == (40, 3, 5, 4)
    assert labels.dtype == torch.int64
    assert flags.dtype == torch.bool
    np.testing.assert_array_equal(labels, train_set.labels)
    np.testing.assert_array_equal(flags, train_set.is_synthetic)


def test_labels_in_a_column_as_medmnist_has_them_are_accepted() -> None:
    images, labels = float_images({0: 20, 1: 10})
    pictures = [Image.fromarray((image[0] * 255).astype(np.uint8)) for image in images]
    train_set = SMOTEDataset(Items(pictures, labels[:, None].astype(np.uint8)))
    np.testing.assert_array_equal(train_set.labels[:30], labels)
    assert decode_target(train_set[39][1]) == (1, True)
    assert train_set[0][1] == labels[0]
