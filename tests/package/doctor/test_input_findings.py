from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from clesmote_losses import SMOTEDataset
from clesmote_losses.doctor import Finding, check
from clesmote_losses.doctor.input_findings import find_input_faults
from clesmote_losses.doctor.part import look_at_part

IMAGES = torch.rand(20, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def data(images: Tensor) -> Any:
    return TensorDataset(images, torch.arange(len(images)) // 12)


def faults(train: Any, validation: Any = None, model: nn.Module | None = None) -> list[Finding]:
    part = look_at_part("training", train)
    find_input_faults(part, None if validation is None else look_at_part("validation", validation), model)
    return part.findings


@pytest.mark.parametrize("wrap", [lambda data: data, SMOTEDataset])
def test_images_alike_have_no_findings(wrap: Any) -> None:
    model = timm.create_model("test_resnet", num_classes=2, in_chans=1)
    assert (
        faults(wrap(data(IMAGES)), data(IMAGES[:, :, :24, :24] * 0.5), model) == []
    )  # half the contrast is no other scale


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_channels_that_the_model_does_not_take_are_an_error(name: str) -> None:
    model = timm.create_model(name, num_classes=2, **({"img_size": 32} if "vit" in name else {}))
    images = IMAGES.expand(-1, 2, -1, -1)
    with pytest.raises(RuntimeError, match="channels"):
        model(images)
    (error,) = faults(data(images), model=model)
    assert (error.severity, error.topic) == ("error", "model")
    assert "in_chans=2" in error.remedy
    assert faults(data(IMAGES.expand(-1, 3, -1, -1)), model=model) == []


def test_the_check_of_a_named_model_counts_channels() -> None:
    report = check(data(IMAGES), model="test_resnet")
    (error,) = report.with_severity("error")
    assert "With 1 channel" in error.message
    assert "its first one takes 3" in error.message
    assert "Nothing stands in the way" not in str(report)


@pytest.mark.parametrize(
    ("validation", "message", "evidence"),
    [
        (IMAGES * 255, "range of values", "validation: 0.0"),
        ((IMAGES - 0.45) / 0.225, "range of values", "validation: -2"),
        (IMAGES[:, :, :24, :24].expand(-1, 3, -1, -1), "number of channels", "validation: 3x24x24"),
        (IMAGES.double(), "mode", "validation: Tensor of float64"),
    ],
)
def test_validation_that_differs_from_training_is_a_warning(validation: Tensor, message: str, evidence: str) -> None:
    (warning,) = faults(data(IMAGES), data(validation))
    assert (warning.severity, warning.topic) == ("warning", "input")
    assert warning.message == f"Training and validation differ in {message}."
    assert warning.evidence[1].startswith(evidence)


def test_nan_does_not_hide_another_range() -> None:
    images = IMAGES * 255
    images[0, 0, 0, 0] = float("nan")
    assert [finding.topic for finding in faults(data(IMAGES), data(images))] == ["input"]
