"""Users' data sets, by where images and labels come from: real items are theirs, or the data set is refused when made."""

import dataclasses
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.utils.data import Dataset, TensorDataset
from torchvision.datasets import DatasetFolder, ImageFolder
from torchvision.transforms import v2

from clesmote_losses import SMOTEDataset, decode_target
from clesmote_losses.smote.transform_probe import same
from tests.support.user_datasets import ARRAYS, AUGMENT, LABELS, TO_FLOAT, Scans, Way, check_outcome, seed_all

GREY = ARRAYS[..., 0]
WIDE = GREY.astype(np.uint16) * 257
HOUNSFIELD = (GREY.astype(np.float32) / 255 * 2048 - 1024)[:, None]  # as torchxrayvision: [-1024, 1024], (1, H, W)
FLIP = v2.RandomHorizontalFlip()
AUGMENT_ARRAY = v2.Compose([v2.ToImage(), AUGMENT])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scans in every format: PNG files of 8 and 16 bits in folders of their class, npy, zip, CSV."""
    root = tmp_path_factory.mktemp("scans")
    for bits, images in ((8, ARRAYS), (16, WIDE)):
        for index, label in enumerate(LABELS):
            path = root / f"png{bits}" / str(label) / f"{index:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[index]).save(path)
    np.save(root / "scans.npy", WIDE)
    with zipfile.ZipFile(root / "scans.zip", "w") as archive:
        for index, label in enumerate(LABELS):
            archive.write(root / "png8" / str(label) / f"{index:02}.png", f"{index}.png")
    rows = [f"{index},png8/{label}/{index:02}.png,{label}" for index, label in enumerate(LABELS)]
    (root / "scans.csv").write_text("\n".join(["patient,file,finding", *rows]))
    return root


def paths(files: Path, bits: int = 8) -> list[str]:
    return [str(files / f"png{bits}" / str(label) / f"{index:02}.png") for index, label in enumerate(LABELS)]


class Made(Scans):
    """Images made by a function of the index."""

    def __init__(self, make: Callable[[int], Any], transform: Any) -> None:
        super().__init__(transform)
        self.load = make


def to_unit(image: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image).astype(np.float32) / 65535)[None]


# --- where images come from ------------------------------------------------------------------------------------------


class MemoryMapped(Scans):
    def __init__(self, files: Path) -> None:
        super().__init__(to_unit)
        self.scans = np.load(files / "scans.npy", mmap_mode="r")

    def load(self, index: int) -> Any:
        return self.scans[index]


class Handle:
    """As an open HDF5 file: it cannot be pickled, and other processes must not use it."""

    def __getitem__(self, name: str) -> Any:
        return {"scans": WIDE, "labels": LABELS}[name]

    def __reduce__(self) -> Any:
        raise TypeError("h5py objects cannot be pickled")


class HDF5(Scans):
    """Opened by the first reading, in each worker for itself."""

    def __init__(self) -> None:
        super().__init__(to_unit)
        self.file: Any = None

    def load(self, index: int) -> Any:
        if self.file is None:
            self.file = Handle()
        return self.file["scans"][index]


class Zipped(Scans):
    def __init__(self, files: Path) -> None:
        super().__init__()
        self.archive = zipfile.ZipFile(files / "scans.zip")

    def load(self, index: int) -> Any:
        with self.archive.open(f"{index}.png") as file:
            return Image.open(file).convert("RGB")


class Table(Scans):
    def __init__(self, files: Path) -> None:
        super().__init__()
        del self.targets
        self.root = files
        self.df = pytest.importorskip("pandas").read_csv(files / "scans.csv")

    def load(self, index: int) -> Any:
        return Image.open(self.root / self.df.iloc[index]["file"]).convert("RGB")

    def label(self, index: int) -> Any:
        return self.df.iloc[index]["finding"]


class SixteenBits(Scans):
    def __init__(self, files: Path) -> None:
        super().__init__(to_unit)
        self.samples = list(zip(paths(files, 16), LABELS.tolist(), strict=True))

    def load(self, index: int) -> Any:
        return np.array(Image.open(self.samples[index][0]))


@dataclasses.dataclass(frozen=True)
class Frozen(Dataset[Any]):
    images: np.ndarray
    targets: list[int]
    transform: Any

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.images[index]), self.targets[index]


def equalized(path: str) -> Image.Image:
    return ImageOps.equalize(Image.open(path).convert("L"))


IMAGES = {
    "ImageFolder": Way(lambda files: ImageFolder(str(files / "png8"), AUGMENT)),
    "ImageFolder, loader that works": Way(
        lambda files: ImageFolder(str(files / "png8"), v2.Compose(TO_FLOAT), loader=equalized)
    ),
    "DatasetFolder of arrays": Way(
        lambda files: DatasetFolder(str(files / "png16"), lambda path: np.array(Image.open(path)), (".png",), to_unit)
    ),
    "PIL L": Way(lambda _: Made(lambda i: Image.fromarray(GREY[i]), AUGMENT)),
    "PIL I;16": Way(lambda _: Made(lambda i: Image.fromarray(WIDE[i]), to_unit)),
    "PIL I": Way(lambda _: Made(lambda i: Image.fromarray(WIDE[i].astype(np.int32)), to_unit)),
    "PIL F": Way(lambda _: Made(lambda i: Image.fromarray(HOUNSFIELD[i, 0]), FLIP)),
    "PIL 1": Way(lambda _: Made(lambda i: Image.fromarray(GREY[i] > 99), FLIP), "mode '1'"),
    "arrays of bytes": Way(lambda _: Made(ARRAYS.__getitem__, AUGMENT_ARRAY)),
    "bytes, channels first": Way(lambda _: Made(lambda i: torch.from_numpy(ARRAYS[i]).permute(2, 0, 1), AUGMENT)),
    "16-bit PNG": Way(SixteenBits),
    "memory-mapped": Way(MemoryMapped),
    "HDF5": Way(lambda _: HDF5()),
    "zip": Way(Zipped),
    "CSV by pandas": Way(Table, options={"labels": LABELS}),
    "CSV by pandas, labels forgotten": Way(Table, "labels of Table are not found"),
    "TensorDataset": Way(lambda _: TensorDataset(torch.from_numpy(HOUNSFIELD), torch.from_numpy(LABELS))),
    "frozen dataclass": Way(lambda _: Frozen(ARRAYS, LABELS.tolist(), AUGMENT_ARRAY)),
    "list of pairs": Way(
        lambda _: list(zip(map(torch.from_numpy, ARRAYS), LABELS.tolist(), strict=True)), options={"labels": LABELS}
    ),
}

# --- labels and items ------------------------------------------------------------------------------------------------


class Labelled(Scans):
    def __init__(self, labels: Any) -> None:
        super().__init__()
        self.targets = labels


class MedMNIST(Scans):
    def __init__(self) -> None:
        super().__init__()
        self.labels, self.target_transform = LABELS[:, None].astype(np.uint8), lambda label: label.astype(int)
        del self.targets

    def label(self, index: int) -> Any:
        return self.target_transform(self.labels[index])


class Item(NamedTuple):
    image: Any
    label: int


class AnyItem(Scans):
    def __init__(self, item: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.item = item

    def __getitem__(self, index: int) -> Any:
        return self.item(self.image(index), self.label(index))


NAMES = np.array(["normal", "pneumonia"])
ITEMS = {
    "numpy integers": Way(lambda _: Labelled(LABELS)),
    "tensor": Way(lambda _: Labelled(torch.from_numpy(LABELS))),
    "bool": Way(lambda _: Labelled((LABELS == 1).tolist())),
    "column": Way(lambda _: MedMNIST()),
    "names": Way(lambda _: Labelled(NAMES[LABELS].tolist()), "labels must be class indices"),
    "one-hot": Way(lambda _: Labelled(np.eye(2, dtype=int)[LABELS]), r"labels must have shape \(30,\)"),
    "probabilities": Way(lambda _: Labelled(LABELS.astype(np.float32)), "labels must be class indices"),
    "list": Way(lambda _: AnyItem(lambda image, label: [image, label])),
    "named tuple": Way(lambda _: AnyItem(Item)),
    "triple": Way(lambda _: AnyItem(lambda image, label: (image, label, "1.png")), r"must give \(image, label\)"),
    "triple, path first": Way(
        lambda _: AnyItem(lambda image, label: ("1.png", image, label)), r"must give \(image, label\)"
    ),
    "dict": Way(
        lambda _: AnyItem(lambda image, label: {"image": image, "label": label}), r"must give \(image, label\)"
    ),
    "image alone": Way(lambda _: AnyItem(lambda image, label: image), r"must give \(image, label\)"),
}

# --- libraries -------------------------------------------------------------------------------------------------------


class XRays(Dataset[Any]):
    """As torchxrayvision's: items are dicts, labels a matrix of findings."""

    def __init__(self) -> None:
        self.pathologies, self.labels = ["Pneumonia", "Edema"], np.stack([LABELS, 1 - LABELS], 1).astype(np.float32)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"idx": index, "lab": self.labels[index], "img": HOUNSFIELD[index]}


