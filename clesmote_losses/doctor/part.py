"""One part of the data, training or validation: its images, labels and names, and what went wrong on the way to them."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch.utils.data import Subset

from clesmote_losses.doctor.findings import Finding, Severity, counted
from clesmote_losses.doctor.image_facts import ImageFacts
from clesmote_losses.doctor.reading import Label, look_at_files, look_at_items
from clesmote_losses.restore import preserved_rng
from clesmote_losses.smote.base_dataset import check_base, image_path
from clesmote_losses.smote.base_transform import split_transform
from clesmote_losses.smote.class_names import class_to_index, names_by_index
from clesmote_losses.smote.clipped_images import clipped_image
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.decoding import decode
from clesmote_losses.smote.labels import Labels, check_labels, find_labels, own_labels
from clesmote_losses.smote.real_images import RealImages
from clesmote_losses.smote.relabelling import Relabelling

_CHECKED = 16  # images that are read a second time, to see whether the data set augments
_IMAGE_KEYS, _LABEL_KEYS = ("image", "img", "pixel_values"), ("label", "labels", "target", "class")


@dataclass
class Part:
    """One part of the data.

    Attributes:
        title: ``"training"`` or ``"validation"``.
        dataset: The user's data set.
        labels: Class index of every image, int64, shape ``(N,)``; -1 where none is known.
        facts: Of every image.
        names: Of every image, for messages.
        bytes_scale: How many bytes the data set decodes an image to, for each byte of its file's own mode.
        findings: What went wrong.
    """

    title: str
    dataset: Any
    labels: Labels = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    facts: list[ImageFacts] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    bytes_scale: float = 1.0
    findings: list[Finding] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)

    def add(
        self, severity: Severity, topic: str, message: object, remedy: str = "", evidence: tuple[str, ...] = ()
    ) -> None:
        """Add a finding."""
        self.findings.append(Finding(severity, topic, str(message), evidence, remedy))

    def attempt(self, topic: str, check: Callable[[], Any]) -> Any:
        """Call a check of the library; its error becomes a finding, and the answer ``None``."""
        try:
            with preserved_rng():
                return check()
        except (TypeError, ValueError, RuntimeError) as error:
            self.add("error", topic, f"{self.title} set: {error}")
        return None


def class_names(dataset: Any, labels: Labels) -> dict[int, str]:
    """Return the name of each class, as the data set has it; ``"class 3"`` where it has none."""
    names = names_by_index(dataset)
    indices = sorted({*names, *np.unique(labels[labels >= 0]).tolist()})
    return {index: names.get(index, f"class {index}") for index in indices}


def match_classes(train: Part, validation: Part) -> dict[int, str]:
    """Give the classes of validation the indices that their names have in training, where both know them; return all names.

    A name that training lacks gets an index after all others.
    """
    trained, evaluated = class_to_index(train.dataset), class_to_index(validation.dataset)
    if not trained or not evaluated:
        return class_names(train.dataset, np.concatenate([train.labels, validation.labels]))
    names = class_names(train.dataset, train.labels)
    own, matched = validation.labels, validation.labels.copy()
    for index, name in class_names(validation.dataset, own).items():
        place = trained.get(name, max(names, default=-1) + 1)
        names.setdefault(place, name)
        matched[own == index] = place
    validation.labels = matched
    return names


def look_at_part(title: str, dataset: Any, labels: Any = None, *, num_workers: int | None = None) -> Part:
    """Read a data set, each image once.

    Args:
        title: ``"training"`` or ``"validation"``.
        dataset: Map-style data set, or a :class:`SMOTEDataset`, whose real images are read.
        labels: Class index of every sample, shape ``(N,)``; by default found in the data set, or read from its items.
        num_workers: As in :func:`look_at_files`.

    Raises:
        TypeError: If samples cannot be looked up by index.
        ValueError: If there is none.
    """
    part = Part(title, dataset)
    base: Any = dataset.base if isinstance(dataset, SMOTEDataset) else dataset
    check_base(base)
    if isinstance(dataset, SMOTEDataset):
        part.labels = dataset.labels[: len(base)]
    else:
        part.labels = _labels_of(part, labels)
    paths = _paths_of(base)
    if paths is not None:
        part.facts = look_at_files(paths, num_workers=num_workers, title=f"{title} images")
        part.names = _short_names(paths)
        if base is dataset and title == "training":
            _raw_images(part, [i for i, facts in enumerate(part.facts) if not facts.error], labels)
        return part
    part.names = [f"{title} image {index}" for index in range(len(base))]
    part.facts, own = look_at_items(_reader(part, labels), len(base), title=f"{title} images")
    _compare_labels(part, own, is_passed=labels is not None)
    return part


def _labels_of(part: Part, labels: Any) -> Labels:
    length = len(part.dataset)
    if labels is not None:
        return check_labels(labels, length)
    found: Labels | None = part.attempt("labels", lambda: find_labels(part.dataset))
    return np.full(length, -1, dtype=np.int64) if found is None else found


def _reader(part: Part, labels: Any) -> Callable[[int], tuple[Any, Any]]:
    """Return the function that reads raw image and label of an index."""
    dataset = part.dataset
    if isinstance(dataset, SMOTEDataset):
        return lambda index: (dataset.raw_image(index), int(part.labels[index]))
    with preserved_rng(), suppress(Exception):  # what cannot be read is named later
        first = dataset[0]
        if isinstance(first, Mapping):
            images = RealImages(dataset, np.zeros(len(dataset), dtype=np.int64))
            part.attempt("items", lambda: images.read(0))  # its error shows how to wrap the data set
            keys = [next((key for key in known if key in first), None) for known in (_IMAGE_KEYS, _LABEL_KEYS)]

            def read(index: int) -> tuple[Any, Any]:
                item = dataset[index]
                return item[keys[0]], item.get(keys[1])

            return read
    raw = _raw_images(part, range(len(dataset)), labels) or dataset
    return lambda index: raw[index]


def _raw_images(part: Part, readable: Sequence[int], labels: Any) -> Any:
    """Check that images can be had without the image transform, as a blend needs them; return them, or ``None``."""
    if not readable:
        return None
    subset, known = Subset(part.dataset, readable), part.labels[list(readable)]
    relabelling = None if labels is None else Relabelling()
    split = part.attempt(
        "transform",
        lambda: split_transform(subset, lambda data, index: data[index][0], labels=known if known.min() >= 0 else None),
    )
    if split is None:
        return None
    raw, _, probe = split
    if part.title == "training" and known.min() >= 0:
        images = RealImages(raw, known, relabelling=relabelling, probe=probe)
        some = np.unique(np.linspace(0, len(known) - 1, _CHECKED).astype(int)).tolist()
        before = len(part.findings)
        if labels is not None:
            part.attempt("labels", lambda: images.check_passed_labels(own_labels(subset)))
        if len(part.findings) == before:
            part.attempt("transform", lambda: images.check_steady(some))
    if part.facts:
        decoded = part.attempt("images", lambda: decode(raw[0][0]).values.nbytes)
        part.bytes_scale = (decoded or 0) / max(1, part.facts[readable[0]].nbytes) or 1.0
    deep = [place for place, index in enumerate(readable) if part.facts and part.facts[index].is_deep]
    if deep and part.attempt("images", lambda: clipped_image(Subset(raw, deep))) is not None:
        part.add(
            "error",
            "bit depth",
            f"Read as 8 bits, with values above 255 in the file: {counted(len(deep), 'training image')}. Most of each is white.",
            "scale the files to 8 bits, or let the data set keep their mode (torchvision: ImageFolder(..., loader=Image.open) of PIL; "
            "timm: --input-img-mode).",
            tuple(part.names[readable[place]] for place in deep),
        )
    return raw


def _compare_labels(part: Part, own: Sequence[Label], *, is_passed: bool) -> None:
    """Compare the labels of the items with those that the data set lists; take them where it lists none."""
    if (part.labels < 0).all():
        if all(isinstance(label, int) for label in own):
            part.labels = np.array(own, dtype=np.int64)
        return
    if is_passed:
        relabelling = Relabelling()

        def compare() -> None:
            for index, (label, passed) in enumerate(zip(own, part.labels.tolist(), strict=True)):
                relabelling.compare(index, label, passed)

        part.attempt("labels", compare)
        return
    wrong = [i for i, label in enumerate(own) if label is not None and label != part.labels[i]]
    if wrong:
        part.add(
            "error",
            "labels",
            f"With another label than the data set's list of labels says: {counted(len(wrong), f'{part.title} sample')}.",
            "was an image unreadable and another one taken, or the list put in another order? Let both agree.",
            tuple(f"{part.names[i]}: {own[i]!r} read, {part.labels[i]} in the list" for i in wrong),
        )


def _paths_of(base: Any) -> list[str] | None:
    """Return the paths of the images, if the data set knows them and Pillow reads such files."""
    from PIL import Image

    paths = [image_path(base, index) for index in range(len(base))]
    known = Image.registered_extensions()
    found = [path for path in paths if path is not None and os.path.splitext(path)[1].lower() in known]
    return found if len(found) == len(paths) else None


def _short_names(paths: Sequence[str]) -> list[str]:
    """Return paths from the folder that holds all, with its name: ``train/virus/person1.jpeg``."""
    paths = [os.path.abspath(path) for path in paths]
    top = os.path.dirname(os.path.commonpath([os.path.dirname(path) for path in paths]))
    return [os.path.relpath(path, top) for path in paths]
