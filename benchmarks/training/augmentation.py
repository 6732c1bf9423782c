"""Augmentation of whole batches on the device: image by image it would take longer than the step of a small network."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.lookup import Lookup
from benchmarks.training.evaluation import to_input

_GROUP = 8  # images that share a draw of the strong augmentation


def shift(images: Tensor) -> Tensor:
    """Shift each image by up to an eighth of its size; the border is repeated."""
    inputs = to_input(images)
    count, _, height, width = inputs.shape
    reach = max(height, width) // 8
    padded = F.pad(inputs, [reach] * 4, mode="replicate")
    top, left = torch.randint(2 * reach + 1, (2, count, 1), device=inputs.device)
    rows = top + torch.arange(height, device=inputs.device)
    columns = left + torch.arange(width, device=inputs.device)
    # gathered as (N, H, W, C), so that the memory stays in that order
    image = torch.arange(count, device=inputs.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def shift_flip(images: Tensor) -> Tensor:
    """Mirror each image with probability one half, and :func:`shift` it."""
    is_flipped = torch.rand(len(images), device=images.device) < 0.5
    return shift(torch.where(is_flipped[:, None, None, None], images.flip(3), images))


def strong(images: Tensor) -> Tensor:
    """Apply torchvision's ``TrivialAugmentWide``, erase a patch of half of the groups, and :func:`shift_flip`."""
    trivial, erase = v2.TrivialAugmentWide(), v2.RandomErasing(p=0.5)
    return shift_flip(torch.cat([erase(trivial(group)) for group in images.split(_GROUP)]))


# Each takes uint8 images of shape (N, C, H, W) and returns the network's input, float32 in [-1, 1], of the same shape.
AUGMENTATIONS: Lookup[Callable[[Tensor], Tensor]] = Lookup(
    "augmentation", {"none": to_input, "shift": shift, "shift_flip": shift_flip, "strong": strong}
)
