"""Weights of a file as the start of a network of timm."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from timm.models import load_state_dict
from torch import Tensor, nn

from clesmote_losses.classifier import find_classifier

_OURS = 0.5  # mean and deviation of inputs in [-1, 1]


@dataclass(frozen=True)
class Weights:
    """A file of weights, told by its content: its place is not part of a run.

    Attributes:
        path: A ``.safetensors`` file or a checkpoint that timm reads.
        digest: Of the content.
    """

    path: Path = field(compare=False)
    digest: str

    @classmethod
    def read(cls, path: Path) -> "Weights":
        """Compute the digest of a file.

        Raises:
            ValueError: If there is no such file.
        """
        try:
            with path.open("rb") as file:
                return cls(path, hashlib.file_digest(file, "sha256").hexdigest()[:16])
        except AttributeError:  # Python 3.10
            return cls(path, hashlib.sha256(path.read_bytes()).hexdigest()[:16])
        except OSError as error:
            raise ValueError(f"--weights {path} cannot be read: {error.strerror}.") from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Load all weights but those of the classifier, which keeps its own; and scale inputs as the network is used to.

    The network then takes what :func:`benchmarks.training.evaluation.to_input` makes, with three channels or one: a hook
    changes values in ``[-1, 1]`` to timm's ``mean`` and ``std`` of the network, and repeats a single channel.

    Args:
        model: A network of timm for images of three channels.
        path: A ``.safetensors`` file or a checkpoint that timm reads.

    Raises:
        ValueError: If the file holds no weights, or those of another network.
    """
    try:
        state = load_state_dict(str(path))
    except Exception as error:  # whatever unpickling raises
        raise ValueError(
            f"--weights {path} holds no weights that timm reads: {type(error).__name__} {error}"
        ) from error
    layers = find_classifier(model)
    classifier = tuple(f"{name}." for name, part in model.named_modules() if any(part is layer for layer in layers))
    try:
        found = model.load_state_dict({k: v for k, v in state.items() if not k.startswith(classifier)}, strict=False)
    except RuntimeError as error:
        raise ValueError(f"--weights {path} are of another network than --model: {error}") from error
    missing = [name for name in found.missing_keys if not name.startswith(classifier)]
    if missing or found.unexpected_keys:
        raise ValueError(
            f"--weights {path} are of another network than --model: of its weights {len(missing)} are missing "
            f"({', '.join(missing[:3]) or 'none'}) and {len(found.unexpected_keys)} are unknown "
            f"({', '.join(found.unexpected_keys[:3]) or 'none'})."
        )
    declared: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    mean, std = (torch.tensor(declared.get(name) or [_OURS] * 3).reshape(-1, 1, 1) for name in ("mean", "std"))
    model.register_forward_pre_hook(_InputScale(_OURS / std, (_OURS - mean) / std))


class _InputScale:
    """Hook that changes inputs in ``[-1, 1]`` to those that a network was trained with."""

    def __init__(self, factor: Tensor, shift: Tensor) -> None:
        self.factor, self.shift = factor, shift

    def __call__(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        images = inputs[0].expand(-1, len(self.factor), -1, -1)
        if (self.factor == 1).all() and not self.shift.any():
            return (images, *inputs[1:])
        return (images * self.factor.to(images.device) + self.shift.to(images.device), *inputs[1:])
