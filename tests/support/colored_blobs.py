"""Two classes of colours, some images with the wrong label, and a network that knows the right ones."""

import copy
from functools import cache
from typing import Any

import timm
import torch
import torch.nn.functional as F
from imblearn.over_sampling import SMOTE
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from clesmote_losses import SMOTEDataset

FREQUENT, RARE = 60, 20


def colors(wrong: int = 0, seed: int = 0) -> TensorDataset:
    """Return 60 reddish images of class 0 and 20 bluish ones of class 1, of which the first ``wrong`` are reddish."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.arange(FREQUENT + RARE) >= FREQUENT).long()
    truth = labels.clone()
    truth[FREQUENT : FREQUENT + wrong] = 0
    images = 0.3 * torch.randn(len(labels), 3, 32, 32, generator=generator)
    images[truth == 0, 0] += 1.0
    images[truth == 1, 2] += 1.0
    images += 0.2 * torch.randn(len(labels), 3, 1, 1, generator=generator)
    return TensorDataset(images, labels)


def smote(base: Any, **options: Any) -> SMOTEDataset:
    return SMOTEDataset(base, **{"sampler": SMOTE(k_neighbors=4, random_state=0), **options})


def trained(name: str = "test_resnet", num_outputs: int = 2) -> nn.Module:
    """Return a network of timm that was trained on other images with right labels; in training mode."""
    return copy.deepcopy(_trained(name, num_outputs))


@cache
def _trained(name: str, num_outputs: int) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(name, num_classes=num_outputs, drop_rate=0.1)
    images, labels = colors(seed=1).tensors
    weight = torch.tensor([1 / FREQUENT, 1 / RARE])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(15):
        loss = F.cross_entropy(two_columns(model(images)), labels, weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.train()


def two_columns(logits: Tensor) -> Tensor:
    """Return logits of two classes, also of a single one."""
    return logits if logits.shape[1] == 2 else torch.cat([torch.zeros_like(logits), logits], dim=1)
