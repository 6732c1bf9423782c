"""The images a method trains on, sampled from those of a trial and held on the device."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.data.experiments import Experiment
from benchmarks.data.source import Images
from benchmarks.data.trials import LabelledImages, Trial
from benchmarks.methods.registry import Method
from benchmarks.training.evaluation import Hold, ToInput, on_device, take, to_input
from clesmote_losses import SMOTEDataset, decode_target, encode_target

_BATCH = 256  # images in a forward pass without gradients


@dataclass(frozen=True)
class TrainingData:
    """What a method trains on.

    Attributes:
        images: Shape ``(N, C, H, W)``, on the device if they fit there.
        target: Encoded by :func:`clesmote_losses.encode_target`, shape ``(N,)``, on the device.
        strata: Stratum of each image, shape ``(N,)``, on the device.
        dataset: Where synthetic images come from; ``None`` if there are none, or they are fixed.
        to_input: Makes the network's input of ``images``, without augmentation.
        hold: Makes ``images`` of uint8 images ``(N, H, W, C)``; by default they are the same images.
    """

    images: Tensor
    target: Tensor
    strata: Tensor
    dataset: SMOTEDataset | None = None
    to_input: Callable[[Tensor], Tensor] = to_input
    hold: Hold | None = None

    def __len__(self) -> int:
        return len(self.images)

    def inputs(self, chosen: Tensor) -> Tensor:
        """Return the network's input of the images with these indices, without augmentation."""
        return self.to_input(take(self.images, chosen))

    def begin_epoch(self, epoch: int) -> None:
        """Replace the synthetic images by a new draw, if the data set draws anew for each epoch."""
        if self.dataset is not None and self.dataset.redraw == "epoch":
            self.dataset.set_epoch(epoch)
            new = _synthetic_images(self.dataset)
            images = on_device(new, self.images.device) if self.hold is None else self.hold(new)
            self.images[len(self.images) - len(images) :] = images

    def real_batches(self, by_stratum: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the real images of the over-sampled classes (or strata), as inputs with their class (or stratum)."""
        labels, is_synthetic = decode_target(self.target)
        groups = self.strata if by_stratum else labels
        wanted = torch.isin(groups, groups[is_synthetic]) & ~is_synthetic
        for chosen in wanted.nonzero()[:, 0].split(_BATCH):
            yield self.inputs(chosen), groups[chosen]


def sample(trial: Trial, method: Method, experiment: Experiment, seed: int) -> tuple[LabelledImages, Any, int]:
    """Return the real images to train on, the sampler that adds synthetic ones (or ``None``), and how many it aims at."""
    counts = np.bincount(trial.train.strata, minlength=len(experiment.counts)).tolist()
    raised = experiment.raised(dict(zip(experiment.counts, counts, strict=True)))
    aims = {i: aim for i, (aim, count) in enumerate(zip(raised.values(), counts, strict=True)) if aim > count}
    real, sampler = method.sample(trial, aims, seed)
    return real, sampler, 0 if sampler is None else sum(aim - counts[i] for i, aim in aims.items())


def training_data(
    trial: Trial,
    method: Method,
    experiment: Experiment,
    seed: int,
    device: torch.device,
    *,
    to_input: ToInput = to_input,
    hold: Hold | None = None,
) -> TrainingData:
    """Sample the training set of a method; synthetic images follow the real ones.

    ``to_input`` and ``hold`` are those of :class:`TrainingData`.
    """
    real, sampler, _ = sample(trial, method, experiment, seed)
    images, labels, strata = real.images, real.labels, real.strata
    is_synthetic, dataset = np.zeros(len(real), dtype=bool), None
    if sampler is not None:
        dataset = SMOTEDataset(
            Images(images, labels),
            sampler=sampler,
            strata=strata,
            small_class="shrink_k",
            **method.dataset_options,
            redraw="epoch" if method.redraw else "never",
            device=device,
        )
        images = np.concatenate([images, _synthetic_images(dataset)])
        labels, is_synthetic = dataset.labels, dataset.is_synthetic
        strata = np.concatenate([strata, strata[dataset.plan.base]])
    return TrainingData(
        on_device(images, device) if hold is None else hold(images),
        torch.from_numpy(encode_target(labels, is_synthetic)).to(device),
        torch.from_numpy(strata).to(device),
        dataset,
        to_input,
        hold,
    )


def _synthetic_images(dataset: SMOTEDataset) -> NDArray[np.uint8]:
    first = len(dataset) - len(dataset.plan)
    images = np.empty((len(dataset) - first, *dataset.raw_image(0).shape), dtype=np.uint8)
    for row, index in zip(images, range(first, len(dataset)), strict=True):
        row[:] = dataset[index][0]
    return images
