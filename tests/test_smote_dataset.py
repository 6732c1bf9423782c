"""The balanced data set: imbalanced-learn's samples, made when they are asked for."""

import copy
import pickle
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm.data
import torch
import torch.distributed as dist
from imblearn.over_sampling import ADASYN, SMOTE, SVMSMOTE, BorderlineSMOTE
from PIL import Image
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torchvision import transforms, tv_tensors
from torchvision.datasets import FakeData, ImageFolder, VisionDataset

from clesmote_losses import SMOTEDataset, SMOTEPlan, decode_target

SAMPLERS = {
    "SMOTE": SMOTE(k_neighbors=3, random_state=0),
    "BorderlineSMOTE 1": BorderlineSMOTE(k_neighbors=3, m_neighbors=7, random_state=1, kind="borderline-1"),
    "BorderlineSMOTE 2": BorderlineSMOTE(k_neighbors=3, m_neighbors=7, random_state=2, kind="borderline-2"),
    "ADASYN": ADASYN(n_neighbors=4, random_state=3),
}
EVERY_SAMPLER = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())


def with_options(sampler: Any, **options: Any) -> Any:
    return type(sampler)(**{**sampler.get_params(), **options})


def float_images(counts: dict[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images in [0, 1] of shape (3, 5, 4), classes overlapping, in random order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(list(counts), list(counts.values())))
    centers = 0.5 + 0.04 * rng.standard_normal((max(counts) + 1, 60))
    rows = np.clip(centers[labels] + 0.15 * rng.standard_normal((len(labels), 60)), 0, 1)
    return rows.astype(np.float32).reshape(-1, 3, 5, 4), labels


def tensor_dataset(counts: dict[int, int], seed: int = 0) -> TensorDataset:
    images, labels = float_images(counts, seed)
    return TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))


def to_array(image: Any) -> np.ndarray:
    if isinstance(image, torch.Tensor):
        return image.as_subclass(torch.Tensor).double().numpy()
    return np.asarray(image).astype(np.float64)


def synthetic_images(train_set: SMOTEDataset) -> np.ndarray:
    return np.stack([to_array(train_set[i][0]) for i in np.flatnonzero(train_set.is_synthetic)])


class Items(Dataset):
    """Any map-style data set: images of any kind, labels beside them. It counts what is read."""

    def __init__(self, images: list[Any], labels: Any, transform: Any = None) -> None:
        self.images, self.labels, self.transform = images, labels, transform
        self.reads: list[int] = []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        self.reads.append(index)
        image = self.images[index]
        return image if self.transform is None else self.transform(image), self.labels[index]


# --- equal to imbalanced-learn ---------------------------------------------------------------------------------------

STRATEGIES: dict[str, tuple[dict[int, int], Any]] = {
    "auto, three classes": ({0: 50, 2: 25, 5: 18}, "auto"),
    "auto, first class rare": ({0: 14, 1: 40}, "auto"),
    "not minority": ({0: 40, 1: 24, 2: 14}, "not minority"),
    "minority": ({0: 40, 1: 24, 2: 14}, "minority"),
    "all": ({0: 40, 1: 24, 2: 14}, "all"),
    "dict": ({0: 40, 1: 24, 2: 14}, {1: 45, 2: 21}),
    "float": ({0: 50, 1: 20}, 0.8),
    "callable": ({0: 40, 1: 24, 2: 14}, lambda y: {2: 3 * int((y == 2).sum())}),
}


@EVERY_SAMPLER
@pytest.mark.parametrize(("counts", "strategy"), STRATEGIES.values(), ids=STRATEGIES.keys())
def test_float_images_are_those_of_imbalanced_learn(sampler: Any, counts: dict[int, int], strategy: Any) -> None:
    images, labels = float_images(counts)
    sampler = with_options(sampler, sampling_strategy=strategy)
    flat, resampled = sampler.fit_resample(images.reshape(len(images), -1).astype(np.float64), labels)
    train_set = SMOTEDataset(Items(list(torch.from_numpy(images)), labels), sampler=sampler)
    assert len(flat) > len(images) + 5
    np.testing.assert_array_equal(train_set.labels, resampled)
    ours = np.stack([to_array(train_set[i][0]).ravel() for i in range(len(train_set))])
    np.testing.assert_array_equal(ours[: len(images)], flat[: len(images)])  # the real ones first, in their order
    np.testing.assert_allclose(ours, flat, rtol=0, atol=1e-5)


