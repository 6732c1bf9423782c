import math
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from torch import nn

from clesmote_losses.caps import cosine_cap
from clesmote_losses.doctor.class_findings import find_beta_faults, find_class_faults, find_model_faults
from clesmote_losses.doctor.image_facts import ImageFacts
from clesmote_losses.doctor.part import Part


def part(labels: list[int], title: str = "training", **classes: int) -> Part:
    return Part(title, SimpleNamespace(class_to_idx=classes), labels=np.array(labels))


def faults(train: Part, validation: Part | None, num_classes: int | None = None) -> list[tuple[str, tuple[str, ...]]]:
    find_class_faults(train, validation, {i: f"c{i}" for i in range(5)}, num_classes)
    return [(finding.severity, finding.evidence) for finding in train.findings]


def test_the_same_classes_in_both_parts_are_fine() -> None:
    assert faults(part([0, 1, 0], a=0, b=1), part([1, 0], "validation", a=0, b=1), 2) == []


def test_a_missing_part_is_a_note() -> None:
    assert faults(part([0, 1]), None) == [("note", ())]


@pytest.mark.parametrize(
    ("train", "validation", "num_classes", "expected"),
    [
        ([0, 0], [0], None, [("error", ("c0",))]),
        ([0, 1], [0, 0], None, [("warning", ("c1",))]),
        ([0, 1], [0, 1, 2], None, [("error", ("c2",))]),
        ([1, 2], [1, 2], None, [("warning", ("c0",))]),
        ([0, 1, 2], [0, 1, 2], 2, [("error", ("c2 has index 2",))]),
        ([0, 1], [0, 1], 4, [("warning", ("c2", "c3"))]),
    ],
)
def test_classes_that_differ_are_named(
    train: list[int], validation: list[int], num_classes: int | None, expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    assert faults(part(train), part(validation, "validation"), num_classes) == expected


def test_a_class_of_another_index_is_an_error() -> None:
    train = part([0, 1, 2], a=0, b=1, c=2)
    find_class_faults(train, part([0, 1], "validation", b=0, c=1), {0: "a", 1: "b", 2: "c"}, None)
    assert [finding.severity for finding in train.findings] == ["error", "warning"]
    assert train.findings[0].evidence[0] == "b: 0 in validation, 1 in training"
    assert "class-map" not in str(train.findings[0])  # which is an option of timm


@pytest.mark.parametrize(("beta", "severity"), [(1e-2, "warning"), (1.0, "note"), (1.38, "note"), (1.39, "warning")])
def test_beta_is_compared_with_the_logarithm_of_the_number_of_classes(beta: float, severity: str) -> None:
    (finding,) = find_beta_faults(beta, 2)
    assert finding.severity == severity
    # the largest cosine distance is 2, and the cap there is the lowest
    assert ("nowhere" in finding.message) == (beta / 2 >= math.log(2))


def test_the_distance_in_the_text_is_where_the_cap_is_chance() -> None:
    (finding,) = find_beta_faults(0.9, 3)
    distance = float(finding.message.split("above ")[1].rstrip("."))
    assert distance == pytest.approx(0.9 / math.log(3), abs=0.005)
    embedding = torch.tensor([[1 - distance, math.sqrt(1 - (1 - distance) ** 2)]])  # at this distance of (1, 0)
    cap = cosine_cap(embedding, torch.tensor([0]), torch.tensor([[1.0, 0.0]]), beta=0.9)
    assert cap.item() == pytest.approx(math.log(3), abs=0.01)  # the loss of a network that knows nothing


def test_a_model_whose_embedding_is_found_is_fine_and_small_images_are_noted() -> None:
    train = part([0, 1])
    train.facts = [ImageFacts(shape=(32, 32)), ImageFacts(shape=(300, 200))]
    find_model_faults(timm.create_model("test_resnet", num_classes=2), 2, (224, 224), train)
    (finding,) = train.findings
    assert (finding.severity, "1 training image" in finding.message) == ("note", True)


def test_a_model_whose_embedding_is_not_found_is_an_error() -> None:
    train = part([0, 1])
    find_model_faults(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), 2, None, train)
    assert [finding.severity for finding in train.findings] == ["error"]