class Hub(Dataset[Any]):
    """As a data set of Hugging Face: columns, and a function that is applied to the batch that is asked for."""

    def __init__(self, function: Any = None) -> None:
        self.function = function
        self.features = {"image": "Image", "label": "ClassLabel"}

    def __len__(self) -> int:
        return len(LABELS)

    def __getitem__(self, key: Any) -> Any:
        if key == "label":
            return LABELS.tolist()
        batch = {"image": [Image.fromarray(ARRAYS[key])], "label": [int(LABELS[key])]}
        return {name: column[0] for name, column in (self.function(batch) if self.function else batch).items()}


class Pairs(Dataset[Any]):
    """The usual adapter of dicts."""

    def __init__(self, dicts: Any, image: str = "image", label: str = "label", transform: Any = None) -> None:
        self.dicts, self.names, self.transform = dicts, (image, label), transform

    def __len__(self) -> int:
        return len(self.dicts)

    def __getitem__(self, index: int) -> Any:
        image, label = (self.dicts[index][name] for name in self.names)
        return image if self.transform is None else self.transform(image), label


class XRayPairs(Pairs):
    def __getitem__(self, index: int) -> Any:
        image, findings = super().__getitem__(index)
        return image, int(findings[0])


def on_batch(transform: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda batch: {**batch, "image": [transform(image) for image in batch["image"]]}


class Fast(Scans):
    """As fastai's ``Datasets``: pipelines of functions, one for the image and one for the label."""

    def __init__(self) -> None:
        super().__init__(None)
        self.tfms, self.vocab = (
            [[lambda i: Image.fromarray(ARRAYS[i]), v2.Compose(TO_FLOAT)], [LABELS.__getitem__]],
            NAMES,
        )

    def __getitem__(self, index: int) -> Any:
        items = [index, index]
        for place, pipeline in enumerate(self.tfms):
            for function in pipeline:
                items[place] = function(items[place])
        return tuple(items)


def monai_dicts(files: Path, kind: str, *random: Any, **options: Any) -> Any:
    monai = pytest.importorskip("monai")
    T = monai.transforms
    data = [{"image": image, "label": label} for image, label in zip(ARRAYS, LABELS.tolist(), strict=True)]
    chain = [T.EnsureChannelFirstd("image", channel_dim=-1), T.ScaleIntensityd("image"), *(name(T) for name in random)]
    return getattr(monai.data, kind)(data=data, transform=T.Compose(chain), **options)


def monai_arrays(kind: str, *random: Any) -> Any:
    monai = pytest.importorskip("monai")
    T = monai.transforms
    chain = T.Compose([T.EnsureChannelFirst(channel_dim=-1), T.ScaleIntensity(), *(name(T) for name in random)])
    if kind == "ArrayDataset":
        return monai.data.ArrayDataset(img=list(ARRAYS), img_transform=chain, labels=LABELS.tolist())
    return Made(ARRAYS.__getitem__, chain)


def monai_files(files: Path) -> Any:
    monai = pytest.importorskip("monai")
    T = monai.transforms
    chain = T.Compose([T.EnsureChannelFirst(channel_dim="no_channel"), T.ScaleIntensity()])
    return monai.data.ImageDataset(paths(files, 16), labels=LABELS.tolist(), transform=chain, reader="PILReader")


def flips(T: Any) -> Any:
    return T.RandFlip(prob=0.2, spatial_axis=0)


def flips_dict(T: Any) -> Any:
    return T.RandFlipd("image", prob=0.2, spatial_axis=0)


WITH_LABELS = {"labels": LABELS}
LIBRARIES = {
    "torchxrayvision": Way(lambda _: XRays(), r"must give \(image, label\)", WITH_LABELS),
    "torchxrayvision, labels forgotten": Way(lambda _: XRays(), "labels must have shape .* one-hot"),
    "torchxrayvision, adapted": Way(lambda _: XRayPairs(XRays(), "img", "lab", torch.from_numpy), options=WITH_LABELS),
    "Hugging Face": Way(lambda _: Hub(), r"must give \(image, label\)", WITH_LABELS),
    "Hugging Face, adapted": Way(lambda _: Pairs(Hub(), transform=AUGMENT), options=WITH_LABELS),
    "Hugging Face, set_transform": Way(lambda _: Pairs(Hub(on_batch(v2.Compose(TO_FLOAT)))), options=WITH_LABELS),
    "Hugging Face, random set_transform": Way(
        lambda _: Pairs(Hub(on_batch(AUGMENT))), "draws random numbers", WITH_LABELS
    ),
    "fastai": Way(lambda _: Fast(), options=WITH_LABELS),
    "MONAI arrays through a transform": Way(lambda _: monai_arrays("")),
    "MONAI ArrayDataset": Way(lambda _: monai_arrays("ArrayDataset"), options=WITH_LABELS),
    "MONAI ArrayDataset, random": Way(
        lambda _: monai_arrays("ArrayDataset", flips), "gave two different|differ in affine", WITH_LABELS
    ),
    "MONAI ImageDataset": Way(monai_files),
    "MONAI Dataset of dicts": Way(
        lambda files: monai_dicts(files, "Dataset"), r"must give \(image, label\)", WITH_LABELS
    ),
    "MONAI Dataset, adapted": Way(lambda files: Pairs(monai_dicts(files, "Dataset")), options=WITH_LABELS),
    "MONAI Dataset, adapted, random": Way(
        lambda files: Pairs(monai_dicts(files, "Dataset", flips_dict)),
        "gave two different|differ in affine",
        WITH_LABELS,
    ),
    "MONAI CacheDataset, adapted": Way(
        lambda files: Pairs(monai_dicts(files, "CacheDataset", progress=False, num_workers=0)), options=WITH_LABELS
    ),
}

WAYS = {**IMAGES, **ITEMS, **LIBRARIES}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_real_items_are_those_of_the_data_set_or_it_is_refused(way: Way, files: Path) -> None:
    check_outcome(way, way.make(files))


@pytest.mark.parametrize("transform", [None, to_unit], ids=["no transform", "transform"])
def test_a_file_that_the_first_reading_opens_is_left_to_the_workers(transform: Any) -> None:
    base = HDF5()
    base.transform = transform
    train_set = SMOTEDataset(base)
    subset = train_set.real_subset()
    assert subset[0][0].shape[-2:] == GREY[0].shape
    assert base.file is None
    copied = pickle.loads(pickle.dumps(train_set))  # workers started by spawn
    assert same(copied[39][0], train_set[39][0])


def test_the_way_out_of_a_data_set_that_cannot_be_split_is_in_the_message() -> None:
    class Normalises(Scans):
        def image(self, index: int) -> Any:
            return v2.functional.normalize(super().image(index), [0.5], [0.25])

    base = Normalises()
    with pytest.raises(
        ValueError, match="pass image=, a function that returns the raw image of an index, and transform="
    ):
        SMOTEDataset(base)
    normalize = v2.Normalize([0.5], [0.25])
    train_set = SMOTEDataset(base, image=base.load, transform=v2.Compose([base.transform, normalize]))
    for index in range(5):
        seed_all(index, None)
        image, label = base[index]
        seed_all(index, None)
        assert same(train_set[index], (image, label))
    assert train_set[39][0].shape == image.shape
    assert train_set.raw_image(3).tobytes() == base.load(3).tobytes()


def test_images_by_a_function_serve_samples_that_are_dicts() -> None:
    base = XRays()
    train_set = SMOTEDataset(base, labels=LABELS, image=lambda index: base[index]["img"])
    assert all(same(train_set[i], (base[i]["img"], int(base[i]["lab"][0]))) for i in range(30))
    assert decode_target(train_set[39][1]) == (1, True)


def test_a_function_that_augments_is_refused_as_a_data_set_is() -> None:
    base = Scans()
    for options in ({}, {"transform": v2.Compose(TO_FLOAT)}):
        with pytest.raises(ValueError, match="draws random numbers"):
            SMOTEDataset(base, image=lambda index: base[index][0], **options)


def test_the_wrapper_that_the_message_shows_for_a_data_set_of_monai_works() -> None:
    base = monai_dicts(Path(), "Dataset")
    with pytest.raises(TypeError) as caught:
        SMOTEDataset(base, labels=LABELS)
    scope: dict[str, Any] = {"torch": torch}
    exec("if True:\n" + str(caught.value).split("labels=:\n")[1], scope)
    train_set = SMOTEDataset(scope["Pairs"](base), labels=LABELS)
    assert torch.equal(train_set[3][0], base[3]["image"])