@pytest.mark.parametrize("random_state", [7, np.int64(7), np.random.RandomState(7)], ids=lambda s: type(s).__name__)
def test_every_kind_of_random_state_draws_what_imbalanced_learn_draws(random_state: Any) -> None:
    images, labels = float_images({0: 40, 1: 24, 2: 14})
    sampler = SMOTE(random_state=random_state)
    train_set = SMOTEDataset(Items(list(images), labels), sampler=sampler)  # first: fitting moves a RandomState on
    flat, _ = sampler.fit_resample(images.reshape(len(images), -1).astype(np.float64), labels)
    ours = synthetic_images(train_set).reshape(-1, 60)
    np.testing.assert_allclose(ours, flat[len(images) :], rtol=0, atol=1e-5)


def test_a_neighbour_estimator_of_the_sampler_is_asked_as_imbalanced_learn_asks_it() -> None:
    images, labels = float_images({0: 40, 1: 20})
    flat_images = images.reshape(len(images), -1)
    results = []
    for metric in ("manhattan", "cosine"):
        sampler = SMOTE(k_neighbors=NearestNeighbors(n_neighbors=4, metric=metric), random_state=0)
        flat, _ = sampler.fit_resample(flat_images.astype(np.float64), labels)
        ours = synthetic_images(SMOTEDataset(Items(list(images), labels), sampler=sampler)).reshape(-1, 60)
        np.testing.assert_allclose(ours, flat[len(images) :], rtol=0, atol=1e-5)
        results.append(ours)
    assert not np.allclose(*results)  # the metric matters here


@EVERY_SAMPLER
def test_uint8_images_are_the_float_result_rounded(sampler: Any) -> None:
    images, labels = float_images({0: 40, 1: 22, 2: 15})
    images = (images * 255).round().astype(np.uint8)
    flat, resampled = sampler.fit_resample(images.reshape(len(images), -1).astype(np.float64), labels)
    train_set = SMOTEDataset(Items(list(torch.from_numpy(images)), labels), sampler=sampler)
    np.testing.assert_array_equal(train_set.labels, resampled)
    assert train_set[len(train_set) - 1][0].dtype == torch.uint8
    ours, exact = synthetic_images(train_set).reshape(-1, 60), flat[len(images) :]
    assert np.abs(ours - exact).max() <= 0.5 + 1e-4
    assert (ours == exact.round()).mean() > 0.999


def test_imbalanced_learn_itself_wraps_around_on_uint8_images() -> None:
    images, labels = float_images({0: 40, 1: 15})
    flat = (images * 255).round().astype(np.uint8).reshape(len(images), -1)
    sampler = SMOTE(k_neighbors=3, random_state=0)
    theirs, _ = sampler.fit_resample(flat, labels)
    right, _ = sampler.fit_resample(flat.astype(np.float64), labels)
    wrong = np.abs(theirs[len(images) :].astype(float) - right[len(images) :]) > 1
    assert wrong.mean() > 0.3  # if this ever fails, imbalanced-learn has mended it


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
        with pytest.raises(ValueError, match=r"images 12 and 13 differ: .*let the base data set convert them"):
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

