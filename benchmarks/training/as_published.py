"""The preset ``as_published``: what the paper's tables were made with, defects included, to show where its numbers come from.

It follows a description of the notebooks that the paper's authors have published. It differs from the paper's text and from
sound practice:

- images of shape ``(H, W, C)`` are *reshaped* to ``(C, H, W)`` and not transposed, so they are scrambled;
- inputs are 0 to 255, not normalised;
- SMOTE computes on uint8, where a difference of two pixels wraps around: about half of the synthetic pixels are wrong;
- the triplet margin is 1000, so every triplet has a loss at every step;
- the centroid is the embedding of the mean image of the class, with dropout on;
- of three classes, the triplets take the rarest class for the second: its positives are cats;
- nothing is held out: learning rate, beta and epoch were chosen on the test images. The values of CLE-SMOTE and its
  variants are known. The learning rate of the baselines and beta of the Euclidean cap are not; here they are chosen on
  the test images too.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.data.experiments import Experiment
from benchmarks.data.trials import Trial
from benchmarks.lookup import Lookup
from benchmarks.methods.capped import CappedObjective
from benchmarks.methods.networks import CONVNET, embedding_layer, make_network
from benchmarks.methods.objective import Objective, Training, TrainingSet
from benchmarks.methods.registry import ABLATION, BASELINES, CLE_SMOTE, UPPER_BOUND, Method
from benchmarks.training.evaluation import Curve
from benchmarks.training.loop import train_epochs
from benchmarks.training.pretraining import pretrain
from benchmarks.training.training_images import TrainingData, sample
from clesmote_losses import CappedSMOTELoss, ClassCentroidTracker, decode_target, encode_target
from clesmote_losses.embeddings import EmbeddingHook

_POSITIVE_WEIGHT = 100  # "weighted loss" of two classes
# tried where no notebook tells the value; the first of each is that of CLE-SMOTE with two classes
_LRS = (5e-4, 1e-3, 3e-3, 1e-2)
_EUCLIDEAN_BETAS = (1.0, 10.0, 100.0)  # embeddings of inputs up to 255 lie far apart: 1 would cap nearly every image
# what is chosen on the test images for each method, and from which values
_SEARCHES: dict[str, list[tuple[str, tuple[float, ...]]]] = {
    **{method.name: [("lr", _LRS)] for method in (*BASELINES, UPPER_BOUND)},
    "euclidean-cap": [("beta", _EUCLIDEAN_BETAS)],
}


@dataclass(frozen=True)
class PublishedSettings:
    """The settings of the notebooks: SGD without momentum, no schedule, no augmentation.

    Attributes:
        epochs: Passes over what the method trains on, so methods make unequally many steps.
        batch_size: Images in a step.
        lr: Learning rate of the training.
        pretraining_epochs, pretraining_lr, margin: Options of the triplets.
        beta: Noise tolerance of the distance caps.
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
    validate: ClassVar[bool] = False

    def plain(self) -> dict[str, Any]:
        """Return the settings for a line."""
        return asdict(self)

    def total_steps(self, trial: Trial, experiment: Experiment, method: Method) -> int:
        """Return the optimizer steps of a run, those of the pretraining among them."""
        real, _, added = sample(trial, method, experiment, seed=0)
        size = len(real) + added
        return self.epochs * self._steps_of_pass(size) + self._pretraining_steps(method, size, len(real))

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
        """Train and test; arguments and result are those of :meth:`benchmarks.training.controlled.Settings.train`.

        Raises:
            ValueError: If the preset has no such method.
        """
        check_published(method)
        data = published_data(trial, experiment, method, seed, device)
        num_classes = len(experiment.classes)
        outputs = num_classes if num_classes > 2 else 1
        _, size, _, channels = trial.train.pool.shape
        model = make_network(self.model, num_classes=outputs, image_size=size, in_chans=channels).to(device)
        model.to(memory_format=torch.channels_last)
        counts, strata, layer = np.bincount(trial.train.labels), list(experiment.counts), embedding_layer(self.model)
        batches, epoch_steps = _batches(len(data), self.batch_size), self._steps_of_pass(len(data))
        pretraining_steps = self._pretraining_steps(method, len(data), len(trial.train))
        steps = pretraining_steps + self.epochs * epoch_steps
        training = Training(model, data, counts, len(strata), layer, batches, steps, seed, on_steps)
        started = time.perf_counter()
        history = pretrain(
            training,
            method,
            torch.optim.SGD(model.parameters(), lr=self.pretraining_lr),
            data.to_input,
            steps=pretraining_steps,
            batch_size=self.batch_size,
            margin=self.margin,
            num_classes=2,  # the third class goes under the second one's label
        )
        seconds = {"pretraining": time.perf_counter() - started}

        started = time.perf_counter()
        curve = Curve(trial.validation, trial.tests, strata, device, scrambled)
        objective = _LOSSES[method.loss](self, method, training).to(device)
        for point in train_epochs(
            training,
            objective,
            torch.optim.SGD(model.parameters(), lr=self.lr),
            data.to_input,
            ends=range(pretraining_steps + epoch_steps, steps + 1, epoch_steps),
        ):
            if curve.add(model, **point):
                on_best(model)
        seconds |= {"training": time.perf_counter() - started - curve.seconds, "testing": curve.seconds}
        result = {
            **curve.result(),
            "share_capped": objective.share_capped,
            "training_samples": len(data),
            "steps": steps - pretraining_steps,
            "pretraining_loss": history,
            "seconds": seconds,
        }
        return model, data, result

    def _steps_of_pass(self, size: int) -> int:
        return -(-size // self.batch_size)

    def _pretraining_steps(self, method: Method, size: int, num_real: int) -> int:
        anchors = size if method.anchors == "all" else num_real
        return self.pretraining_epochs * self._steps_of_pass(anchors) if method.is_pretrained else 0


def published_settings(num_classes: int) -> PublishedSettings:
    """Return the settings for two classes, or for more."""
    if num_classes == 2:
        return PublishedSettings()
    return PublishedSettings(lr=1e-3, pretraining_lr=1e-6, constant_cap=1.0)


def check_published(method: Method) -> None:
    """Raise a ``ValueError`` for a method that is none of the paper's."""
    if method not in (*BASELINES, *ABLATION, CLE_SMOTE, UPPER_BOUND):
        raise ValueError(f"{method.name} is none of the paper's methods: preset as_published has no settings for it.")


def published_search(method: Method) -> list[tuple[str, tuple[float, ...]]]:
    """Return what is chosen on test images for a method, and from which values."""
    return _SEARCHES.get(method.name, [])


def scrambled(images: Tensor) -> Tensor:
    """Make the network's input: float32, 0 to 255, the values of ``(N, H, W, C)`` images in the shape ``(N, C, H, W)``."""
    return images.permute(0, 2, 3, 1).reshape(images.shape).float().contiguous(memory_format=torch.channels_last)


def published_data(
    trial: Trial, experiment: Experiment, method: Method, seed: int, device: torch.device
) -> TrainingData:
    """Sample the training set of a method as the notebooks do: SMOTE computes on uint8, and images are scrambled once."""
    real, sampler, _ = sample(trial, method, experiment, seed)
    images, strata = real.images, real.strata
    if sampler is not None:
        flat, strata = sampler.fit_resample(images.reshape(len(images), -1), strata)
        images = flat.reshape(-1, *images.shape[1:])
    labels = np.array([experiment.class_of[name] for name in experiment.counts])[strata]
    return TrainingData(
        scrambled(torch.from_numpy(images).permute(0, 3, 1, 2)).to(device),
        torch.from_numpy(encode_target(labels, np.arange(len(labels)) >= len(real))).to(device),
        torch.from_numpy(strata).to(device),
        to_input=lambda inputs: inputs,
    )


def _batches(size: int, batch_size: int) -> Iterator[Tensor]:
    """Yield the indices of batches without end: pass after pass, each with a smaller batch at its end."""
    while True:
        yield from torch.randperm(size).split(batch_size)


class WeightedCrossEntropy(Objective):
    """The sum of weighted losses over the number of images, as with ``pos_weight`` of torch's binary cross-entropy."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of a batch."""
        labels, _ = decode_target(target)
        if logits.shape[1] == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], 1)
        return F.cross_entropy(logits, labels, self.weight, reduction="sum") / len(labels)


