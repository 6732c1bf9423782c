"""Augmentation of whole batches on the device: image by image it would take longer than the step of a small network."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.training.evaluation import to_input

Augmentation = Literal["none", "shift", "shift_flip", "strong"]
_GROUP = 8  # images that share a draw of the strong augmentation


def augment(images: Tensor, augmentation: Augmentation) -> Tensor:
    """The network's input of training images.

    Args:
        images: uint8, shape ``(N, C, H, W)``.
        augmentation: ``"shift"`` by up to an eighth of the image; ``"shift_flip"``: mirrored too, each second on average;
            ``"strong"``: also torchvision's ``TrivialAugmentWide`` and a patch erased, drawn for every eight images.

    Returns:
        float32 in ``[-1, 1]``, of the same shape.
    """
    if augmentation == "none":
        return to_input(images)
    if augmentation == "strong":
        trivial, erase = v2.TrivialAugmentWide(), v2.RandomErasing(p=0.5)
        images = torch.cat([erase(trivial(group)) for group in images.split(_GROUP)])
    if augmentation != "shift":
        is_flipped = torch.rand(len(images), device=images.device) < 0.5
        images = torch.where(is_flipped[:, None, None, None], images.flip(3), images)
    return _shifted(to_input(images))


def _shifted(inputs: Tensor) -> Tensor:
    count, _, height, width = inputs.shape
    reach = max(height, width) // 8
    padded = F.pad(inputs, [reach] * 4, mode="replicate")
    top, left = torch.randint(2 * reach + 1, (2, count, 1), device=inputs.device)
    rows = top + torch.arange(height, device=inputs.device)
    columns = left + torch.arange(width, device=inputs.device)
    # gathered as (N, H, W, C), so that the memory stays in that order
    image = torch.arange(count, device=inputs.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