COUNTS = {0: 12, 1: 7, 2: 5}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Handwritten digits 0, 1 and 2 as PNG and JPEG files, a folder for each."""
    root, data = tmp_path_factory.mktemp("digits"), load_digits()
    for label, count in COUNTS.items():
        (root / str(label)).mkdir()
        for i, image in enumerate(data.images[data.target == label][:count]):
            name = f"{i:02}.{'png' if i % 2 else 'jpg'}"
            Image.fromarray((image * 15.9).astype(np.uint8)).resize((16, 16)).save(root / str(label) / name)
    return root


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


# --- what is read ----------------------------------------------------------------------------------------------------


def counting(counts: dict[int, int]) -> Items:
    images, labels = float_images(counts)
    return Items(list(torch.from_numpy(images)), labels)


FEW = 32  # reads that ask whether the base gives the same image twice


@EVERY_SAMPLER
def test_the_images_that_the_search_needs_are_read_once_and_no_others(sampler: Any) -> None:
    base = counting({0: 200, 1: 150, 2: 120})
    SMOTEDataset(base, sampler=with_options(sampler, sampling_strategy={1: 200, 2: 200}))
    needed = np.flatnonzero(base.labels != 0) if type(sampler) is SMOTE else np.arange(470)
    reads = Counter(base.reads)
    assert sorted(reads) == needed.tolist()
    assert sum(reads.values()) <= len(needed) + FEW
    assert sum(n > 1 for n in reads.values()) <= FEW / 2


def test_with_given_features_or_a_given_plan_only_a_few_images_are_read() -> None:
    base = counting({0: 200, 1: 150})
    sampler = SMOTE(random_state=0)
    train_set = SMOTEDataset(base, sampler=sampler, features=torch.rand(350, 4))
    assert 0 < len(base.reads) <= FEW
    base.reads.clear()
    SMOTEDataset(base, sampler=sampler, plan=train_set.plan)
    assert 0 < len(base.reads) <= FEW


def test_a_real_item_costs_one_read_and_a_synthetic_one_two() -> None:
    base = counting({0: 20, 1: 10})
    train_set = SMOTEDataset(base)
    base.reads.clear()
    train_set[3]
    assert base.reads == [3]
    base.reads.clear()
    train_set[35]
    assert base.reads == [train_set.provenance(35).base, train_set.provenance(35).neighbor]


def test_features_steer_the_search_and_leave_the_images_raw() -> None:
    images, labels = float_images({0: 30, 1: 16})
    features = np.random.default_rng(1).standard_normal((46, 3))
    sampler = SMOTE(k_neighbors=2, random_state=0)
    base = Items(list(images), labels)
    rows = SMOTEDataset(base, sampler=sampler, features=features)
    pixels = SMOTEDataset(base, sampler=sampler)
    assert (rows.plan.neighbor != pixels.plan.neighbor).any()
    minority = np.flatnonzero(labels == 1)
    for base_index, neighbor in zip(rows.plan.base, rows.plan.neighbor, strict=True):
        distance = np.linalg.norm(features[minority] - features[base_index], axis=1)
        back = np.linalg.norm(features[minority] - features[neighbor], axis=1)  # a recipe may be read both ways
        assert neighbor in minority[distance.argsort()[1:3]] or base_index in minority[back.argsort()[1:3]]
    where = rows.provenance(50)
    exact = (1 - where.lam) * images[where.base] + where.lam * images[where.neighbor]
    np.testing.assert_allclose(rows[50][0], exact, atol=1e-6)


@pytest.mark.parametrize("returns", [lambda row: row, torch.from_numpy, lambda row: row.tolist()])
def test_a_function_of_the_raw_image_gives_the_features(returns: Callable[[np.ndarray], Any]) -> None:
    images, labels = float_images({0: 30, 1: 16})
    base = Items(list(images), labels, transform=lambda image: 1 / 0)

    def mean_of_planes(image: Any) -> Any:
        assert isinstance(image, np.ndarray)
        return returns(image.mean((1, 2)))

    by_function = SMOTEDataset(base, sampler=SMOTE(random_state=0), features=mean_of_planes)
    by_rows = SMOTEDataset(base, sampler=SMOTE(random_state=0), features=images.mean((2, 3)))
    for name in ("base", "neighbor", "lam"):
        np.testing.assert_array_equal(getattr(by_function.plan, name), getattr(by_rows.plan, name))


def test_a_cache_reads_each_parent_once_and_changes_no_item() -> None:
    images, labels = float_images({0: 30, 1: 8, 2: 9})
    plain, cached = Items(list(images), labels), Items(list(images), labels)
    sets = [SMOTEDataset(base, cache_mb=megabytes) for base, megabytes in ((plain, 0), (cached, 1))]
    for base in (plain, cached):
        base.reads.clear()
    synthetic = np.flatnonzero(sets[0].is_synthetic).tolist()
    for _ in range(2):
        for index in synthetic:
            assert np.array_equal(sets[0][index][0], sets[1][index][0])
    plan = sets[0].plan
    assert sorted(cached.reads) == sorted({*plan.base.tolist(), *plan.neighbor.tolist()})
    assert len(plain.reads) == 4 * len(plan)


def test_a_transform_that_writes_into_its_image_does_not_reach_the_cache() -> None:
    def blacken(image: np.ndarray) -> np.ndarray:
        image[:] = 0
        return image

    images, labels = float_images({0: 30, 1: 2})
    options = {"small_class": "duplicate", "cache_mb": 1}
    train_set = SMOTEDataset(Items([image.copy() for image in images], labels), **options)
    expected = synthetic_images(train_set)
    train_set.transform = blacken
    assert not synthetic_images(train_set).any()
    train_set.transform = None
    assert np.array_equal(synthetic_images(train_set), expected)


def test_a_new_epoch_of_the_base_empties_the_cache() -> None:
    images, labels = float_images({0: 30, 1: 8})
    base = Items(list(images), labels)
    base.set_epoch = lambda epoch: base.images.__setitem__(slice(None), [image * 0 for image in images])  # type: ignore[attr-defined]
    train_set = SMOTEDataset(base, cache_mb=1)
    assert synthetic_images(train_set).any()
    train_set.set_epoch(1)
    assert not synthetic_images(train_set).any()


# --- bad input -------------------------------------------------------------------------------------------------------


class Flipping(Items):
    """Augments inside __getitem__, as many tutorials do."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, label = super().__getitem__(index)
        return transforms.functional.hflip(image) if torch.rand(()) < 0.5 else image, label


