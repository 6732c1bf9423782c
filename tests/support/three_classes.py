"""Noise of three unequal classes, and a network for it."""

import timm
import torch
from torch import nn
from torch.utils.data import TensorDataset


def data(seed: int = 0) -> TensorDataset:
    """Return 40, 13 and 8 images of noise of the three classes, in random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor([40, 13, 8]))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    return TensorDataset(torch.randn(len(labels), 3, 32, 32, generator=generator), labels)


def network(seed: int = 0) -> nn.Module:
    """Return timm's smallest ResNet for three classes, with dropout, in training mode."""
    torch.manual_seed(seed)
    return timm.create_model("test_resnet", num_classes=3, drop_rate=0.2).train()
