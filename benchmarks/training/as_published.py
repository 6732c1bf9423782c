"""The preset ``as_published``: what the paper's tables were made with, defects included, to show where its numbers come from.

It follows a description of the notebooks that the paper's authors have published, and differs from the paper's text and from
sound practice in this:

- images of shape ``(H, W, C)`` are *reshaped* to ``(C, H, W)`` and not transposed, so they are scrambled;
- inputs are 0 to 255, not normalised;
- SMOTE computes on uint8, where a difference of two pixels wraps around: about half of the synthetic pixels are wrong;
- the triplet margin is 1000, so every triplet has a loss at every step;
- the centroid is the embedding of the mean image of the class, with dropout on;
- of three classes, the triplets take the rarest class for the second: its positives are cats;
- nothing is held out: learning rate, beta and epoch were chosen on the test images. Those of CLE-SMOTE and its variants are
  known; the learning rate of the baselines and beta of the Euclidean cap are not, and are chosen on the test images too.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from imblearn.over_sampling import SMOTE, RandomOverSampler
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.data.trials import LabelledImages, Trial
from benchmarks.methods.networks import CONVNET, embedding_layer, make_network
from benchmarks.methods.registry import ABLATION, BASELINES, CLE_SMOTE, UPPER_BOUND, Method
from benchmarks.training.evaluation import Curve
from benchmarks.training.pretraining import pretrain
from clesmote_losses import CappedSMOTELoss, ClassCentroidTracker
from clesmote_losses.embeddings import EmbeddingHook

_POSITIVE_WEIGHT = 100  # "weighted loss" of two classes
PUBLISHED_SUITE = "cifar10-ablation"
# where the value is not known; the first of each is the one that is known, of CLE-SMOTE with two classes
_LRS = (5e-4, 1e-3, 3e-3, 1e-2)
_EUCLIDEAN_BETAS = (1.0, 10.0, 100.0)  # embeddings of inputs up to 255 lie far apart: 1 would cap nearly every image
_LAYER = embedding_layer(CONVNET)


@dataclass(frozen=True)
class PublishedSettings:
    """As the notebooks have it: SGD without momentum, no schedule, no augmentation.

    Attributes:
        epochs: Passes over what the method trains on, so methods make unequally many steps.
        batch_size: Images in a step.
        lr: Of the training.
        pretraining_epochs, pretraining_lr, margin: Of the triplets.
        beta: Of the distance caps.
        constant_cap: In nats.
        warmup_epochs: Epochs without caps of the methods without pretraining.
    """

    epochs: int = 30
    batch_size: int = 64
    lr: float = 5e-4
    pretraining_epochs: int = 20
    pretraining_lr: float = 1e-5
    margin: float = 1000.0
    beta: float = 1.0
    constant_cap: float = 5.0
    warmup_epochs: int = 2
    preset: str = "as_published"
    model: str = CONVNET


def published_settings(num_classes: int) -> PublishedSettings:
    """For two classes, or for more."""
    if num_classes == 2:
        return PublishedSettings()
    return PublishedSettings(lr=1e-3, pretraining_lr=1e-6, constant_cap=1.0)


def check_published(method: Method) -> None:
    """Raise a ``ValueError`` for a method that is none of the paper's."""
    if method not in (*BASELINES, *ABLATION, CLE_SMOTE, UPPER_BOUND):
        raise ValueError(f"{method.name} is none of the paper's methods: preset as_published has no settings for it.")


def published_search(method: Method) -> list[tuple[str, tuple[float, ...]]]:
    """What is chosen on test images for a method, and from which values."""
    if method.loss != "capped":
        return [("lr", _LRS)]
    return [("beta", _EUCLIDEAN_BETAS)] if method.distance == "euclidean" else []


def scrambled(images: Tensor) -> Tensor:
    """The network's input: float32, 0 to 255, the values of ``(N, H, W, C)`` images in the shape ``(N, C, H, W)``."""
    return images.permute(0, 2, 3, 1).reshape(images.shape).float().contiguous(memory_format=torch.channels_last)