@pytest.mark.parametrize("given", ["plan", "features", "nothing"])
def test_a_base_that_augments_by_itself_is_refused_every_time(given: str) -> None:
    images, labels = float_images({0: 60, 1: 40})
    steady, flipping = (kind_(list(torch.from_numpy(images)), labels) for kind_ in (Items, Flipping))
    options: dict[str, Any] = {
        "plan": {"plan": SMOTEDataset(steady).plan},
        "features": {"features": np.random.default_rng(0).standard_normal((100, 2))},
        "nothing": {},
    }[given]
    for seed in range(30):
        torch.manual_seed(seed)
        with pytest.raises(ValueError, match=r"Flipping gave two different images for index \d+.*transform="):
            SMOTEDataset(flipping, **options)


def truncate(path: Path) -> bytes:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 60])
    return content


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, list(range(2, 24)))], ids=["ImageFolder", "Subset"])
def test_a_truncated_jpeg_is_named_by_index_and_path(wrap: Callable[[Any], Any], digits: Path) -> None:
    base = wrap(ImageFolder(str(digits)))
    path = digits / "1" / "02.jpg"
    index = ImageFolder(str(digits)).samples.index((str(path), 1)) - (24 - len(base))
    content = truncate(path)
    try:
        with pytest.raises(RuntimeError, match=rf"real image {index} \({path}\) cannot be read: OSError: .*truncated"):
            SMOTEDataset(base, sampler=SMOTE(k_neighbors=2))
    finally:
        path.write_bytes(content)


def test_a_truncated_jpeg_of_a_class_that_needs_none_is_named_when_it_is_asked_for(digits: Path) -> None:
    path = digits / "0" / "04.jpg"
    content = truncate(path)
    try:
        train_set = SMOTEDataset(ImageFolder(str(digits)), sampler=SMOTE(k_neighbors=2))
        with pytest.raises(RuntimeError, match=rf"real image 4 \({path}\) cannot be read"):
            train_set[4]
    finally:
        path.write_bytes(content)


class Mislabelled(Items):
    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.images[index], 1 - self.labels[index]


def test_items_with_other_labels_than_the_list_are_refused_unless_labels_are_passed() -> None:
    images, labels = float_images({0: 20, 1: 10})
    base = Mislabelled(list(images), labels)
    with pytest.raises(ValueError, match=r"real sample \d+ has label 0, but the data set's list of labels says 1"):
        SMOTEDataset(base)
    regrouped = SMOTEDataset(base, labels=labels)
    assert [regrouped[i][1] for i in range(30)] == labels.tolist()


