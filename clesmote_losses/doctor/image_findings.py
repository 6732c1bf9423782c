"""What is wrong with single images, or differs between them: files, sizes, modes, tags, values."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np

from clesmote_losses.doctor.findings import counted
from clesmote_losses.doctor.image_facts import ImageFacts
from clesmote_losses.doctor.part import Part

_NEARLY_ONE_VALUE = 0.99


def find_image_faults(part: Part, oversampled: Collection[int], *, is_blendable: bool) -> None:
    """Add findings about the images of a part.

    Args:
        part: Training or validation.
        oversampled: Classes whose images are blended.
        is_blendable: Whether the data set is a ``SMOTEDataset``, which has seen that its images fit each other.
    """
    facts, read = part.facts, [i for i, one in enumerate(part.facts) if not one.error]

    def images(indices: Sequence[int]) -> str:
        return counted(len(indices), f"{part.title} image")

    def names(indices: Iterable[int], describe: Callable[[ImageFacts], str] | None = None) -> tuple[str, ...]:
        return tuple(part.names[i] + (f": {describe(facts[i])}" if describe else "") for i in indices)

    if unreadable := [i for i, one in enumerate(facts) if one.error]:
        part.add(
            "error",
            "unreadable",
            f"Cannot be read: {images(unreadable)}.",
            "get the files again, or remove them.",
            names(unreadable, lambda one: one.error),
        )
    if infinite := [i for i in read if not facts[i].is_finite]:
        remedy = "let the data set replace these values; a blend with them is NaN too."
        part.add("error", "values", f"With NaN or infinity: {images(infinite)}.", remedy, names(infinite))
    if constant := [i for i in read if facts[i].largest_share == 1]:
        remedy = "look at them, and remove what shows nothing."
        part.add(
            "warning",
            "constant",
            f"With one value only: {images(constant)}.",
            remedy,
            names(constant),
        )
    if saturated := [i for i in read if _NEARLY_ONE_VALUE <= facts[i].largest_share < 1]:
        part.add(
            "warning",
            "saturated",
            f"With 99 % or more of one extreme value (black or white): {images(saturated)}.",
            "look at them; over-exposed or badly converted files are best made again.",
            names(saturated, lambda one: f"{one.largest_share:.1%} of one value"),
        )
    is_oversampled = np.isin(part.labels, list(oversampled))
    if turned := [i for i in read if facts[i].orientation != 1]:
        part.add(
            "warning",
            "orientation",
            f"With an orientation tag (EXIF): {images(turned)}. Viewers turn them; Pillow and torchvision do not, and "
            "SMOTE blends no two images that differ in it.",
            "write the files upright, or let the data set return ImageOps.exif_transpose(image).",
            names(turned, lambda one: f"orientation {one.orientation}"),
        )
    blended = [i for i in read if is_oversampled[i]] if part.title == "training" and not is_blendable else []
    _add_difference(
        part,
        "size",
        read,
        blended,
        lambda one: one.shape,
        _as_size,
        "let the transform for evaluation resize them, or they fit in no batch."
        if part.title == "validation"
        else "pass image_size=(height, width) to SMOTEDataset (--smote-image-size), or resize the files.",
    )
    _add_difference(
        part,
        "mode",
        read,
        [],
        lambda one: one.kind,
        str,
        "let the data set convert all to one mode, as torchvision's and timm's loaders do (RGB).",
    )
    _add_difference(
        part,
        "colour profile",
        read,
        blended,
        lambda one: one.profile,
        lambda name: name or "none",
        'convert all to one profile in the data set, or drop it there: image.info.pop("icc_profile", None).',
    )
    if deep := [i for i in read if facts[i].is_deep]:
        message = f"With more than 8 bits: {images(deep)}."
        part.add("note", "bit depth", message, "", names(deep, lambda one: f"mode {one.kind}"))


def _add_difference(
    part: Part,
    name: str,
    read: Sequence[int],
    blended: Sequence[int],
    value_of: Callable[[ImageFacts], Any],
    describe: Callable[[Any], str],
    remedy: str,
) -> None:
    """Add a finding if images differ: a warning if images of a class that is blended do."""
    counts = Counter(value_of(part.facts[i]) for i in read)
    if len(counts) < 2:
        return
    differ = len({value_of(part.facts[i]) for i in blended}) > 1
    lines = tuple(f"{describe(value)}: {counted(count, 'image')}" for value, count in counts.most_common())
    where = "The images of the over-sampled classes" if differ else f"The {part.title} images"
    part.add("warning" if differ else "note", name, f"{where} differ in {name}.", remedy, lines)


def _as_size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) + (" (height x width)" if len(shape) == 2 else "")
