"""A frozen network: the features of each image are computed once, and only a new linear classifier is trained on them."""

import hashlib
from copy import deepcopy
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.training.evaluation import to_input
from clesmote_losses.classifier import find_classifier
from clesmote_losses.embeddings import EmbeddingHook

_BATCH = 64  # images in a forward pass
_HELD = 50_000  # features that are kept for other runs


class Head(nn.Module):
    """The classifier of a frozen network, whose input is the features.

    Args:
        fc: The layer itself, so that training changes the network that it is part of.
    """

    def __init__(self, fc: nn.Linear) -> None:
        super().__init__()
        self.fc = fc

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits ``(N, C)`` of features ``(N, D)``."""
        logits: Tensor = self.fc(features)
        return logits


class FrozenFeatures:
    """Compute the features of uint8 images: the input of the network's classifier, in evaluation mode.

    Args:
        network: On its device; it stays as it is.
        name: Of everything that features depend on. Networks of one name share features within a process.

    Raises:
        ValueError: If the classifier is not one linear layer whose output is the logits.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        layers = find_classifier(network)
        if len(layers) != 1 or not isinstance(layers[0], nn.Linear):
            raise ValueError(
                f"--frozen needs a network with one linear classifier; this one has {', '.join(map(str, layers))}."
            )
        self.head = Head(layers[0])
        # a copy: a loss may change the classifier, and hear other embeddings there
        self._network, self._known = deepcopy(network).eval(), _features(name)
        self._device = next(network.parameters()).device

    @torch.no_grad()
    def __call__(self, images: NDArray[np.uint8]) -> Tensor:
        """Return the features of images ``(N, H, W, C)``: float32, shape ``(N, D)``, on the network's device."""
        keys = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
        left = {key: i for i, key in enumerate(keys) if key not in self._known}
        found: dict[bytes, Tensor] = {}
        with EmbeddingHook(self._network) as hook:
            (classifier,) = hook.layers
            for start in range(0, len(left), _BATCH):
                chosen = dict(list(left.items())[start : start + _BATCH])
                # always of one size: rounding depends on it, and a run must not depend on what was computed before
                batch = np.zeros((_BATCH, *images.shape[1:]), dtype=np.uint8)
                batch[: len(chosen)] = images[list(chosen.values())]
                logits = self._network(to_input(torch.from_numpy(batch).permute(0, 3, 1, 2).to(self._device)))
                features = hook.embeddings.float()
                if not torch.allclose(classifier(features), logits.float(), rtol=1e-3, atol=1e-3):
                    raise ValueError(
                        "--frozen: the logits of this network are more than its classifier makes of its input."
                    )
                found |= zip(chosen, features.cpu(), strict=False)
        rows = []
        for key in keys:
            row = self._known.pop(key, None)  # put back as the latest
            self._known[key] = found[key] if row is None else row
            rows.append(self._known[key])
        while len(self._known) > _HELD:
            del self._known[next(iter(self._known))]
        return torch.stack(rows).to(self._device)


def network_with(network: nn.Module, own: Head, head: nn.Module) -> nn.Module:
    """Return the network with this classifier: itself for its own, a copy for another."""
    return network if head is own else deepcopy(network, {id(own.fc): head.fc})


@lru_cache(maxsize=1)
def _features(name: str) -> dict[bytes, Tensor]:
    """Return the features known for a network, by the digest of the image."""
    return {}