class MeanImageTracker:
    """Centroids with the defects of the notebooks; the library's tracker embeds in evaluation mode."""

    def __init__(self, model: nn.Module, layer: str | None) -> None:
        self._model, self._hook = model, EmbeddingHook(model, layer)
        self._centroids = torch.empty(0)

    @torch.no_grad()
    def refresh(self, data: TrainingSet) -> None:
        """Embed the mean image of each class, of its real images, with dropout on."""
        labels, is_synthetic = decode_target(data.target)
        classes = range(int(labels.max()) + 1)
        means = [data.images[(labels == label) & ~is_synthetic].mean(0) for label in classes]
        self._model.train()(torch.stack(means))
        self._centroids = self._hook.take().clone()

    def take_embeddings(self) -> Tensor:
        """Return the embeddings of the last forward pass."""
        return self._hook.take()

    def centroids_for(self, embeddings: Tensor, labels: Tensor, is_synthetic: Tensor) -> tuple[Tensor, Tensor]:
        """Return the centroids, with a count of 1 for each."""
        return self._centroids, torch.ones(len(self._centroids), dtype=torch.int64, device=embeddings.device)


class _PublishedCap(CappedObjective):
    def begin_epoch(self, training: Training) -> None:
        self.criterion.set_epoch(training.epoch)
        if isinstance(self.criterion.tracker, MeanImageTracker):
            self.criterion.tracker.refresh(training.data)

    def end_epoch(self) -> dict[str, float]:
        share = self.criterion.stats["share_capped"].item()
        super().end_epoch()
        return {"share_capped": share}


def _weighted(settings: PublishedSettings, method: Any, training: Training) -> Objective:
    counts = training.counts
    weight = counts.max() / counts if len(counts) > 2 else np.array([1, _POSITIVE_WEIGHT])
    return WeightedCrossEntropy(torch.as_tensor(weight, dtype=torch.float32))


def _capped(settings: PublishedSettings, method: Any, training: Training) -> Objective:
    model, layer = training.model, training.embedding_layer
    tracker: MeanImageTracker | ClassCentroidTracker | None = None
    if method.centroid == "batch":
        tracker = ClassCentroidTracker(model, len(training.counts), mode="batch", classifier=layer)
    elif method.distance is not None:
        tracker = MeanImageTracker(model, layer)
    criterion = CappedSMOTELoss(
        settings.constant_cap if method.distance is None else settings.beta,
        tracker=tracker,
        distance=method.distance,
        warmup_epochs=0 if method.is_pretrained else settings.warmup_epochs,
    )
    return _PublishedCap(criterion, None)


_LOSSES: Lookup[Callable[[PublishedSettings, Any, Training], Objective]] = Lookup(
    "loss of the notebooks",
    {
        "cross_entropy": lambda settings, method, training: WeightedCrossEntropy(torch.ones(len(training.counts))),
        "class_balanced": _weighted,
        "capped": _capped,
    },
)