class Endless(IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        yield from ()


@pytest.mark.parametrize(
    ("base", "options", "error", "message"),
    [
        (FakeData(20), {}, ValueError, "labels of FakeData are not found.*labels="),
        (Endless(), {}, TypeError, "map-style.*Endless"),
        (object(), {}, TypeError, "map-style.*object"),
        (TensorDataset(torch.empty(0, 1), torch.empty(0).long()), {}, ValueError, "empty: TensorDataset"),
        (tensor_dataset({0: 20, 1: 3}), {}, ValueError, r"stratum .*1.* has 3 sample\(s\); 6 are needed.*shrink_k"),
        (tensor_dataset({0: 20, 1: 9}), {"labels": [0.5] * 29}, TypeError, "class indices"),
        (tensor_dataset({0: 20, 1: 9}), {"labels": [-1] * 29}, ValueError, "0 or more"),
        (tensor_dataset({0: 20, 1: 9}), {"labels": np.zeros((29, 2), int)}, ValueError, r"\(29,\).*\(29, 2\)"),
        (tensor_dataset({0: 20, 1: 9}), {"labels": [0] * 28}, ValueError, r"\(29,\).*\(28,\)"),
        (tensor_dataset({0: 20, 1: 9}), {"strata": [0] * 28}, ValueError, r"strata must have shape \(29,\)"),
        (tensor_dataset({0: 20, 1: 9}), {"strata": [0] * 29}, ValueError, "stratum .*0.* classes"),
        (tensor_dataset({0: 20, 1: 9}), {"redraw": "batch"}, ValueError, "redraw.*'never', 'epoch'.*'batch'"),
        (tensor_dataset({0: 20, 1: 9}), {"flag": "bit"}, ValueError, "flag.*'target', 'item'.*'bit'"),
        (tensor_dataset({0: 20, 1: 9}), {"small_class": "x"}, ValueError, "small_class.*shrink_k"),
        (tensor_dataset({0: 20, 1: 9}), {"image_size": (0, 4)}, ValueError, "image_size.*height, width"),
        (tensor_dataset({0: 20, 1: 9}), {"image_size": (4, 4, 3)}, ValueError, "image_size.*height, width"),
        (tensor_dataset({0: 20, 1: 9}), {"sampler": SVMSMOTE()}, TypeError, "ADASYN; got SVMSMOTE"),
        (tensor_dataset({0: 20, 1: 9}), {"sampler": SMOTE}, TypeError, r"got SMOTE \(the class\)"),
        (tensor_dataset({0: 20, 1: 9}), {"sampler": SMOTE(), "redraw": "epoch"}, ValueError, "int random_state"),
        (tensor_dataset({0: 20, 1: 9}), {"features": torch.rand(28, 2)}, ValueError, r"\(29, D\).*\(28, 2\)"),
        (SMOTEDataset(tensor_dataset({0: 20, 1: 9})), {}, TypeError, "SMOTEDataset already"),
        (Items([1] * 20, [0] * 12 + [1] * 8), {}, TypeError, "PIL images, arrays or tensors; got int"),
        (Items([torch.full((2,), torch.nan)] * 20, [0] * 12 + [1] * 8), {}, ValueError, "NaN"),
    ],
)
def test_bad_input_is_refused_with_what_was_wanted_and_what_came(
    base: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SMOTEDataset(base, **options)


class Triples(Items):
    def __getitem__(self, index: int) -> Any:
        return self.images[index], self.labels[index], index


def test_items_that_are_no_pairs_are_refused() -> None:
    images, labels = float_images({0: 20, 1: 10})
    with pytest.raises(TypeError, match=r"must give \(image, label\); item \d+ is a tuple of 3"):
        SMOTEDataset(Triples(list(images), labels))


@pytest.mark.parametrize("index", [40, -41, 1000])
def test_an_index_out_of_range_is_an_index_error(index: int) -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 10}))
    for ask in (train_set.__getitem__, train_set.provenance):
        with pytest.raises(IndexError, match=f"{index} is out of range for 40"):
            ask(index)


@pytest.mark.parametrize("kind_", [int, np.int64, torch.tensor])
def test_an_index_may_count_from_the_end_and_be_of_any_integer_kind(kind_: Callable[[int], Any]) -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 10}))
    for index in (-1, -40, -11):
        assert torch.equal(train_set[kind_(index)][0], train_set[40 + index][0])
        assert train_set.provenance(kind_(index)) == train_set.provenance(40 + index)


def test_a_balanced_data_set_gets_no_synthetic_samples() -> None:
    base = tensor_dataset({0: 10, 1: 10})
    train_set = SMOTEDataset(base, redraw="epoch")
    train_set.set_epoch(1)
    assert len(train_set) == 20
    assert train_set.oversampled_classes == []
    assert not train_set.is_synthetic.any()
    assert all(torch.equal(train_set[i][0], base[i][0]) for i in range(20))


# --- views and copies ------------------------------------------------------------------------------------------------


