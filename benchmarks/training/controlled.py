"""The preset ``correct``: the paper's text on sound data, under one budget of optimizer steps for all methods."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.data.experiments import Experiment
from benchmarks.data.trials import Trial
from benchmarks.methods.networks import CONVNET, embedding_layer, make_network
from benchmarks.methods.objective import Training
from benchmarks.methods.pretrained import Weights
from benchmarks.methods.registry import Method
from benchmarks.training.augmentation import AUGMENTATIONS
from benchmarks.training.evaluation import Curve, ToInput, to_input
from benchmarks.training.frozen import FrozenFeatures, network_with
from benchmarks.training.loop import train_epochs
from benchmarks.training.pretraining import pretrain
from benchmarks.training.training_images import TrainingData, training_data
from clesmote_losses import decode_target

_PRETRAINING_SHARE = 0.2  # of the steps


@dataclass(frozen=True)
class Settings:
    """What all methods have in common, so that they differ in nothing but the method.

    Attributes:
        model: ``convnet``, or timm's name of a network.
        steps: Optimizer steps of a run, whatever the method; those of a pretraining are among them.
        epochs: Parts of the training of equally many steps; at the end of each the network is scored.
        batch_size: Images in a step.
        lr: Learning rate of AdamW at the start; it falls to 0 along a cosine.
        weight_decay: Option of AdamW.
        augmentation: Of training images; a name of :data:`benchmarks.training.augmentation.AUGMENTATIONS`.
        amp: Train under autocast to bfloat16.
        channels_last: Memory layout of the network.
        validate: Hold out images to choose the epoch by; else the last one counts.
        weights: File that the network starts from, but for its classifier.
        frozen: Train a new linear classifier only, on the features of the network; images are not augmented.
        protocol: Raised when what a run does changes, so that earlier results are not taken for results of the new code.
    """

    model: str = CONVNET
    steps: int = 1200
    epochs: int = 15
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.05
    augmentation: str = "shift_flip"
    amp: bool = False
    channels_last: bool = True
    validate: bool = True
    weights: Weights | None = None
    frozen: bool = False
    protocol: int = 1
    preset: Literal["correct"] = "correct"

    def plain(self) -> dict[str, Any]:
        """Return the settings for a line: weights by their digest. What is not used is left out, as older lines do."""
        used = {"weights": self.weights and self.weights.digest, "frozen": self.frozen}
        others = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in used}
        return others | {name: value for name, value in used.items() if value}

    def total_steps(self, trial: Trial, experiment: Experiment, method: Method) -> int:
        """Return the optimizer steps of a run."""
        return self.steps

    def train(
        self,
        trial: Trial,
        experiment: Experiment,
        method: Method,
        seed: int,
        *,
        device: torch.device,
        on_steps: Callable[[int], object] = lambda steps: None,
        on_best: Callable[[nn.Module], object] = lambda model: None,
    ) -> tuple[nn.Module, TrainingData, dict[str, Any]]:
        """Train and test. Weights and batches are drawn from torch's global generator, which the caller seeds.

        Args:
            trial: The images.
            experiment: The classes and strata of the images.
            method: What is done against the imbalance.
            seed: Seed of the sampling.
            device: Where it runs.
            on_steps: Called with the number of optimizer steps made since the last call.
            on_best: Called with the network whenever it is the best so far on the validation images.

        Returns:
            The network, what it was trained on, and the result: what :meth:`Curve.result` returns, the share of synthetic
            images that were capped, steps and times.
        """
        network = self.make_network(trial.train.pool.shape, len(experiment.classes)).to(device)
        if self.channels_last:
            network.to(memory_format=torch.channels_last)
        model: nn.Module = network
        hold: FrozenFeatures | None = None
        scale: ToInput
        augment, scale = AUGMENTATIONS[method.augmentation or self.augmentation], to_input
        if self.frozen:
            check_frozen(method)
            hold = FrozenFeatures(network, features_name(self, device))
            model, augment, scale = hold.head, _as_they_are, _as_they_are
        seconds, started = {}, time.perf_counter()
        data = training_data(trial, method, experiment, seed, device, to_input=scale, hold=hold)
        seconds["sampling"] = time.perf_counter() - started
        counts, strata, layer = np.bincount(trial.train.labels), list(experiment.counts), embedding_layer(self.model)
        batches = _batches(len(data), self.batch_size)
        training = Training(model, data, counts, len(strata), layer, batches, self.steps, seed, on_steps)
        objective = method.build_loss(training).to(device)

        started = time.perf_counter()
        pretraining_steps = round(_PRETRAINING_SHARE * self.steps) if method.is_pretrained else 0
        history = pretrain(
            training,
            method,
            self._optimizer(model, method.pretraining_lr),
            augment,
            steps=pretraining_steps,
            batch_size=self.batch_size,
            margin=method.margin,
        )
        seconds["pretraining"] = time.perf_counter() - started

        started = time.perf_counter()
        curve = Curve(trial.validation, trial.tests, strata, device, scale, hold)
        optimizer = self._optimizer(model, self.lr)
        ends = [self.steps * (i + 1) // self.epochs for i in range(self.epochs)]
        for point in train_epochs(
            training,
            objective,
            optimizer,
            augment,
            ends=[end for end in ends if end > pretraining_steps],
            schedule=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps - pretraining_steps),
            amp=self.amp,
        ):
            scored = objective.network(training)
            kept = scored if hold is None else network_with(network, hold.head, scored)
            if curve.add(scored, prior=objective.prior(training), step=training.step, **point):
                on_best(kept)
        seconds |= {"training": time.perf_counter() - started - curve.seconds, "testing": curve.seconds}
        result = {
            **curve.result(),
            "share_capped": objective.share_capped,
            "training_samples": len(data),
            "synthetic_samples": int(decode_target(data.target)[1].sum()),
            "steps": self.steps,
            "pretraining_steps": pretraining_steps,
            "pretraining_loss": history,
            "seconds": seconds,
        }
        return kept, data, result

    def make_network(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Make the network for images of a shape ``(..., H, W, C)``.

        Raises:
            ValueError: As :func:`benchmarks.methods.networks.make_network`.
        """
        *_, size, _, channels = shape
        weights = None if self.weights is None else self.weights.path
        return make_network(self.model, num_classes=num_classes, image_size=size, in_chans=channels, weights=weights)

    def _optimizer(self, model: nn.Module, lr: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=self.weight_decay, fused=True)


def features_name(settings: Settings, device: torch.device) -> str:
    """Return the name of what features of a frozen network depend on, besides the image."""
    return repr((settings.model, settings.weights, settings.channels_last, device))


def check_frozen(method: Method) -> None:
    """Check that a method can train on features that are computed once.

    Raises:
        ValueError: If it needs images.
    """
    if reason := method.needs_images:
        raise ValueError(
            f"--frozen computes the features of each image once, and {method.name} {reason}: leave it out."
        )


def _as_they_are(features: Tensor) -> Tensor:
    return features


def _batches(size: int, batch_size: int) -> Iterator[Tensor]:
    """Yield the indices of batches without end: pass after pass over all images in a new order."""
    left = torch.empty(0, dtype=torch.int64)
    while True:
        while len(left) < batch_size:
            left = torch.cat([left, torch.randperm(size)])
        yield left[:batch_size]
        left = left[batch_size:]
