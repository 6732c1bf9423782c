"""Ways in which users' data sets transform their images: real items are theirs, or the data set is refused when made."""

import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset, random_split
from torchvision.datasets import VisionDataset
from torchvision.transforms import v2

from clesmote_losses import SMOTEDataset
from tests.support.user_datasets import ARRAYS, AUGMENT, LABELS, TO_FLOAT, Scans, Way, check_outcome

# --- where the transform is ------------------------------------------------------------------------------------------


class NoneIsToTensor(Scans):
    def image(self, index: int) -> Any:
        image = self.load(index)
        return v2.functional.to_image(image) if self.transform is None else self.transform(image)


class NoAttribute(Scans):
    def __init__(self) -> None:
        self.targets = LABELS.tolist()


class Method(NoAttribute):
    def transform(self, image: Any) -> Any:
        return AUGMENT(image)


class OfTheClass(NoAttribute):
    transform = AUGMENT


class Private(NoAttribute):
    def __init__(self) -> None:
        super().__init__()
        self._augment = AUGMENT

    @property
    def transform(self) -> Any:
        return self._augment


class MadeAnew(NoAttribute):
    @property
    def transform(self) -> Any:
        return v2.Compose([*TO_FLOAT])


class Transforms(NoAttribute):
    """The name is ``transforms``."""

    def __init__(self) -> None:
        super().__init__()
        self.transforms = AUGMENT

    def image(self, index: int) -> Any:
        return self.transforms(self.load(index))


class Keeps(Dataset[Any]):
    """A data set around another, which does the work."""

    def __init__(self, inside: Any, transform: Any = None) -> None:
        self.inside, self.targets, self.transform = inside, LABELS.tolist(), transform

    def __len__(self) -> int:
        return len(self.inside)

    def __getitem__(self, index: int) -> Any:
        return self.inside[index]


class Forwards(Keeps):
    def __init__(self, inside: Any) -> None:
        self.inside = inside

    def __getattr__(self, name: str) -> Any:
        if name == "inside" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inside, name)


class ForwardsByProperty(Forwards):
    @property
    def transform(self) -> Any:
        return self.inside.transform

    @transform.setter
    def transform(self, transform: Any) -> None:
        self.inside.transform = transform


class Outer(Keeps):
    """As TransformedSubset in many notebooks: the inner data set has none."""

    def __getitem__(self, index: int) -> Any:
        image, label = self.inside[index]
        return self.transform(image), label


class OuterSubset(Subset[Any]):
    def __init__(self, dataset: Any, indices: Any, transform: Any = None) -> None:
        super().__init__(dataset, indices)
        self.transform = transform

    def __getitem__(self, index: Any) -> Any:
        image, label = super().__getitem__(index)
        return (image if self.transform is None else self.transform(image)), label

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[index] for index in indices]


class Shifted(ConcatDataset[Any]):
    """A subclass that works on after the transform of its parts."""

    def __getitem__(self, index: int) -> Any:
        image, label = super().__getitem__(index)
        return image + 1, label


class TorchvisionJoint(VisionDataset):
    def __init__(self, **transforms: Any) -> None:
        super().__init__("", **transforms)
        self.targets = LABELS.tolist()

    def __len__(self) -> int:
        return len(LABELS)

    def __getitem__(self, index: int) -> Any:
        return self.transforms(v2.functional.to_pil_image(ARRAYS[index]), self.targets[index])


def halves(first: Any, second: Any, kind: Any = ConcatDataset) -> Any:
    return kind([Subset(Scans(first), range(15)), Subset(Scans(second), range(15, 30))])


def part_of_split(dataset: Any) -> Any:
    return random_split(dataset, [30, 0], torch.Generator().manual_seed(0))[0]


def in_order(dataset: Any) -> Any:
    return Subset(dataset, range(30))


class ByClass(Scans):
    def image(self, index: int) -> Any:
        return (
            self.transform(self.load(index)) if LABELS[index] else v2.functional.center_crop(self.load(index), [10, 8])
        )


