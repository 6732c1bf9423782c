"""A probe in the place of a transform sees how the data set calls it."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clesmote_losses.smote.transform_probe import TransformByName, TransformProbe, apply_transform, same

IMAGE = np.arange(12.0).reshape(3, 4)


def negative(image: np.ndarray) -> np.ndarray:
    return -image


def negative_by_name(**images: np.ndarray) -> dict[str, np.ndarray]:
    return {name: -image for name, image in images.items()}


class Reading:
    """A data set of one image, read by a function of the transform."""

    def __init__(self, read: Callable[[Any], Any], probe: TransformProbe) -> None:
        self.read, self.probe = read, probe

    def __getitem__(self, index: int) -> Any:
        return self.read(self.probe)


def read_raw(read: Callable[[Any], Any], transform: Any = negative) -> tuple[Any, TransformProbe]:
    probe = TransformProbe("Scans", "Mend it.")
    return probe.read_raw(Reading(read, probe), 0, transform), probe  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "read",
    [lambda t: (t(IMAGE), 0), lambda t: [t(IMAGE)], lambda t: (t(IMAGE), 0, "path")],
    ids=["pair", "list", "triple"],
)
def test_the_raw_image_is_what_the_transform_was_given(read: Callable[[Any], Any]) -> None:
    raw, probe = read_raw(read)
    assert raw is IMAGE
    assert read(probe)[0] is IMAGE
    assert probe.by_name(negative) is negative
    assert read(pickle.loads(pickle.dumps(probe)))[0] is IMAGE  # workers started by spawn


def test_a_transform_that_is_called_by_name_becomes_a_function_of_the_image() -> None:
    def read(transform: Any) -> Any:
        return transform(scan=IMAGE)["scan"], 0

    raw, probe = read_raw(read, negative_by_name)
    assert raw is IMAGE
    assert read(probe)[0] is IMAGE
    np.testing.assert_array_equal(probe.by_name(negative_by_name)(IMAGE), -IMAGE)
    assert isinstance(probe.by_name(negative_by_name), TransformByName)


def test_an_item_that_is_read_otherwise_than_those_checked_is_refused() -> None:
    _, probe = read_raw(lambda t: (t(IMAGE), 0))
    probe.check_raw(probe(IMAGE), 3)
    for image in (probe(IMAGE) * 2, IMAGE):  # worked on; without a call, though the image was handed on before
        with pytest.raises(
            ValueError, match=r"Scans treats item 7 otherwise than the items that were checked.*Mend it"
        ):
            probe.check_raw(image, 7)
    probe.check_raw(probe(scan=IMAGE)["scan"], 3)


cached: list[Any] = []


def read_once(transform: Any) -> Any:
    if not cached:
        cached.append(transform(IMAGE))
    return cached[0], 0


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda t: (IMAGE, 0), "Scans does not call it each time that item 0 is read: it may hand it on.* Mend it"),
        (lambda t: 1 / 0, r"item 0 is read \(ZeroDivisionError"),
        (read_once, "keep images after it, so that each is augmented once"),
        (lambda t: (t(t(IMAGE)), 0), "calls it 2 times for item 0"),
        (lambda t: (t(IMAGE, 0), 0), r"calls it with \(ndarray, int\), and a blend has only one image"),
        (lambda t: (t(), 0), r"calls it with \(\)"),
        (lambda t: (t(image=IMAGE, mask=IMAGE)["image"], 0), r"calls it with \(ndarray, ndarray\)"),
        (lambda t: (t(IMAGE) * 1, 0), "goes on working on the image after it"),
        (lambda t: (t(IMAGE).clip(-20, 0), 0), "goes on working"),
        (lambda t: (t(IMAGE).astype(float, copy=False), 0), r"goes on working on the image after it \(AttributeError"),
        (lambda t: (image if isinstance(image := t(IMAGE), np.ndarray) else image * 2, 0), "goes on working"),
        (lambda t: (0, t(IMAGE)), "goes on working"),
        (lambda t: t(IMAGE), "goes on working"),
        (lambda t: (t("1.png"), 0), "gives it a str, which is no image"),
        (
            lambda t: (t(IMAGE if np.random.random() < 2 else 0), 0),
            "draws random numbers beside those of the transform",
        ),
        (lambda t: (t.transforms[0](IMAGE), 0), r"item 0 is read \(AttributeError"),
    ],
)
def test_a_data_set_that_does_more_or_less_is_refused(read: Callable[[Any], Any], message: str) -> None:
    cached.clear()
    with pytest.raises(ValueError, match=message):
        read_raw(read, lambda image="1.png", *_, **__: image if isinstance(image, str) else -image)


def test_albumentations_is_called_by_name_and_all_else_with_the_image() -> None:
    A = pytest.importorskip("albumentations")
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    for flip in (A.VerticalFlip(p=1), A.Compose([A.VerticalFlip(p=1)]), lambda image: image[::-1]):
        np.testing.assert_array_equal(apply_transform(flip, image), image[::-1])
    assert apply_transform(None, image) is image
    _, probe = read_raw(lambda t: (t(image=image)["image"], 0), flip := A.VerticalFlip(p=1))
    assert probe.by_name(flip) is flip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (IMAGE, IMAGE.astype(np.float32)),
        (IMAGE, IMAGE + 1e-9),
        (IMAGE, IMAGE[:2]),
        (IMAGE, torch.from_numpy(IMAGE)),
        (torch.zeros(2), torch.zeros(1)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (Image.new("L", (2, 2)), Image.new("L", (2, 2), 1)),
        (Image.new("L", (2, 2)), Image.new("F", (2, 2))),
        ({"a": IMAGE}, {"b": IMAGE}),
        ((IMAGE, IMAGE), (IMAGE,)),
        ([IMAGE, IMAGE], [IMAGE, -IMAGE]),
        ("a", "b"),
    ],
)
def test_images_of_other_values_or_kind_are_not_the_same(one: Any, other: Any) -> None:
    assert same(one, one)
    assert same(other, other)
    assert not same(one, other)


def test_missing_values_are_the_same() -> None:
    assert same(np.array([np.nan]), np.array([np.nan]))
    assert same(torch.tensor([torch.nan]), torch.tensor([torch.nan]))