def test_the_real_subset_of_some_classes_holds_exactly_their_real_samples() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 12, 2: 9}))
    real = train_set.real_subset(train_set.oversampled_classes)
    wanted = np.flatnonzero(train_set.labels[:41] != 0)
    assert len(wanted) == 21
    assert len(real) == 21
    for item, index in zip(real, wanted, strict=True):
        assert torch.equal(item[0], train_set[index][0])
        assert decode_target(item[1]) == (train_set.labels[index], False)
    assert len(train_set.real_subset()) == 41
    assert len(train_set.real_subset([])) == 0


def test_another_transform_of_the_real_subset_leaves_that_of_the_data_set() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 12}), transform=torch.neg)
    real = train_set.real_subset([1], transform=torch.ones_like)
    assert real[0][0].eq(1).all()
    assert train_set[0][0].le(0).all()
    assert train_set.transform is torch.neg


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda d: pickle.loads(pickle.dumps(d))])
def test_a_copy_gives_the_same_items_and_the_same_draws(copied: Callable[[Any], Any], digits: Path) -> None:
    base = ImageFolder(str(digits), transform=transforms.ToTensor())
    train_set = SMOTEDataset(base, sampler=SMOTE(k_neighbors=2, random_state=0), redraw="epoch")
    twin = copied(train_set)
    for epoch in (None, 3):
        if epoch is not None:
            train_set.set_epoch(epoch)
            twin.set_epoch(epoch)
        assert len(twin) == len(train_set) == 36
        for i in (0, 20, 24, 30, 35):
            assert torch.equal(twin[i][0], train_set[i][0])
            assert twin[i][1] == train_set[i][1]


def generator_states() -> list[Any]:
    return [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]


@EVERY_SAMPLER
def test_global_random_generators_are_left_alone(sampler: Any) -> None:
    base = tensor_dataset({0: 40, 1: 22, 2: 15})
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    before = generator_states()
    train_set = SMOTEDataset(base, sampler=sampler, redraw="epoch")
    for i in range(len(train_set)):
        train_set[i]
    train_set.set_epoch(4)
    assert train_set.is_synthetic.any()
    assert generator_states() == before


def test_the_sampler_is_not_changed() -> None:
    sampler = BorderlineSMOTE(random_state=0, k_neighbors=NearestNeighbors(n_neighbors=4))
    before = dict(vars(sampler))
    SMOTEDataset(tensor_dataset({0: 40, 1: 22, 2: 15}), sampler=sampler)
    assert vars(sampler) == before


def test_provenance_labels_and_plan_tell_the_same_story() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 40, 1: 22, 2: 15}))
    plan = train_set.plan
    assert len(plan) == train_set.is_synthetic.sum() == len(train_set) - 77 == 43
    for row in range(len(plan)):
        where = train_set.provenance(77 + row)
        assert where == (True, plan.label[row], plan.base[row], plan.neighbor[row], plan.lam[row])
    assert train_set.provenance(3) == (False, train_set.labels[3], 3, None, 0.0)


def test_the_representation_counts_each_class() -> None:
    text = repr(SMOTEDataset(tensor_dataset({0: 20, 1: 12})))
    assert "TensorDataset, SMOTE" in text
    assert "class 0: 20 real\n" in text
    assert text.endswith("class 1: 12 real + 8 synthetic")


# --- strata ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [[10, 11, 12], ["benign", "rare melanoma", "common melanoma"]])
def test_strata_of_a_class_are_raised_each_and_targets_stay_classes(names: list[Any]) -> None:
    images, codes = float_images({0: 40, 1: 9, 2: 16})
    labels = np.minimum(codes, 1)  # strata 1 and 2 are of class 1
    strata = np.array(names)[codes]
    sampler = SMOTE(k_neighbors=3, random_state=0)
    train_set = SMOTEDataset(Items(list(images), labels), sampler=sampler, strata=strata)
    flat, resampled = sampler.fit_resample(images.reshape(65, -1).astype(np.float64), strata)
    plan = train_set.plan
    np.testing.assert_array_equal(strata[plan.base], strata[plan.neighbor])
    np.testing.assert_array_equal(strata[plan.base], resampled[65:])
    assert Counter(strata[plan.base].tolist()) == {names[1]: 31, names[2]: 24}
    np.testing.assert_array_equal(train_set.labels, np.where(resampled == names[0], 0, 1))
    np.testing.assert_allclose(synthetic_images(train_set).reshape(-1, 60), flat[65:], rtol=0, atol=1e-5)
    assert train_set.oversampled_classes == [1]


