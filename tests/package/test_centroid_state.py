"""The state of a centroid tracker, and a file of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from clesmote_losses import ClassCentroidTracker, centroid_state
from clesmote_losses.centroid_state import read_centroids, write_centroids
from tests.support.damaged_files import refused_damages

STATE = {
    "counts": torch.tensor([3, 0, 7]),
    "is_refreshed": torch.tensor(True),
    "centroids": torch.tensor([[0.5, -1.0], [torch.nan, torch.nan], [2.0, 0.0]]),
    "running_total": torch.tensor([[0.5, 0.1], [0.0, 0.0], [2.0, 0.3]], dtype=torch.float64),
    "running_counts": torch.tensor([1, 0, 2]),
}


def equals(found: dict[str, Tensor], state: dict[str, Tensor] = STATE) -> bool:
    return found.keys() == state.keys() and all(
        found[name].dtype == tensor.dtype
        and found[name].shape == tensor.shape
        and found[name].numpy().tobytes() == tensor.numpy().tobytes()
        for name, tensor in state.items()
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_centroids(tmp_path / "centroids.safetensors", STATE)
    return tmp_path / "centroids.safetensors"


@pytest.mark.parametrize("without", [[], ["centroids"], ["running_total", "running_counts"]])
def test_a_written_state_comes_back_bit_by_bit(without: list[str], tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in STATE.items() if name not in without}
    write_centroids(tmp_path / "file", state)
    assert equals(read_centroids(tmp_path / "file", 3), state)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_damage_is_refused_or_without_effect(path: Path) -> None:
    assert refused_damages(path, lambda: read_centroids(path, 3), equals) > 1900


def without(*names: str) -> Callable[[], dict[str, Tensor]]:
    return lambda: {name: tensor for name, tensor in STATE.items() if name not in names}


WRONG: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "no counts": (without("counts"), "holds counts, is_refreshed.*got centroids, is_refreshed"),
    "no flag": (without("is_refreshed"), "holds counts, is_refreshed.*got centroids, counts"),
    "nothing": (dict, "got nothing"),
    "unknown entry": (lambda: {**STATE, "other": torch.zeros(3)}, "got centroids, counts, is_refreshed, other"),
    "sums alone": (without("running_counts"), "running_total with running_counts"),
    "counts alone": (without("running_total"), "running_total with running_counts"),
    "float counts": (lambda: {**STATE, "counts": torch.zeros(3)}, "counts must be torch.int64; got torch.float32"),
    "int flag": (lambda: {**STATE, "is_refreshed": torch.tensor(1)}, "is_refreshed must be torch.bool"),
    "int centroids": (
        lambda: {**STATE, "centroids": torch.ones(3, 2).int()},
        "centroids must be float; got torch.int32",
    ),
    "flat centroids": (lambda: {**STATE, "centroids": torch.ones(3)}, r"centroids must have 2 dimensions.*\(3,\)"),
    "many flags": (lambda: {**STATE, "is_refreshed": torch.ones(3).bool()}, "is_refreshed must have 0 dimensions"),
    "other classes": (lambda: {**STATE, "centroids": torch.ones(4, 2)}, "holds 4 classes.*num_classes=3"),
    "negative counts": (lambda: {**STATE, "counts": torch.tensor([3, -1, 7])}, "counts must be 0 or more; got -1"),
    "other width": (lambda: {**STATE, "running_total": torch.ones(3, 5)}, "same width; got {'centroids': 2, 'running_"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_state_that_is_none_is_refused_in_a_file_and_by_the_tracker_which_stays_as_it_was(
    name: str, tmp_path: Path
) -> None:
    make, message = WRONG[name]
    path = tmp_path / "centroids.safetensors"
    write_centroids(path, make())
    with pytest.raises(ValueError, match=f"centroids.safetensors holds no valid class centroids: .*{message}"):
        read_centroids(path, 3)
    with ClassCentroidTracker(timm.create_model("test_resnet", num_classes=3), 3, mode="online") as tracker:
        tracker.load_state_dict(STATE)
        with pytest.raises(ValueError, match=message):
            tracker.load_state_dict(make())
        assert equals(tracker.state_dict())


def test_a_file_of_another_number_of_classes_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match=r"centroids.safetensors.*holds 3 classes; this tracker has num_classes=4"):
        read_centroids(path, 4)


def test_metadata_are_not_needed_and_files_of_another_format_are_refused(path: Path) -> None:
    other = centroid_state.CheckedFile("clesmote_losses.centroids.0", "class centroids", "Delete it.")
    other.write(path, {}, {})
    with pytest.raises(ValueError, match=r"of this version \(format 'clesmote_losses.centroids.0'"):
        read_centroids(path, 3)
