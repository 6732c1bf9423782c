import dataclasses
from typing import Any

import numpy as np

from clesmote_losses.doctor.image_facts import ImageFacts
from clesmote_losses.doctor.image_findings import find_image_faults
from clesmote_losses.doctor.part import Part

PLAIN = ImageFacts(shape=(8, 8), kind="RGB")


def faults(*changes: dict[str, Any], title: str = "training", is_blendable: bool = False) -> list[tuple[Any, ...]]:
    """Findings of five images of which the last are changed; of these, the last two are of the over-sampled class."""
    facts = [PLAIN] * (5 - len(changes)) + [dataclasses.replace(PLAIN, **change) for change in changes]
    part = Part(title, None, labels=np.array([0, 0, 0, 1, 1]), facts=facts, names=list("abcde"))
    find_image_faults(part, [1], is_blendable=is_blendable)
    return [(finding.severity, finding.topic, finding.evidence) for finding in part.findings]


def test_images_alike_have_no_findings() -> None:
    assert faults() == []


def test_all_unreadable_images_are_named() -> None:
    assert faults({"error": "OSError: cut"}, {"error": "no image"}) == [
        ("error", "unreadable", ("d: OSError: cut", "e: no image"))
    ]


def test_values_are_looked_at() -> None:
    assert faults({"is_finite": False}) == [("error", "values", ("e",))]
    assert faults({"largest_share": 1.0}) == [("warning", "constant", ("e",))]
    assert faults({"largest_share": 0.992}) == [("warning", "saturated", ("e: 99.2% of one value",))]
    assert faults({"largest_share": 0.95}) == []
    assert faults({"orientation": 6}) == [("warning", "orientation", ("e: orientation 6",))]
    assert faults({"is_deep": True}) == [("note", "bit depth", ("e: mode RGB",))]


def test_a_difference_is_a_warning_where_images_are_blended() -> None:
    small, sizes = {"shape": (8, 6)}, ("8x8 (height x width): 4 images", "8x6 (height x width): 1 image")
    assert faults(small) == [("warning", "size", sizes)]
    assert faults(small, {}, {}) == [("note", "size", sizes)]
    assert faults(small, title="validation") == [("note", "size", sizes)]
    assert faults(small, is_blendable=True) == [("note", "size", sizes)]
    assert faults({"profile": "abc"}) == [("warning", "colour profile", ("none: 4 images", "abc: 1 image"))]
    assert faults({"kind": "L"}) == [("note", "mode", ("RGB: 4 images", "L: 1 image"))]


def test_validation_images_that_differ_in_size_are_resized_by_the_transform() -> None:
    # SMOTEDataset does not touch them
    facts = [PLAIN, dataclasses.replace(PLAIN, shape=(8, 6))]
    for title, remedy in (("validation", "transform for evaluation"), ("training", "image_size=")):
        part = Part(title, None, labels=np.array([0, 1]), facts=facts, names=["a", "b"])
        find_image_faults(part, [1], is_blendable=False)
        (finding,) = part.findings
        assert remedy in finding.remedy
