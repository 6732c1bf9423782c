"""An inspection of a small network on handwritten digits, with names that a page must not take for its own."""

import functools
from typing import Any

import numpy as np
import timm
import torch
from imblearn.over_sampling import SMOTE
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import Dataset

from clesmote_losses import Inspection, SMOTEDataset, inspect_synthetic

NAMES = ["common", "<script>alert('rare')</script>"]
FOLDER = "/home/user/<b>rare & $x$"
COUNTS = (60, 24)


class Digits(Dataset[Any]):
    """Threes and eights, as PIL images that come from files."""

    classes = NAMES

    def __init__(self, counts: tuple[int, int] = COUNTS) -> None:
        digits = load_digits()
        rows = [np.flatnonzero(digits.target == digit)[:n] for digit, n in zip((3, 8), counts, strict=True)]
        self.images = [
            Image.fromarray((image * 15.9).astype(np.uint8)) for image in digits.images[np.concatenate(rows)]
        ]
        self.targets = [label for label, of_class in enumerate(rows) for _ in of_class]
        self.samples = [(f"{FOLDER}/{'long' * 40}{i:03}.png", label) for i, label in enumerate(self.targets)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.images[index], self.targets[index]


def as_input(image: Any) -> Tensor:
    pixels = torch.from_numpy(np.array(image.resize((32, 32)), dtype=np.float32))
    return (pixels / 255).expand(3, -1, -1)


@functools.cache
def inspected(sampler: type[Any] = SMOTE) -> Inspection:
    """Inspect it with a beta at which half of the synthetic images are capped. Do not change what is returned."""
    train_set = SMOTEDataset(Digits(), sampler=sampler(random_state=0), transform=as_input)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model("test_resnet", num_classes=2)
    table = inspect_synthetic(model, train_set).table
    return inspect_synthetic(model, train_set, beta=float((table["loss"] / table["cap"]).median()))
