"""What an inspection costs beside the forward passes that it makes."""

from collections.abc import Iterator
from typing import Any

import timm
import torch
from imblearn.over_sampling import SMOTE

from benchmarks.micro.images import ArrayImages
from benchmarks.micro.measure import Benchmark, Measurement, Target, take_turns
from clesmote_losses import SMOTEDataset, inspect_synthetic
from clesmote_losses.restore import evaluating

_MAJORITY, _MINORITY = 11_000, 1_000  # 10,000 synthetic images
_BATCH = 64


def inspect(
    majority: int = _MAJORITY, minority: int = _MINORITY, model: str = "resnet18", size: int = 64, repeats: int = 3
) -> Iterator[Measurement]:
    """Time an inspection of all synthetic and some real images, beside the forward passes alone."""
    base = ArrayImages(majority, minority, size)
    sampler = SMOTE(k_neighbors=5, random_state=0)
    train_set = SMOTEDataset(base, sampler=sampler, transform=_as_input, device="cpu")
    network: Any = timm.create_model(model, num_classes=2)
    inspection = inspect_synthetic(network, train_set)
    count = len(inspection.table) + len(inspection.real)
    images = torch.rand(_BATCH, 3, size, size)

    def forwards() -> None:
        with evaluating(network):
            for start in range(0, count, _BATCH):
                network(images[: count - start])

    values = take_turns(
        {"inspect": lambda: inspect_synthetic(network, train_set), "forwards": forwards},
        repeats=repeats,
        at_least=0,
        warm_up=0,
    )
    case = f"{model}, {len(inspection.table):,} synthetic and {len(inspection.real):,} real images of {size} px"
    yield Measurement(case, "time", "s", values, Target(1.3, "forwards"))


def _as_input(image: Any) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).float().div_(255)


BENCHMARKS = (Benchmark("inspect", inspect),)
