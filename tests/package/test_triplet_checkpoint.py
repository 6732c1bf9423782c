"""The checkpoint of a triplet pretraining as a file."""

import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clesmote_losses import triplet_checkpoint
from clesmote_losses.triplet_checkpoint import read_checkpoint, resume, write_checkpoint
from tests.support.damaged_files import refused_damages
from tests.support.gloo import in_two_processes

SETTINGS = {"margin": 0.5, "seed": 3, "anchors": "all"}
HISTORY = [{"epoch": 0, "loss": 0.25, "active": float("inf"), "spread": 0.5}]


class Run:
    """What a pretraining has in hand, after a step with random gradients."""

    def __init__(self, seed: int, width: int = 4, optimizer: Any = torch.optim.AdamW, amp: bool = False) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.trained = nn.Sequential(nn.Linear(width, 3), nn.BatchNorm1d(3))
        self.optimizer = optimizer(self.trained.parameters(), lr=0.1)
        self.scaler = torch.amp.GradScaler("cpu", enabled=amp)
        for parameter in self.trained.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        self.optimizer.step()

    def write(self, path: Path) -> None:
        write_checkpoint(path, SETTINGS, self.trained, self.optimizer, self.scaler, HISTORY)

    def read(self, path: Path, **settings: Any) -> list[dict[str, float]]:
        return read_checkpoint(path, {**SETTINGS, **settings}, self.trained, self.optimizer, self.scaler)

    def state(self) -> bytes:
        buffer = io.BytesIO()
        torch.save(
            (copy.deepcopy(self.trained.state_dict()), self.optimizer.state_dict(), self.scaler.state_dict()), buffer
        )
        return buffer.getvalue()


def tensors(run: Run) -> list[Tensor]:
    states = run.optimizer.state_dict()["state"]
    return [*run.trained.state_dict().values(), *(value for state in states.values() for value in state.values())]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Run(0).write(tmp_path / "triplets.pt")
    return tmp_path / "triplets.pt"


@pytest.mark.parametrize("amp", [False, True])
def test_a_read_checkpoint_gives_back_model_optimizer_scaler_and_history(amp: bool, tmp_path: Path) -> None:
    written, other = Run(0, amp=amp), Run(1, amp=amp)
    written.scaler = torch.amp.GradScaler("cpu", init_scale=128.0, enabled=amp)
    written.write(tmp_path / "triplets.pt")
    assert other.read(tmp_path / "triplets.pt") == HISTORY
    assert len(tensors(other)) == len(tensors(written)) > 10
    assert all(map(torch.equal, tensors(other), tensors(written)))
    assert other.scaler.state_dict() == written.scaler.state_dict()


def test_damage_is_refused_and_changes_nothing(path: Path) -> None:
    run, original = Run(1), Run(0)
    before = run.state()

    def is_original(history: list[dict[str, float]]) -> bool:
        return history == HISTORY and all(map(torch.equal, tensors(run), tensors(original)))

    assert refused_damages(path, lambda: run.read(path), is_original) == 2000
    assert run.state() == before


@pytest.mark.parametrize(
    ("run", "settings", "message"),
    [
        ({}, {"margin": 0.0}, r"margin=0.5 \(now 0.0\)"),
        ({}, {"lr": 1.0}, r"lr=None \(now 1.0\)"),
        ({"width": 5}, {}, "another model"),
        ({"optimizer": torch.optim.SGD}, {}, r"optimizer='AdamW' \(now 'SGD'\)"),
        (
            {"optimizer": lambda p, lr: torch.optim.AdamW([{"params": [x]} for x in p], lr)},
            {},
            "other trained parameters",
        ),
        ({"amp": True}, {}, "another amp"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_and_changes_nothing(
    run: dict[str, Any], settings: dict[str, Any], message: str, path: Path
) -> None:
    other = Run(1, **run)
    before = other.state()
    with pytest.raises(
        ValueError, match=f"triplets.pt was written with {message}. Name another file, or delete this one"
    ):
        other.read(path, **settings)
    assert other.state() == before


def forged(state: Any) -> np.ndarray:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "must hold the bytes of one state"),
        ({"state": np.zeros(9)}, "must hold the bytes of one state"),
        ({"state": np.frombuffer(b"no pickle", dtype=np.uint8)}, "its state cannot be read"),
        ({"state": forged(Run)}, "its state cannot be read.*eights"),  # code is not run: weights_only
        ({"state": forged([1])}, "its state must hold settings, history"),
        ({"state": forged({"settings": {}})}, "its state must hold settings, history"),
        (
            {"state": forged({"settings": {}, "history": [], "trained": {}, "optimizer": {}, "scaler": 1})},
            "scaler must be a dict; got int",
        ),
    ],
)
def test_a_forged_state_with_a_digest_that_fits_is_refused(arrays: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "triplets.pt"
    triplet_checkpoint._FILE.write(path, arrays, {})
    run = Run(1)
    before = run.state()
    with pytest.raises(ValueError, match=f"triplets.pt holds no valid checkpoint of triplet pretraining: .*{message}"):
        run.read(path)
    assert run.state() == before


def test_a_file_that_fails_to_be_written_leaves_the_last_checkpoint(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(AttributeError, match="state_dict"):
        write_checkpoint(path, SETTINGS, None, Run(1).optimizer, Run(1).scaler, HISTORY)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def resume_in_ranks(rank: int, folder: Path) -> list[str]:
    """Resume where rank 1 has another file than rank 0: none, or one of other settings."""
    messages = []
    for found, settings in (("triplets.pt" if rank == 0 else "none.pt", {}), ("triplets.pt", {"seed": 3 + rank})):
        run = Run(rank)
        try:
            resume(folder / found, {**SETTINGS, **settings}, run.trained, run.optimizer, run.scaler)
        except (RuntimeError, ValueError) as error:
            messages.append(str(error))
    return messages


def test_no_rank_waits_for_one_that_cannot_resume(path: Path, tmp_path: Path) -> None:
    first, second = in_two_processes(resume_in_ranks, tmp_path, path.parent)
    assert first[0] == second[0]
    assert "ranks would resume after different epochs: [1, 0]" in first[0]
    assert "seed=3 (now 4)" in second[1]
    assert second[1] in first[1]


def test_without_a_file_nothing_is_resumed(tmp_path: Path) -> None:
    run = Run(0)
    for path in (None, tmp_path / "none.pt"):
        assert resume(path, SETTINGS, run.trained, run.optimizer, run.scaler) == []