def test_strata_can_be_raised_by_name_and_drawn_anew() -> None:
    images, codes = float_images({0: 40, 1: 9, 2: 16})
    strata = np.array(["a", "b", "c"])[codes]
    train_set = SMOTEDataset(
        Items(list(images), np.minimum(codes, 1)),
        sampler=SMOTE(sampling_strategy={"b": 20}, random_state=0),
        strata=strata.tolist(),
        redraw="epoch",
    )
    draws = []
    for epoch in range(3):
        train_set.set_epoch(epoch)
        plan = train_set.plan
        assert set(strata[plan.base]) == set(strata[plan.neighbor]) == {"b"}
        assert plan.label.tolist() == [1] * 11
        draws.append(plan.lam.tolist())
    assert draws[0] != draws[1] != draws[2]


# --- a new draw each epoch -------------------------------------------------------------------------------------------


def drawn(train_set: SMOTEDataset, epoch: int) -> SMOTEPlan:
    train_set.set_epoch(epoch)
    return train_set.plan


def same_recipe(one: SMOTEPlan, other: SMOTEPlan) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("base", "neighbor", "lam", "label")
    )


@EVERY_SAMPLER
def test_an_epoch_always_gives_its_own_draw_and_labels_never_change(sampler: Any) -> None:
    base = tensor_dataset({0: 60, 1: 30, 2: 22})
    train_set, elsewhere = (SMOTEDataset(base, sampler=sampler, redraw="epoch") for _ in range(2))  # two ranks
    first = train_set.plan
    draws = [drawn(train_set, epoch) for epoch in range(4)]
    for i, one in enumerate([first, *draws]):
        assert np.array_equal(one.label, first.label)
        assert not any(same_recipe(one, other) for other in [first, *draws][:i])
        assert (one.base != first.base).any() or i == 0 or type(sampler) is ADASYN  # its bases are fixed by the search
    assert same_recipe(drawn(train_set, 1), draws[1])
    assert same_recipe(drawn(elsewhere, 2), draws[2])
    other_seed = SMOTEDataset(base, sampler=with_options(sampler, random_state=99), redraw="epoch")
    assert not same_recipe(drawn(other_seed, 2), draws[2])


@EVERY_SAMPLER
def test_parents_of_every_draw_are_neighbours_of_the_right_class_and_lambda_is_a_weight(sampler: Any) -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 60, 1: 30, 2: 22}), sampler=sampler, redraw="epoch")
    labels = train_set.labels[:112]
    listed = {(int(row[0]), int(n)) for table in train_set.plan.tables for row in table for n in row[1:]}
    for epoch in range(5):
        plan = drawn(train_set, epoch)
        np.testing.assert_array_equal(labels[plan.base], plan.label)
        if getattr(sampler, "kind", None) != "borderline-2":  # which blends towards other classes
            np.testing.assert_array_equal(labels[plan.neighbor], plan.label)
        assert all(pair in listed for pair in zip(plan.base.tolist(), plan.neighbor.tolist(), strict=True))
        assert plan.lam.min() >= 0
        assert plan.lam.max() <= 1
        assert (plan.base != plan.neighbor).all()


@pytest.mark.parametrize("name", ["SMOTE", "BorderlineSMOTE 1", "ADASYN"])
def test_lambdas_of_many_draws_are_uniform(name: str) -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 60, 1: 30, 2: 22}), sampler=SAMPLERS[name], redraw="epoch")
    lams = np.concatenate([drawn(train_set, epoch).lam for epoch in range(30)])
    assert len(lams) > 1000
    # a recipe that reads both ways starts at its lower index, so lambda counts from either end with equal chance
    assert stats.kstest(lams, "uniform").pvalue > 1e-3


def test_every_sample_of_the_class_becomes_a_parent_in_the_long_run() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 60, 1: 30}), redraw="epoch")
    plans = [drawn(train_set, epoch) for epoch in range(30)]
    parents = np.concatenate([parent for plan in plans for parent in (plan.base, plan.neighbor)])
    assert set(parents) == set(np.flatnonzero(train_set.labels[:90] == 1))


def test_a_plan_taken_before_a_new_draw_stays_what_it_was() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 10}), redraw="epoch")
    plan = train_set.plan
    kept = [array.copy() for array in (plan.base, plan.neighbor, plan.lam)]
    train_set.set_epoch(1)
    for array, was in zip((plan.base, plan.neighbor, plan.lam), kept, strict=True):
        np.testing.assert_array_equal(array, was)
    plan.lam[:] = 0
    assert train_set.plan.lam.any()