class Flagged(Scans):
    """``transform`` says whether there is one."""

    def __init__(self) -> None:
        super().__init__(True)

    def image(self, index: int) -> Any:
        return AUGMENT(self.load(index)) if self.transform else self.load(index)


WHERE = {
    "attribute": Way(Scans),
    "no transform": Way(lambda: Scans(None)),
    "a branch for None": Way(NoneIsToTensor),
    "method": Way(Method),
    "attribute of the class": Way(OfTheClass),
    "read-only property of a private attribute": Way(Private),
    "property that makes one": Way(MadeAnew, "MadeAnew does not call it"),
    "transforms, of the image": Way(Transforms),
    "kept and handed to the data set inside": Way(lambda: Keeps(Scans(AUGMENT), AUGMENT)),
    "kept and used by nobody": Way(lambda: Keeps(Scans(v2.Compose(TO_FLOAT)), AUGMENT), "Keeps does not call it"),
    "__getattr__ of the data set inside": Way(lambda: Forwards(Scans())),
    "property of the data set inside": Way(lambda: ForwardsByProperty(Scans())),
    "wrapper with a transform": Way(lambda: Outer(Scans(None), AUGMENT)),
    "wrapper around a random one": Way(
        lambda: Outer(Scans(v2.RandomHorizontalFlip()), AUGMENT), "draws random numbers"
    ),
    "wrapper around a fixed one": Way(lambda: Outer(Scans(v2.CenterCrop((11, 9))), AUGMENT)),
    "Subset": Way(lambda: in_order(Scans())),
    "random_split": Way(lambda: part_of_split(Scans()), options={"labels": "of the split"}),
    "random_split, then a transform": Way(
        lambda: OuterSubset(Scans(None), part_of_split(Scans()).indices, AUGMENT), options={"labels": "of the split"}
    ),
    "Subset subclass without its transform": Way(lambda: OuterSubset(Scans(), range(30))),
    "ConcatDataset": Way(lambda: halves(AUGMENT, AUGMENT)),
    "ConcatDataset of different transforms": Way(
        lambda: halves(AUGMENT, v2.Compose(TO_FLOAT)), "have different transforms.* pass transform= to SMOTEDataset"
    ),
    "ConcatDataset subclass that works on": Way(lambda: halves(AUGMENT, AUGMENT, Shifted), "goes on working"),
    "torchvision's joint": Way(
        lambda: TorchvisionJoint(transforms=lambda i, y: (i, y)), "and a blend has only one image"
    ),
    "torchvision's pair": Way(lambda: TorchvisionJoint(transform=AUGMENT, target_transform=int)),
    "of one class only": Way(ByClass, "ByClass does not call it each time that item 0"),
    "a flag": Way(Flagged, "draws random numbers"),
}

# --- how it is called ------------------------------------------------------------------------------------------------


class ByName(Scans):
    def image(self, index: int) -> Any:
        return self.transform(image=ARRAYS[index])["image"]


def horizontal_flip(*, image: Any) -> dict[str, Any]:
    return {"image": image[:, ::-1].copy() if random.random() < 0.5 else image}


def albumentations(**options: Any) -> Any:
    A = pytest.importorskip("albumentations")
    return A.Compose([A.HorizontalFlip(**options), A.RandomBrightnessContrast(p=0.5), A.Normalize()])


class WithMask(Scans):
    def image(self, index: int) -> Any:
        return self.transform(image=ARRAYS[index], mask=ARRAYS[index, :, :, 0])["image"]


class TwoViews(Scans):
    def image(self, index: int) -> Any:
        return torch.stack([self.transform(self.load(index)) for _ in range(2)])


class Reader(Scans):
    """The transform reads the file, as MONAI's LoadImage."""

    def __init__(self) -> None:
        super().__init__(lambda path: ARRAYS[int(path.removesuffix(".png"))])

    def load(self, index: int) -> Any:
        return f"{index}.png"


