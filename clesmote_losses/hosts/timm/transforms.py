"""Prepare images for the model where timm's loader or evaluation does the last step."""

from argparse import Namespace
from typing import Any

import torch
from torch import Tensor, nn

from clesmote_losses.smote.transform_probe import Transform


def evaluation_transform(args: Namespace, model: nn.Module) -> Transform:
    """Make the transform of the script's evaluation, normalisation included."""
    from timm.data.config import resolve_data_config
    from timm.data.loader import adapt_to_chs
    from timm.data.transforms_factory import create_transform

    config = resolve_data_config(vars(args), model=model)
    mean, std = (adapt_to_chs(config[name], config["input_size"][0]) for name in ("mean", "std"))  # as the loader does
    names = ("input_size", "interpolation", "crop_pct")
    transform: Transform = create_transform(**{name: config[name] for name in names}, mean=mean, std=std)
    return transform


def normalized_transform(transform: Transform, loader: Any) -> Transform:
    """Add the normalisation that timm's prefetching loader does after the data set to the training transform."""
    from timm.data.loader import PrefetchLoader

    return Normalized(transform, loader.mean, loader.std) if isinstance(loader, PrefetchLoader) else transform


class Normalized:
    """Normalise the uint8 images of a transform, which timm's prefetching loader would do after the data set.

    Args:
        transform: Returns uint8 images, shape ``(C, H, W)``.
        mean, std: Mean and standard deviation in grey levels of 0 to 255, shape ``(C,)``.
    """

    def __init__(self, transform: Transform, mean: Tensor, std: Tensor) -> None:
        self.transform = transform
        self.mean, self.std = (value.detach().float().cpu().reshape(-1, 1, 1) for value in (mean, std))

    def __call__(self, image: Any) -> Tensor:
        pixels: Tensor = torch.as_tensor(self.transform(image)).float()
        return (pixels - self.mean) / self.std
