"""What the model gets: modes, channels and values that differ between training, validation and the model."""

from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clesmote_losses.doctor.findings import counted
from clesmote_losses.doctor.part import Part
from clesmote_losses.restore import preserved_rng

_LOOKED_AT = 16  # images of each part
_OTHER_SCALE = (
    3  # images of one kind differ less in spread; a forgotten division by 255 or by ImageNet's deviation, 0.23, more
)


def find_input_faults(train: Part, validation: Part | None, model: nn.Module | None) -> None:
    """Add findings about the input of the model to the training part.

    Channels and values are those of some items that are tensors, after the user's transform.

    Args:
        train, validation: The parts.
        model: Network to train.
    """
    trained = _inputs(train)
    if model is not None:
        _compare_with_model(train, trained, model)
    if validation is None:
        return
    modes = {part.title: _most_common(part) for part in (train, validation)}
    if "" not in modes.values() and len(set(modes.values())) > 1:
        remedy = "find out why: an image of another source or another conversion is scored as another kind of image."
        _add_difference(train, "mode", modes, remedy)
    evaluated = _inputs(validation)
    if not trained or not evaluated:
        return
    shapes = {"training": trained[0].shape, "validation": evaluated[0].shape}
    if len({shape[0] for shape in shapes.values()}) > 1:
        values = {title: "x".join(map(str, shape)) for title, shape in shapes.items()}
        _add_difference(train, "number of channels", values, "let both transforms return the same number of channels.")
    low, high = sorted(_spread(images) for images in (trained, evaluated))
    if high > _OTHER_SCALE * low > 0:
        values = {"training": _range(trained), "validation": _range(evaluated)}
        _add_difference(train, "range of values", values, "scale and normalise both in the same way.")


def _compare_with_model(train: Part, images: list[Tensor], model: nn.Module) -> None:
    channels = {image.shape[0] for image in images}
    # any convolution: which one is the first to see the images, only a run of the model would tell
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    taken = {layer.in_channels for layer in convolutions}
    if taken and (wrong := sorted(channels - taken)):
        train.add(
            "error",
            "model",
            f"With {counted(wrong[0], 'channel')} (the first axis): training images. No convolution of the model takes that; its first "
            f"one takes {convolutions[0].in_channels}.",
            f"make the model for them (timm: in_chans={wrong[0]}), or let the transform return {convolutions[0].in_channels} channels.",
        )


def _inputs(part: Part) -> list[Tensor]:
    """Return some images as the model gets them; none if they are no tensors of channels, height and width, or volumes."""
    readable = [
        index for index, facts in enumerate(part.facts) if not facts.error
    ]  # real images come first in a SMOTEDataset
    images = []
    for place in np.unique(np.linspace(0, len(readable) - 1, _LOOKED_AT).astype(int)) if readable else ():
        item: Any = None
        with preserved_rng(), suppress(Exception):  # what cannot be read is named elsewhere
            item = part.dataset[readable[place]]
        image = item[0] if isinstance(item, tuple | list) and item else None
        if isinstance(image, Tensor) and image.ndim > 2 and image.numel():
            images.append(image.detach().as_subclass(Tensor).float())
    return images


def _most_common(part: Part) -> str:
    kinds = Counter(facts.kind for facts in part.facts if facts.kind)
    return kinds.most_common(1)[0][0] if kinds else ""


def _finite(images: list[Tensor]) -> Tensor:
    values = torch.cat([image.flatten() for image in images])
    return values[values.isfinite()]


def _spread(images: list[Tensor]) -> float:
    return float(_finite(images).std(correction=0))


def _range(images: list[Tensor]) -> str:
    values = _finite(images)
    return f"{values.min():.3g} to {values.max():.3g}, standard deviation {values.std(correction=0):.3g}"


def _add_difference(train: Part, name: str, values: dict[str, str], remedy: str) -> None:
    lines = tuple(f"{title}: {value}" for title, value in values.items())
    train.add("warning", "input", f"Training and validation differ in {name}.", remedy, lines)