class OfAnArray(Scans):
    def load(self, index: int) -> Any:
        return ARRAYS[index]


def brighter(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) / 255 + random.random()


class Then(OfAnArray):
    """Goes on after the transform."""

    def __init__(self, step: Callable[[Any], Any], transform: Any = brighter) -> None:
        super().__init__(transform)
        self.step = step

    def image(self, index: int) -> Any:
        return self.step(super().image(index))


def in_place(image: Any) -> Any:
    image /= 255
    return image


def to_chw(image: Any) -> Any:
    return torch.as_tensor(np.ascontiguousarray(image)).permute(2, 0, 1).float()


THEN: dict[str, Callable[[Any], Any]] = {
    "to tensor": to_chw,
    "normalise": lambda image: (image - 0.5) / 0.25,
    "normalise in place": in_place,
    "clip": lambda image: np.clip(image, 0, 255),
    "float": lambda image: image.astype(np.float32),
    "three channels": lambda image: np.repeat(image[..., :1], 3, axis=2),
    "one channel": lambda image: image[..., 0],
    "to tensor, unless it is one": lambda image: image if isinstance(image, torch.Tensor) else to_chw(image),
}


class Before(OfAnArray):
    def load(self, index: int) -> Any:
        image = ARRAYS[index, 1:, 1:]
        low, high = np.percentile(image, [5, 95])
        return np.clip((image - low) / (high - low), 0, 1).astype(np.float32)


class Seeds(Scans):
    """So that image and mask are transformed alike."""

    def image(self, index: int) -> Any:
        torch.manual_seed(random.randint(0, 2**31))
        return super().image(index)


HOW = {
    "by name": Way(lambda: ByName(horizontal_flip)),
    "albumentations, by name": Way(lambda: ByName(albumentations(p=0.5))),
    "albumentations, with a mask": Way(lambda: WithMask(albumentations(p=1)), r"calls it with \(ndarray, ndarray\)"),
    "twice": Way(TwoViews, "calls it 2 times"),
    "with a path": Way(Reader, "gives it a str"),
    "steps before it": Way(lambda: Before(torch.from_numpy)),
    "seeds drawn before it": Way(Seeds, "draws random numbers"),
    **{f"then {name}": Way(functools.partial(Then, step), "goes on working") for name, step in THEN.items()},
}

# --- what is kept, and augmentation inside ---------------------------------------------------------------------------


class CachedBefore(Scans):
    def __init__(self) -> None:
        super().__init__()
        self.cache: dict[int, Any] = {}

    def load(self, index: int) -> Any:
        if index not in self.cache:
            self.cache[index] = super().load(index)
        return self.cache[index]


class CachedAfter(CachedBefore):
    def image(self, index: int) -> Any:
        if index not in self.cache:
            self.cache[index] = self.transform(Scans.load(self, index))
        return self.cache[index]


class CachedBeforeByLru(Scans):
    @functools.lru_cache  # noqa: B019
    def load(self, index: int) -> Any:
        return super().load(index)


class CachedAfterByLru(Scans):
    @functools.lru_cache  # noqa: B019
    def image(self, index: int) -> Any:
        return super().image(index)


class CachedAfterInATensor(Scans):
    def __init__(self) -> None:
        super().__init__()
        self.images, self.is_cached = torch.zeros(30, 3, 10, 8), torch.zeros(30, dtype=torch.bool)

    def image(self, index: int) -> Any:
        if not self.is_cached[index]:
            self.images[index], self.is_cached[index] = super().image(index), True
        return self.images[index]


class TransformedAtOnce(Scans):
    def __init__(self) -> None:
        super().__init__()
        self.images = [super(TransformedAtOnce, self).image(index) for index in range(30)]

    def image(self, index: int) -> Any:
        return self.images[index]


