"""The networks: any of timm's, and the small one of the paper's ablation."""

from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.methods.pretrained import load_weights

CONVNET = "convnet"


class ConvNet(nn.Module):
    """The network of the paper's ablation, with about 16,000 parameters.

    Its embedding is the input of ``act``: the 50 values before ReLU and dropout.

    Args:
        num_classes: Width of the output; 1 for a single logit.
        in_chans: 3, or 1 for grey images.
        image_size: Height and width of the images.
    """

    def __init__(self, num_classes: int, in_chans: int = 3, image_size: int = 32) -> None:
        super().__init__()
        side = ((image_size - 4) // 2 - 4) // 2
        self.conv1 = nn.Conv2d(in_chans, 10, 5)
        self.conv2 = nn.Conv2d(10, 10, 5)
        self.drop = nn.Dropout2d()
        self.embed = nn.Linear(10 * side * side, 50)
        self.act = nn.ReLU()
        self.fc = nn.Linear(50, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(F.max_pool2d(self.drop(self.conv1(images)), 2))
        features = F.relu(F.max_pool2d(self.conv2(features), 2))
        hidden = self.act(self.embed(features.flatten(1)))
        logits: Tensor = self.fc(F.dropout(hidden, training=self.training))
        return logits


def make_network(
    name: str, *, num_classes: int, image_size: int, in_chans: int = 3, weights: Path | None = None
) -> nn.Module:
    """Make a network, in training mode.

    Args:
        name: ``convnet``, or timm's name of a network.
        num_classes: Width of the output.
        image_size: Height and width of the images.
        in_chans: 3, or 1 for grey images.
        weights: File that a network of timm starts from, but for the classifier; it has three input channels, and grey images
            are repeated. By default all weights are random.

    Raises:
        ValueError: If there is no such network, it does not take images of this size, or the file does not fit.
    """
    if name == CONVNET:
        if weights is not None:
            raise ValueError(f"--weights needs a network of timm; got --model {CONVNET}.")
        if image_size < 16:
            raise ValueError(f"{CONVNET} takes images of 16x16 and more; got {image_size}x{image_size}.")
        return ConvNet(num_classes, in_chans, image_size)
    if not timm.is_model(name):
        near = (timm.list_models(f"*{name}*") or timm.list_models("test_*"))[:8]
        raise ValueError(
            f"timm has no model {name!r}; it has {', '.join(near)}, and more (timm.list_models()). {CONVNET} is the paper's small one."
        )
    channels = in_chans if weights is None else 3
    model: nn.Module = timm.create_model(name, num_classes=num_classes, in_chans=channels)
    if weights is not None:
        load_weights(model, weights)
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, in_chans, image_size, image_size))
    except Exception as error:
        raise ValueError(
            f"{name} does not take images of {image_size}x{image_size}: {error} Another --image-size or --model may do."
        ) from error
    return model.train()


def embedding_layer(name: str) -> str | None:
    """Return the layer whose input is the embedding, where that is not the classifier."""
    return "act" if name == CONVNET else None
