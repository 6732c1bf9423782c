"""The triplet stage beside a plain loop and beside pytorch-metric-learning: time for each anchor."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import timm
import torch
from imblearn.over_sampling import SMOTE
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.micro.images import ArrayImages
from benchmarks.micro.measure import Benchmark, Measurement, Target, Work, take_turns
from clesmote_losses import SMOTEDataset, TripletPretrainer, decode_target

_BATCH = 64


class Triplets(Dataset[Any]):
    """Anchor, positive and negative of a data set, as a plain loop draws them."""

    def __init__(self, train_set: SMOTEDataset) -> None:
        self.train_set = train_set
        labels = train_set.labels
        real = np.flatnonzero(~train_set.is_synthetic)
        self.members = [real[labels[real] == c] for c in range(2)]
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        label = self.labels[index]
        chosen = index, np.random.choice(self.members[label]), np.random.choice(self.members[1 - label])  # noqa: NPY002
        return tuple(self.train_set[int(i)][0] for i in chosen)


def triplets(
    model: str = "test_resnet", size: int = 64, majority: int = 320, minority: int = 64
) -> Iterator[Measurement]:
    """Compare an epoch of the triplet stage with a plain loop and pytorch-metric-learning."""
    base = ArrayImages(majority, minority, size)
    train_set = SMOTEDataset(base, sampler=SMOTE(random_state=0), transform=transforms.ToTensor(), device="cpu")
    contestants = {
        "dataset": _ours(train_set, model, "dataset"),
        "batch": _ours(train_set, model, "batch"),
        "plain loop, three forwards": _plain(train_set, model),
        "pytorch-metric-learning": _metric_learning(train_set, model),
    }
    values = take_turns(contestants, repeats=3, at_least=0)
    each = {name: [seconds / len(train_set) for seconds in row] for name, row in values.items()}
    case = f"{model}, {size} px, batch {_BATCH}, {len(train_set):,} anchors"
    plain = "plain loop, three forwards"
    batch = {"batch": each["batch"], plain: each[plain], "pytorch-metric-learning": each["pytorch-metric-learning"]}
    yield Measurement(
        case,
        "time of an anchor, sampling='dataset'",
        "s",
        {"dataset": each["dataset"], plain: each[plain]},
        Target(1, plain),
    )
    yield Measurement(case, "time of an anchor, sampling='batch'", "s", batch, Target(1 / 2.5, plain))


def _ours(train_set: SMOTEDataset, model: str, sampling: Any) -> Work:
    pretrainer = TripletPretrainer(timm.create_model(model, num_classes=2), sampling=sampling)
    return lambda: pretrainer.fit(train_set, epochs=1, batch_size=_BATCH, progress=False)


def _plain(train_set: SMOTEDataset, model: str) -> Work:
    criterion = nn.TripletMarginLoss(margin=1.0)
    return _loop(model, Triplets(train_set), lambda network, batch: criterion(*map(network, batch)))


def _metric_learning(train_set: SMOTEDataset, model: str) -> Work:
    from pytorch_metric_learning.losses import TripletMarginLoss

    criterion = TripletMarginLoss(margin=1.0, triplets_per_anchor=1)  # drawn at random in the batch
    return _loop(model, train_set, lambda network, batch: criterion(network(batch[0]), decode_target(batch[1])[0]))


def _loop(model: str, data: Dataset[Any], loss: Callable[[nn.Module, Sequence[Tensor]], Tensor]) -> Work:
    """Make an epoch of a plain loop, with the loss of a network on a batch."""
    torch.manual_seed(0)
    network: nn.Module = timm.create_model(model, num_classes=0)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    loader = DataLoader(data, _BATCH, shuffle=True)

    def epoch() -> None:
        for batch in loader:
            loss(network, batch).backward()
            optimizer.step()
            optimizer.zero_grad()

    return epoch


BENCHMARKS = (Benchmark("triplets", triplets),)