def total_steps(trial: Trial, method: Method, settings: PublishedSettings) -> int:
    """Optimizer steps of a run, those of the pretraining among them."""
    counts = np.bincount(trial.train.labels)
    size = len(trial.train) if method.data == "imbalanced" else int(counts.max()) * len(counts)
    if method.data == "balanced":
        size = len(trial.balanced)
    anchors = 0
    if method.pretraining != "none":
        anchors = size if method.anchors == "all" else len(trial.train)
    size_of = settings.batch_size
    return settings.epochs * -(-size // size_of) + settings.pretraining_epochs * -(-anchors // size_of)


def run_published(
    trial: Trial,
    method: Method,
    settings: PublishedSettings,
    seed: int,
    *,
    strata: list[str],
    device: torch.device,
    on_steps: Callable[[int], object] = lambda steps: None,
) -> tuple[nn.Module, dict[str, Any]]:
    """Train and test.

    Returns:
        The network, and what :meth:`Curve.result` gives, with the share of synthetic samples capped, steps and times.

    Raises:
        ValueError: If the preset has no such method.
    """
    check_published(method)
    num_classes = int(trial.train.labels.max()) + 1
    images, labels, is_synthetic = _training_data(trial, method, seed)
    model = make_network(
        settings.model,
        num_classes=1 if num_classes == 2 else num_classes,
        image_size=trial.train.pool.shape[1],
        in_chans=trial.train.pool.shape[3],
    ).to(device)
    model.to(memory_format=torch.channels_last)
    inputs = scrambled(torch.from_numpy(images).permute(0, 3, 1, 2)).to(device)
    started = time.perf_counter()
    pretraining: list[float] = []
    if method.pretraining != "none":
        anchors = len(labels) if method.anchors == "all" else len(trial.train)
        pretraining = pretrain(
            model,
            inputs.__getitem__,
            np.minimum(labels, 1),  # the third class goes under the second one's label
            is_synthetic,
            method,
            torch.optim.SGD(model.parameters(), lr=settings.pretraining_lr),
            steps=settings.pretraining_epochs * -(-anchors // settings.batch_size),
            batch_size=settings.batch_size,
            margin=settings.margin,
            layer=_LAYER,
            seed=seed,
            on_steps=on_steps,
        )
    seconds = {"pretraining": time.perf_counter() - started}

    started = time.perf_counter()
    curve = Curve(trial.validation, trial.tests, strata, device, scrambled)
    real_means = torch.stack(
        [inputs[torch.from_numpy((labels == c) & ~is_synthetic).to(device)].mean(0) for c in range(num_classes)]
    )
    tracker: _MeanImageTracker | ClassCentroidTracker | None = None
    if method.loss == "capped" and method.distance is not None:
        if method.centroid == "batch":
            tracker = ClassCentroidTracker(model, num_classes, mode="batch", classifier=_LAYER)
        else:
            tracker = _MeanImageTracker(model)
    criterion = _criterion(method, settings, np.bincount(trial.train.labels), tracker).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=settings.lr)
    target, flags = torch.from_numpy(labels).to(device), torch.from_numpy(is_synthetic).to(device)
    synthetic = capped = 0.0
    for epoch in range(settings.epochs):
        model.train()
        if isinstance(tracker, _MeanImageTracker):
            tracker.refresh(real_means)
        if isinstance(criterion, CappedSMOTELoss):
            criterion.set_epoch(epoch)
        losses = []
        for chosen in torch.randperm(len(inputs)).to(device).split(settings.batch_size):
            loss = criterion(model(inputs[chosen]), target[chosen], is_synthetic=flags[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            on_steps(1)
        point = {"loss": torch.stack(losses).mean().item()}
        if isinstance(criterion, CappedSMOTELoss):
            stats = criterion.stats
            synthetic, capped = synthetic + stats["synthetic"].item(), capped + stats["capped"].item()
            point["share_capped"] = stats["share_capped"].item()
            criterion.reset_stats()
        curve.add(model, **point)
    seconds |= {"training": time.perf_counter() - started - curve.seconds, "testing": curve.seconds}
    return model, {
        **curve.result(),
        "share_capped": capped / synthetic if synthetic else None,
        "training_samples": len(labels),
        "steps": settings.epochs * -(-len(labels) // settings.batch_size),
        "pretraining_loss": pretraining,
        "seconds": seconds,
    }


def _training_data(
    trial: Trial, method: Method, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Images ``(N, H, W, C)``, labels, and which are synthetic."""
    part: LabelledImages = trial.balanced if method.data == "balanced" else trial.train
    images, labels = part.images, part.labels
    if method.data == "oversampled":
        places, labels = RandomOverSampler(random_state=seed).fit_resample(np.arange(len(labels))[:, None], labels)
        images = images[places[:, 0]]
    elif method.data == "smote":
        flat, labels = SMOTE(k_neighbors=5, random_state=seed).fit_resample(images.reshape(len(images), -1), labels)
        images = flat.reshape(-1, *images.shape[1:])
    is_synthetic = (np.arange(len(labels)) >= len(part)) & (method.data == "smote")
    return images, labels, is_synthetic


def _criterion(method: Method, settings: PublishedSettings, counts: NDArray[np.int64], tracker: Any) -> nn.Module:
    if method.loss == "class_balanced":
        weight = counts.max() / counts if len(counts) > 2 else np.array([1, _POSITIVE_WEIGHT])
        return _WeightedCrossEntropy(torch.as_tensor(weight, dtype=torch.float32))
    if method.loss == "cross_entropy":
        return _WeightedCrossEntropy(torch.ones(len(counts)))
    return CappedSMOTELoss(
        settings.beta if method.distance is not None else settings.constant_cap,
        tracker=tracker,
        distance=method.distance,
        warmup_epochs=0 if method.pretraining != "none" else settings.warmup_epochs,
    )


class _WeightedCrossEntropy(nn.Module):
    """The sum of weighted losses over the number of images, as with ``pos_weight`` of torch's binary cross-entropy."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, target: Tensor, *, is_synthetic: Tensor) -> Tensor:
        if logits.shape[1] == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], 1)
        return F.cross_entropy(logits, target, self.weight, reduction="sum") / len(target)


class _MeanImageTracker:
    """Centroids as the notebooks have them; the library's tracker embeds in evaluation mode."""

    def __init__(self, model: nn.Module) -> None:
        self._model, self._hook = model, EmbeddingHook(model, _LAYER)
        self._centroids = torch.empty(0)

    @torch.no_grad()
    def refresh(self, mean_images: Tensor) -> None:
        self._model(mean_images)
        self._centroids = self._hook.take().clone()

    def take_embeddings(self) -> Tensor:
        return self._hook.take()

    def centroids_for(self, embeddings: Tensor, labels: Tensor, is_synthetic: Tensor) -> tuple[Tensor, Tensor]:
        return self._centroids, torch.ones(len(self._centroids), dtype=torch.int64, device=embeddings.device)
