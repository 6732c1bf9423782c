"""What keeping centroids costs in an epoch of training."""

import itertools
from collections.abc import Iterator
from typing import Any

import timm
import torch
from imblearn.over_sampling import SMOTE
from torch.utils.data import DataLoader
from torchvision import transforms

from benchmarks.micro.images import ArrayImages
from benchmarks.micro.measure import Benchmark, Measurement, Target, take_turns
from clesmote_losses import CappedSMOTELoss, ClassCentroidTracker, SMOTEDataset, decode_target

_MAJORITY, _MINORITY = 19_624, 980  # the paper's interclass experiment
_BATCH, _STEPS = 64, 60  # steps that are timed; an epoch is as many times as long as it has more


def refresh(
    majority: int = _MAJORITY, minority: int = _MINORITY, model: str = "test_resnet", size: int = 32
) -> Iterator[Measurement]:
    """Time a refresh of the over-sampled class, one over all real images, and the running means, beside an epoch."""
    base = ArrayImages(majority, minority, size)
    train_set = SMOTEDataset(base, sampler=SMOTE(random_state=0), transform=transforms.ToTensor(), device="cpu")
    network: Any = timm.create_model(model, num_classes=2)
    tracker, online = ClassCentroidTracker(network, 2), ClassCentroidTracker(network, 2, mode="online")
    criterion = CappedSMOTELoss(tracker=tracker)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    loader = DataLoader(train_set, _BATCH, shuffle=True)
    steps_of_epoch = len(loader)

    def training() -> None:
        for images, target in itertools.islice(loader, _STEPS):
            criterion(network(images), target).backward()
            optimizer.step()
            optimizer.zero_grad()

    online.refresh()
    target = next(iter(loader))[1]
    labels, is_synthetic = decode_target(target)
    embeddings = torch.randn(len(labels), network.num_features)

    def running_means() -> None:
        for _ in range(steps_of_epoch):
            online.centroids_for(embeddings, labels, is_synthetic)
        online.refresh()

    tracker.refresh(train_set)
    values = take_turns(
        {
            "refresh": lambda: tracker.refresh(train_set),
            "online": running_means,
            "refresh over all real images": lambda: tracker.refresh(train_set.real_subset()),
            "epoch": training,
        },
        repeats=3,
        at_least=0,
    )
    values["epoch"] = [seconds / _STEPS * steps_of_epoch for seconds in values["epoch"]]
    case = f"{model}, {majority:,} + {minority:,} of {size} px; epoch of {steps_of_epoch} steps, {_STEPS} timed"
    running = values.pop("online")
    yield Measurement(case, "time", "s", values, Target(0.01, "epoch"))
    yield Measurement(
        case,
        "time, running means",
        "s",
        {"online": running, "epoch": values["epoch"]},
        Target(0.005, "epoch"),
    )


BENCHMARKS = (Benchmark("refresh", refresh),)