def test_without_redraw_set_epoch_changes_nothing() -> None:
    train_set = SMOTEDataset(tensor_dataset({0: 20, 1: 10}))
    before = train_set.plan
    assert same_recipe(drawn(train_set, 5), before)


class TellsTheEpoch(Items):
    epoch = -1

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def test_a_base_that_wants_to_know_the_epoch_is_told() -> None:
    images, labels = float_images({0: 20, 1: 10})
    base = TellsTheEpoch(list(images), labels)
    SMOTEDataset(base).set_epoch(7)
    assert base.epoch == 7


@EVERY_SAMPLER
def test_a_loaded_plan_gives_the_same_items_and_the_same_redraws(sampler: Any, tmp_path: Path) -> None:
    base = tensor_dataset({0: 60, 1: 30, 2: 22})
    train_set = SMOTEDataset(base, sampler=sampler, redraw="epoch")
    train_set.plan.save(tmp_path / "plan.safetensors")
    plan = SMOTEPlan.load(tmp_path / "plan.safetensors")
    loaded = SMOTEDataset(base, sampler=sampler, plan=plan, redraw="epoch")
    fixed = SMOTEDataset(base, plan=plan)
    np.testing.assert_array_equal(synthetic_images(loaded), synthetic_images(train_set))
    np.testing.assert_array_equal(synthetic_images(fixed), synthetic_images(train_set))
    assert same_recipe(drawn(loaded, 6), drawn(train_set, 6))


def test_a_plan_of_other_data_or_options_is_refused() -> None:
    base = tensor_dataset({0: 20, 1: 10})
    plan = SMOTEDataset(base, sampler=SMOTE(random_state=0)).plan
    with pytest.raises(ValueError, match="another data set"):
        SMOTEDataset(tensor_dataset({0: 20, 1: 10}, seed=1), plan=plan)
    with pytest.raises(ValueError, match="another data set"):
        SMOTEDataset(base, plan=plan, strata=base.tensors[1].tolist())
    for other in (SMOTE(random_state=1), SMOTE(random_state=0, k_neighbors=3), ADASYN(random_state=0)):
        with pytest.raises(ValueError, match="other options"):
            SMOTEDataset(base, plan=plan, sampler=other)
    with pytest.raises(ValueError, match="needs sampler= too"):
        SMOTEDataset(base, plan=plan, redraw="epoch")


def assert_workers_see_each_draw(train_set: SMOTEDataset, context: str, num_workers: int) -> None:
    loader = DataLoader(train_set, 8, num_workers=num_workers, persistent_workers=True, multiprocessing_context=context)
    seen = []
    for epoch in range(3):
        train_set.set_epoch(epoch)
        images, targets = (torch.cat(parts) for parts in zip(*loader, strict=True))
        here = [train_set[i] for i in range(len(train_set))]
        assert torch.equal(images, torch.stack([image for image, _ in here]))
        assert targets.tolist() == [target for _, target in here]
        seen.append(images[train_set.is_synthetic])
    assert len(seen[0]) > 5
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


@pytest.mark.parametrize("copied", [lambda d: d, copy.copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
def test_forked_workers_that_live_on_see_each_draw_of_a_data_set_or_its_copy(copied: Callable[[Any], Any]) -> None:
    train_set = copied(SMOTEDataset(tensor_dataset({0: 30, 1: 15}), redraw="epoch"))
    assert_workers_see_each_draw(train_set, "fork", 2)


def test_spawned_workers_that_live_on_see_each_draw(digits: Path) -> None:
    base = ImageFolder(str(digits), transform=transforms.ToTensor())
    train_set = SMOTEDataset(Subset(base, range(24)), sampler=SMOTE(k_neighbors=2, random_state=0), redraw="epoch")
    assert_workers_see_each_draw(train_set, "spawn", 1)


def test_in_a_distributed_run_a_sampler_without_a_seed_is_refused(tmp_path: Path) -> None:
    base = tensor_dataset({0: 20, 1: 10})
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match=r"every rank must draw the same samples.*int random_state"):
            SMOTEDataset(base, sampler=SMOTE())
        assert len(SMOTEDataset(base, sampler=SMOTE(random_state=0))) == 40
    finally:
        dist.destroy_process_group()
