"""The package as a whole: its public names, and hook, tracker and loss together in a training step."""

import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from imblearn.over_sampling import SMOTE
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

import clesmote_losses
from clesmote_losses import CappedSMOTELoss, ClassCentroidTracker, SMOTEDataset, encode_target, log_prior
from tests.support.three_classes import data, network

HEAVY = ["timm", "imblearn", "sklearn", "scipy", "matplotlib", "torchvision", "PIL", "pandas"]


def test_importing_the_package_imports_no_heavy_library() -> None:
    code = f"import sys, clesmote_losses; print([name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented() -> None:
    assert clesmote_losses.__all__ == sorted(clesmote_losses.__all__)
    for name in clesmote_losses.__all__:
        assert getattr(clesmote_losses, name).__doc__


def train(model: nn.Module, train_set: Any, plug_in: bool) -> list[float]:
    torch.manual_seed(0)
    loader = DataLoader(train_set, batch_size=16, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    criterion: nn.Module = nn.CrossEntropyLoss()
    if plug_in:
        tracker = ClassCentroidTracker(model, 3)
        criterion = CappedSMOTELoss(tracker=tracker)
    losses = []
    for _ in range(3):
        if plug_in:
            tracker.refresh(train_set)
        for images, target in loader:
            loss = criterion(model(images), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("case", ["balanced", "nothing to over-sample", "plain data set"])
def test_training_without_synthetic_samples_is_bit_identical_to_training_without_the_plug_in(case: str) -> None:
    images, labels = data().tensors
    base = TensorDataset(images[:48], torch.arange(48) % 3) if case == "balanced" else TensorDataset(images, labels)
    wrapped: Any = base
    if case != "plain data set":
        strategy: Any = "auto" if case == "balanced" else {}
        wrapped = SMOTEDataset(base, sampler=SMOTE(sampling_strategy=strategy))
        assert len(wrapped) == len(base)
    plain, plugged = network(), network()
    assert train(plain, base, plug_in=False) == train(plugged, wrapped, plug_in=True)
    for ours, theirs in zip(plugged.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_a_training_step_compiles_with_tracker_and_loss_in_one_graph() -> None:
    base, model = data(), network()
    model.drop_rate = 0.0
    tracker = ClassCentroidTracker(model, 3)
    criterion = CappedSMOTELoss(beta=0.5, tracker=tracker)
    tracker.refresh(base)
    images, labels = base.tensors
    target = encode_target(labels, labels > 0)

    def step(images: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = criterion(model(images), target)
        return loss

    torch._dynamo.reset()
    expected = step(images, target)
    loss = torch.compile(step, fullgraph=True, backend="aot_eager")(images, target)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert next(model.parameters()).grad is not None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_centroids_and_caps_are_float32(dtype: torch.dtype) -> None:
    base, model = data(), network()
    tracker = ClassCentroidTracker(model, 3)
    criterion = CappedSMOTELoss(beta=0.5, tracker=tracker)
    images, labels = base.tensors
    with torch.autocast("cpu", dtype):
        tracker.refresh(base)
        logits = model(images)
        loss = criterion(logits, encode_target(labels, labels > 0))
    assert logits.dtype == tracker.embeddings.dtype == dtype
    assert tracker.centroids is not None
    assert tracker.centroids.dtype == loss.dtype == torch.float32
    assert criterion.stats["capped"] > 0
    assert loss < F.cross_entropy(logits.float(), labels)
    loss.backward()


class NoWaiting(TorchDispatchMode):
    """Refuses the operations that would make the CPU wait for a GPU: those whose result Python, or a shape, depends on."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").split(".")[0]
        assert name not in self.WAITS, f"{name} waits for the GPU"
        if name == "index":
            assert not any(index is not None and index.dtype == torch.bool for index in args[1]), "a mask waits too"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", ["epoch", "online", "batch"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_smoothing": 0.1, "logit_adjustment": log_prior([5, 2, 1])},
        {"gradient": "scale", "capped": "oversampled"},
        {"distance": "euclidean"},
    ],
)
def test_hook_tracker_loss_and_stats_never_wait_for_the_gpu(mode: Any, options: dict[str, Any]) -> None:
    base, model = data(), network()
    tracker = ClassCentroidTracker(model, 3, mode=mode)
    tracker.refresh(base)
    criterion = CappedSMOTELoss(tracker=tracker, **options)
    images, labels = base.tensors
    target = encode_target(labels, labels > 0)
    criterion.set_oversampled_classes([1, 2])
    with NoWaiting():
        criterion(model(images), target).backward()
    with pytest.raises(AssertionError, match="_local_scalar_dense waits"), NoWaiting():
        criterion.stats["synthetic"].item()
