"""A whole training step with tracker and capped loss beside the same step with cross-entropy."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import timm
import torch
from torch import Tensor, nn

from benchmarks.micro.measure import Benchmark, Measurement, Target, Work, take_turns
from clesmote_losses import CappedSMOTELoss, ClassCentroidTracker, encode_target
from clesmote_losses.centroids import Mode
from clesmote_losses.loss_inputs import Gradient

_CLASSES = 10
_OURS, _PLAIN = "tracker and CappedSMOTELoss", "CrossEntropyLoss"
ADDED = "added to the classifier and loss alone (eager, float32)"


@dataclass(frozen=True)
class Setting:
    """A network, a batch, and how the step is run."""

    model: str
    image_size: int
    batch_size: int
    repeats: int
    device: str = "cpu"
    amp: bool = False
    compiled: bool = False
    channels_last: bool = False
    at_most: float = 1.01

    @property
    def case(self) -> str:
        """As text."""
        options = ("amp", "compiled", "channels_last")
        words = [name.replace("_", " ") for name in options if getattr(self, name)]
        parts = [f"{self.model}, {self.image_size} px, batch {self.batch_size}", *words]
        return ", ".join(parts if self.device == "cpu" else [*parts, self.device])


EAGER = (Setting("resnet50", 224, 16, 3), Setting("resnet18", 64, 64, 14))
COMPILED = (
    Setting("resnet18", 64, 64, 14, compiled=True),
    # tiny: a processor without bfloat16 emulates it, a hundred times slower
    Setting("test_resnet", 64, 32, 12, amp=True),
)


def step(settings: tuple[Setting, ...] = EAGER) -> Iterator[Measurement]:
    """Compare a training step with tracker and capped loss with one with cross-entropy; half of the batch is synthetic."""
    for setting in settings:
        ours, plain = (training_step(setting, capped=capped) for capped in (True, False))
        with _guard_hooks() if setting.compiled else contextlib.nullcontext():
            more_breaks = _graph_breaks(ours) - _graph_breaks(plain) if setting.compiled else 0
            values = take_turns({_OURS: ours, _PLAIN: plain}, repeats=setting.repeats, at_least=0)
        yield Measurement(setting.case, "time", "s", values, Target(setting.at_most, _PLAIN))
        a_step = float(np.median(values[_PLAIN]))
        added = {_OURS: [seconds / a_step for seconds in _added_to_the_head(setting)]}
        yield Measurement(setting.case, ADDED, "of a step", added, Target(setting.at_most - 1))
        if setting.compiled:
            more = {_OURS: [float(more_breaks)]}
            yield Measurement(setting.case, "graph breaks more than without", "", more, Target(0))


def _added_to_the_head(setting: Setting) -> list[float]:
    """Time tracker and loss beyond cross-entropy without the network: less than steps of unequal length can show."""
    with torch.device("meta"):  # its width alone is wanted
        width = cast(Any, timm.create_model(setting.model)).num_features
    device = torch.device(setting.device)
    embeddings = torch.rand(setting.batch_size, width, device=device, requires_grad=True)
    labels = torch.randint(_CLASSES, (setting.batch_size,), device=device)
    target = _some_synthetic(labels)
    followed, alone = (nn.Linear(width, _CLASSES, device=device) for _ in range(2))
    tracker = ClassCentroidTracker(followed, _CLASSES, classifier=followed)
    capped, plain = _capped(tracker, embeddings.detach(), labels), nn.CrossEntropyLoss()
    values = take_turns(
        {
            _OURS: lambda: capped(followed(embeddings), target).backward(),
            _PLAIN: lambda: plain(alone(embeddings), labels).backward(),
        },
        repeats=11,
        warm_up=20,
    )
    return [ours - plain for ours, plain in zip(*values.values(), strict=True)]


def _capped(
    tracker: ClassCentroidTracker, inputs: Tensor, labels: Tensor, gradient: Gradient = "stop"
) -> CappedSMOTELoss:
    """Make the loss with a tracker that knows the centroids of a batch."""
    tracker.refresh(iter([(inputs, labels)]))
    if tracker.mode == "online":  # it learns from training
        tracker.model(inputs)
        tracker.centroids_for(tracker.embeddings, labels, labels < 0)
        tracker.refresh()
    return CappedSMOTELoss(tracker=tracker, gradient=gradient).to(inputs.device)


def _some_synthetic(labels: Tensor, share: float = 0.5) -> Tensor:
    """Make the target of a batch whose first samples are synthetic."""
    return encode_target(labels, torch.arange(len(labels), device=labels.device) < share * len(labels))


def _guard_hooks() -> contextlib.AbstractContextManager[None]:
    """Make compiled code check hooks: otherwise torch runs code compiled without a tracker for a network that has one."""
    import torch._dynamo.config as config  # slow to import

    return config.patch(skip_nnmodule_hook_guards=False)  # type: ignore[no-any-return]


def _graph_breaks(first_call: Work) -> int:
    """Count the graph breaks of the call that compiles."""
    from torch._dynamo.utils import counters

    before = sum(counters["graph_break"].values())
    first_call()
    return sum(counters["graph_break"].values()) - before


def compiled_step() -> Iterator[Measurement]:
    """Compare training steps under torch.compile and under autocast."""
    return step(COMPILED)


def training_step(
    setting: Setting, *, capped: bool, share_synthetic: float = 0.5, mode: Mode = "epoch", gradient: Gradient = "stop"
) -> Work:
    """Make a step."""
    torch.manual_seed(0)
    device = torch.device(setting.device)
    memory_format = torch.channels_last if setting.channels_last else torch.contiguous_format
    model: nn.Module = timm.create_model(setting.model, num_classes=_CLASSES)
    model = model.to(device).to(memory_format=memory_format).train()
    images = torch.randn(setting.batch_size, 3, setting.image_size, setting.image_size, device=device)
    images = images.contiguous(memory_format=memory_format)
    labels = torch.randint(_CLASSES, (setting.batch_size,), device=device)
    criterion: nn.Module = nn.CrossEntropyLoss()
    if capped:
        criterion = _capped(ClassCentroidTracker(model, _CLASSES, mode=mode), images, labels, gradient)
        labels = _some_synthetic(labels, share_synthetic)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    network: Any = torch.compile(model) if setting.compiled else model

    def run() -> Tensor:
        autocast = torch.autocast(device.type, torch.bfloat16) if setting.amp else contextlib.nullcontext()
        with autocast:
            loss: Tensor = criterion(network(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return run


BENCHMARKS = (Benchmark("step", step), Benchmark("compiled-step", compiled_step))
