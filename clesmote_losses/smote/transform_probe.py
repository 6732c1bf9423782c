"""Find out whether a data set gives what its transform gives, by a probe in the place of the transform."""

from collections.abc import Callable, Mapping
from threading import get_ident
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from clesmote_losses.errors import shortened
from clesmote_losses.restore import random_states

Transform = Callable[[Any], Any]


class TransformByName:
    """Call a transform as albumentations is called: ``transform(image=image)["image"]``."""

    def __init__(self, transform: Callable[..., Any], name: str) -> None:
        self.transform, self.name = transform, name

    def __call__(self, image: Any) -> Any:
        """Return the transformed image."""
        return self.transform(**{self.name: image})[self.name]


def apply_transform(transform: Transform | None, image: Any) -> Any:
    """Return the image through a transform, or as it is without one. albumentations is called by name."""
    if transform is None:
        return image
    return transform(image=image)["image"] if _is_albumentations(transform) else transform(image)  # type: ignore[call-arg]


class TransformProbe:
    """Stand in the place of a data set's transform and hand each image on unchanged.

    Args:
        owner: Name of the data set's class, for messages.
        remedy: The end of messages.
    """

    def __init__(self, owner: str, remedy: str) -> None:
        self._owner, self._remedy = owner, remedy
        self._name: str | None = None  # of the argument, if the data set passes the image by name
        self._answer: Transform | None = None  # while an item is checked
        self._calls: list[list[Any]] = []  # the values of each
        self._answered: Any = None
        self._handed_on: dict[int, Any] = {}  # the last image of each thread

    def __call__(self, *images: Any, **named: Any) -> Any:
        """Return the image, or a dict of it if it was passed by name."""
        if self._answer is None:
            self._handed_on[get_ident()] = next(iter((*images, *named.values())), None)
            return images[0] if images else named
        self._name = next(iter(named), None)
        values = [*images, *named.values()]
        self._calls.append(values)
        self._answered = self._answer(values[0])
        return self._answered if images else {self._name: self._answered}

    def read_raw(self, raw: "Dataset[Any]", index: int, transform: Transform | None) -> Any:
        """Read the raw image of an item, and check that the data set does nothing after its transform.

        Args:
            raw: The data set, with the probe in the place of its transform.
            index: Of the item.
            transform: The transform of the data set; ``None`` if its parts have different ones.

        Raises:
            ValueError: If the data set does not call its transform once for each reading, with one image, at the end.
        """
        # The true answer is first, because a data set may keep it.
        self._read(raw, index, lambda image: apply_transform(transform and self.by_name(transform), image))
        self._read(raw, index, lambda image: object())  # nothing can be done to it
        before = random_states()
        image = self._read(raw, index, lambda image: image)
        if random_states() != before:
            raise self.refusal("draws random numbers beside those of the transform, to which all augmentation belongs")
        if not is_image(image):
            raise self.refusal(f"gives it a {type(image).__name__}, which is no image")
        return image

    def check_raw(self, image: Any, index: int) -> None:
        """Raise ``ValueError`` unless the image of the item just read is the one that was handed on: few items were checked."""
        if self._handed_on.pop(get_ident(), None) is not image:
            raise self.refusal(f"treats item {index} otherwise than the items that were checked")

    def by_name(self, transform: Transform) -> Transform:
        """Return the transform as a function of the image alone, if the data set passes the image by name."""
        if self._name is None or (self._name == "image" and _is_albumentations(transform)):
            return transform
        return TransformByName(transform, self._name)

    def refusal(self, reason: str) -> ValueError:
        """Make the error that says why the transform cannot be split off."""
        return ValueError(
            f"SMOTE blends images before the transform, but the transform of {self._owner} cannot be split off: "
            f"{self._owner} {reason}. {self._remedy}"
        )

    def _read(self, raw: "Dataset[Any]", index: int, answer: Transform) -> Any:
        """Read an item that must be the answer to the image of one call; return that image."""
        self._calls, self._answer, failure = [], answer, ""
        try:
            item = raw[index]
        except Exception as error:
            item, failure = None, f" ({type(error).__name__}: {shortened(error)})"
        calls, answered, self._calls, self._answer, self._answered = self._calls, self._answered, [], None, None
        if not calls:
            raise self.refusal(
                f"does not call it each time that item {index} is read{failure}: it may hand it on, or keep images after it, "
                "so that each is augmented once and for all"
            )
        if len(calls) > 1:
            raise self.refusal(f"calls it {len(calls)} times for item {index}")
        if len(calls[0]) != 1:
            kinds = ", ".join(type(value).__name__ for value in calls[0])
            raise self.refusal(f"calls it with ({kinds}), and a blend has only one image")
        if not isinstance(item, tuple | list) or item[0] is not answered:
            raise self.refusal(f"goes on working on the image after it{failure}")
        return calls[0][0]


def same(one: Any, other: Any) -> bool:
    """Tell whether two transformed images, or containers of them, are equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Tensor):
        one, other = (value.detach().as_subclass(Tensor).cpu() for value in (one, other))
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        return bool(((one == other) | ((one != one) & (other != other))).all())
    if is_image(one):
        one, other = np.asarray(one), np.asarray(other)
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    return bool(one == other)


def is_steadily_other(image: Any, read: Callable[[], Any], made: Callable[[], Any], same: Any = same) -> bool:
    """Tell whether an image differs from one that is made, and both stay what they are.

    A transform may draw from a generator that no copy and no global state shows. Then one of the two is another the next
    time, and that they differ says nothing: a flip with any p passes as steady once in 30,000 times.

    Args:
        image: As ``read`` gave it.
        read: Reads the image again.
        made: Makes the image it is compared with.
        same: Compares two images.
    """
    first = made()
    return not same(first, image) and all(same(read(), image) and same(made(), first) for _ in range(8))


def is_image(value: Any) -> bool:
    """Tell whether a value is an image of a kind that is known."""
    from PIL import Image  # not at the top: users of the loss alone need no Pillow

    return isinstance(value, np.ndarray | Tensor | Image.Image)


def _is_albumentations(transform: Any) -> bool:
    return any(kind.__module__.startswith("albumentations.") for kind in type(transform).__mro__)
