"""Scores of a network on validation and test images during a run, and the choice of the epoch."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.data.trials import LabelledImages
from benchmarks.metrics import Prior, Scores, all_metrics, auroc

ToInput = Callable[[Tensor], Tensor]
Hold = Callable[[NDArray[np.uint8]], Tensor]
_SHARE = 0.3  # of a GPU's free memory that a set of images may take
_BATCH, _PIXELS = 500, 2**21  # most images, and most pixels, in a forward pass without gradients


def on_device(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return the images in shape ``(N, C, H, W)`` (in memory N, H, W, C), on the device if they fit, else in pinned memory."""
    if device.type == "cuda" and images.nbytes > _SHARE * torch.cuda.mem_get_info(device)[0]:
        return torch.from_numpy(images).pin_memory().permute(0, 3, 1, 2)
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2)


def take(images: Tensor, chosen: Tensor) -> Tensor:
    """Return the images with these indices, on the device of the indices."""
    return images[chosen.to(images.device)].to(chosen.device)


def to_input(images: Tensor) -> Tensor:
    """Make the network's input of uint8 images: float32 in ``[-1, 1]``."""
    return images.float().div_(127.5).sub_(1)


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, to_input: ToInput) -> Scores:
    """Compute the probability of each class, float64, shape ``(N, C)``. The model is left in evaluation mode.

    ``images`` are uint8, ``(N, C, H, W)``, or what else ``to_input`` takes, such as features ``(N, D)``.

    A single logit is the score of class 1 against 0.
    """
    model.eval()
    parts = []
    device = next(model.parameters()).device
    at_once = max(1, min(_BATCH, _PIXELS // images[0, 0].numel()))
    for batch in images.split(at_once):
        logits = model(to_input(batch.to(device))).double()
        if logits.shape[1] == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], 1)
        parts.append(logits.softmax(1).cpu())
    return torch.cat(parts).numpy()


class Curve:
    """Scores at the end of each epoch, and the metrics of the epoch with the best AUROC on the validation images.

    Without validation images the last epoch counts. Test images are scored at every epoch for the curve only.

    Args:
        validation: Images that the epoch is chosen by.
        tests: Test images by name.
        strata: Names of the strata.
        device: Where the network is.
        to_input: Makes the network's input of what is held.
        hold: Makes what is held in memory of uint8 images ``(N, H, W, C)``: by default themselves, :func:`on_device`.
    """

    def __init__(
        self,
        validation: LabelledImages | None,
        tests: Mapping[str, LabelledImages],
        strata: list[str],
        device: torch.device,
        to_input: ToInput = to_input,
        hold: Hold | None = None,
    ) -> None:
        hold = hold or partial(on_device, device=device)
        self.points: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._parts = dict(tests) if validation is None else {"validation": validation, **tests}
        self._images = {name: hold(part.images) for name, part in self._parts.items()}
        self._strata, self._to_input = strata, to_input
        self._chosen: tuple[int, dict[str, Scores], Prior | None] | None = None
        self._last: tuple[dict[str, Scores], Prior | None] = {}, None
        self.diverged = False

    def add(self, model: nn.Module, *, prior: Prior | None = None, **point: Any) -> bool:
        """Score the network as it is now.

        Args:
            model: The network; it is left in evaluation mode.
            prior: How frequent its scores take each class to be, shape ``(C,)``, if that is known.
            **point: Further values of this epoch for the curve.

        Returns:
            Whether this is the best epoch so far.
        """
        started = time.perf_counter()
        scores = {name: predict(model, images, self._to_input) for name, images in self._images.items()}
        for name, values in scores.items():
            if not np.isfinite(values).all():  # a network that diverged scores like chance
                self.diverged = True
                scores[name] = np.full_like(values, 1 / values.shape[1])
        aurocs = {name: auroc(part.labels, scores[name]) for name, part in self._parts.items()}
        self.points.append({"epoch": len(self.points) + 1, **point, "auroc": aurocs})
        self._last = scores, prior
        is_best = self._chosen is None or (
            "validation" not in aurocs or aurocs["validation"] > self.points[self._chosen[0]]["auroc"]["validation"]
        )
        if is_best:
            self._chosen = len(self.points) - 1, scores, prior
        self.seconds += time.perf_counter() - started
        return is_best

    def result(self) -> dict[str, Any]:
        """Return the metrics of the chosen epoch and of the last one for each set of images, and the curve."""
        assert self._chosen is not None
        epoch, scores, prior = self._chosen
        return {
            "chosen_epoch": epoch + 1,
            "chosen": self._metrics(scores, prior),
            "last": self._metrics(*self._last),
            "diverged": self.diverged,
            "curve": self.points,
        }

    def _metrics(self, scores: dict[str, Scores], prior: Prior | None) -> dict[str, Any]:
        return {
            name: all_metrics(part.labels, scores[name], part.members, self._strata, prior)
            for name, part in self._parts.items()
        }