class Augments(OfAnArray):
    """Augments by itself; its transform has another name, or none."""

    def __init__(self, augment: Callable[[Any], Any]) -> None:
        super().__init__(None)
        self.augment = augment

    def image(self, index: int) -> Any:
        return self.augment(self.load(index))


class AugmentsByName(Augments):
    def __init__(self) -> None:
        super().__init__(albumentations(p=0.1))

    def image(self, index: int) -> Any:
        return self.augment(image=self.load(index))["image"]


def rarely_flipped(draw: Callable[[], float], image: np.ndarray) -> np.ndarray:
    return image[::-1].copy() if draw() < 0.1 else image


class AugmentsByIndex(OfAnArray):
    def load(self, index: int) -> Any:
        return (ARRAYS[index] * np.random.default_rng(index).uniform(0.5, 1)).astype(np.uint8)


def inside(draw: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: Augments(functools.partial(rarely_flipped, draw))


KEPT = {
    "raw images": Way(CachedBefore),
    "raw images, lru_cache": Way(CachedBeforeByLru),
    "transformed images": Way(CachedAfter, "keep images after it"),
    "transformed images, lru_cache": Way(CachedAfterByLru, "keep images after it"),
    "transformed images, in a tensor": Way(CachedAfterInATensor, "keep images after it"),
    "transformed at once": Way(TransformedAtOnce, "does not call it"),
    "random inside": Way(inside(random.random), "draws random numbers"),
    "numpy's random inside": Way(inside(np.random.random), "draws random numbers"),
    "torch's random inside": Way(inside(lambda: torch.rand(()).item()), "draws random numbers"),
    "own generator inside": Way(inside(np.random.default_rng(0).random), "gave two different images"),
    "albumentations inside": Way(AugmentsByName, "gave two different images"),
    "the same augmentation of an index each time": Way(lambda: AugmentsByIndex(torch.from_numpy)),
    "a fixed transform of another name": Way(lambda: Augments(torch.from_numpy)),
}

WAYS = {**WHERE, **HOW, **KEPT}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_real_items_are_those_of_the_data_set_or_it_is_refused(way: Way) -> None:
    base = way.make()
    options = dict(way.options)
    if options.get("labels"):
        options["labels"] = LABELS[base.indices]
    check_outcome(way._replace(options=options), base)


class Named(Scans):
    def image(self, index: int) -> Any:
        return self.transform(image=self.load(index))["image"]


def test_a_transform_that_is_passed_replaces_all_those_of_the_parts() -> None:
    parts = [Scans(AUGMENT), TorchvisionJoint(transform=v2.CenterCrop(4)), Named(v2.Identity())]
    before = [part.transform for part in parts]
    train_set = SMOTEDataset(ConcatDataset(parts), transform=v2.Compose(TO_FLOAT))
    for index in range(90):
        assert torch.equal(train_set[index][0], v2.Compose(TO_FLOAT)(Image.fromarray(ARRAYS[index % 30])))
    assert [part.transform for part in parts] == before
    assert train_set[len(train_set) - 1][0].shape == (3, 12, 10)
    with pytest.raises(ValueError, match="goes on working on the image after it"):
        SMOTEDataset(ConcatDataset([Scans(AUGMENT), Then(lambda image: 2 * image)]), transform=v2.Compose(TO_FLOAT))
    with pytest.raises(ValueError, match=r"and others have none\. Give these one too"):
        SMOTEDataset(ConcatDataset([Scans(AUGMENT), Scans(None)]), transform=v2.Compose(TO_FLOAT))


class ThenRarely(Then):
    def image(self, index: int) -> Any:
        return self.step(Scans.image(self, index)) if index == 25 else Scans.image(self, index)


def test_an_item_that_is_an_exception_is_refused_when_it_is_read() -> None:
    train_set = SMOTEDataset(ThenRarely(lambda image: 2 * image, brighter))
    train_set[24]
    with pytest.raises(ValueError, match="ThenRarely treats item 25 otherwise than the items that were checked"):
        train_set[25]
