"""Data sets as users write them, for the tests of labels, transforms and paths."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import Dataset
from torchvision.datasets import VisionDataset

LABELS = np.array([2, 0, 1, 1, 0, 2, 0])


class Unreadable(Dataset):
    """Its images cannot be read."""

    def __init__(self, length: int = len(LABELS), **attributes: Any) -> None:
        self.length = length
        for name, value in attributes.items():
            setattr(self, name, value)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        raise AssertionError(f"image {index} was read")


class Pictures(VisionDataset):
    """Built as torchvision builds CIFAR10: arrays in memory, PIL images out."""

    def __init__(self, labels: Any = LABELS, transform: Any = None, target_transform: Any = None) -> None:
        super().__init__("", transform=transform, target_transform=target_transform)
        self.data = np.random.default_rng(0).integers(0, 256, (len(labels), 6, 6, 3), np.uint8)
        self.targets = labels

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = Image.fromarray(self.data[index]), int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)

    def __len__(self) -> int:
        return len(self.data)


def delete_images(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.write_bytes(b"")


def merged(label: int) -> int:
    return {0: 0, 1: 1, 2: 1}[label]
