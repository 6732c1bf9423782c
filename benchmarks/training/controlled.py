"""The preset ``correct``: the paper's text on sound data, under one budget of optimizer steps for all methods."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE, RandomOverSampler
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.data.experiments import Experiment
from benchmarks.data.source import Images
from benchmarks.data.trials import LabelledImages, Trial
from benchmarks.methods.losses import LDAMLoss, StratumCappedLoss, make_loss, use_cosine_classifier
from benchmarks.methods.networks import CONVNET, embedding_layer, make_network
from benchmarks.methods.registry import SYNTHETIC, Method
from benchmarks.training.augmentation import Augmentation, augment
from benchmarks.training.evaluation import Curve, on_device, take, to_input
from benchmarks.training.pretraining import pretrain
from clesmote_losses import (
    CappedSMOTELoss,
    ClassCentroidTracker,
    SMOTEDataset,
    decode_target,
    encode_target,
)

_PRETRAINING_SHARE = 0.2  # of the steps
_PROBED = 2000  # synthetic images that a beta by share is chosen by
_BATCH = 256  # without gradients


@dataclass(frozen=True)
class Settings:
    """What all methods have in common, so that they differ in nothing but the method.

    Attributes:
        model: ``convnet``, or timm's name of a network, which starts from random weights.
        steps: Optimizer steps of a run, whatever the method; those of a pretraining are among them.
        epochs: Parts of the training of equally many steps; at the end of each the network is scored.
        batch_size: Images in a step.
        lr: Learning rate of AdamW at the start; it falls to 0 along a cosine.
        weight_decay: Of AdamW.
        augmentation: Of training images; see :func:`benchmarks.training.augmentation.augment`.
        amp: Train under autocast to bfloat16.
        channels_last: Memory layout of the network.
        validate: Hold out images to choose the epoch by; else the last one counts.
        protocol: Raised when what a run does changes, so that results of before are not taken for results of now.
    """

    model: str = CONVNET
    steps: int = 1200
    epochs: int = 15
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.05
    augmentation: Augmentation = "shift_flip"
    amp: bool = False
    channels_last: bool = True
    validate: bool = True
    protocol: int = 1
    preset: Literal["correct"] = "correct"


@dataclass(frozen=True)
class TrainingData:
    """What a method trains on.

    Attributes:
        images: uint8, shape ``(N, C, H, W)``, on the device if they fit there.
        target: Encoded by :func:`clesmote_losses.encode_target`, shape ``(N,)``, on the device.
        strata: Of each image, shape ``(N,)``, on the device.
        dataset: Where synthetic images come from.
    """

    images: Tensor
    target: Tensor
    strata: Tensor
    dataset: SMOTEDataset | None = None

    def redraw(self, epoch: int) -> None:
        """Replace the synthetic images by a new draw."""
        assert self.dataset is not None
        self.dataset.set_epoch(epoch)
        images = _synthetic_images(self.dataset)
        self.images[len(self.images) - len(images) :] = on_device(images, self.images.device)

    def real_batches(self, by_stratum: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """Real images of the over-sampled classes, for centroids: of each class, or of each stratum."""
        labels, is_synthetic = decode_target(self.target)
        groups = self.strata if by_stratum else labels
        wanted = torch.isin(groups, groups[is_synthetic]) & ~is_synthetic
        for chosen in wanted.nonzero()[:, 0].split(_BATCH):
            yield to_input(take(self.images, chosen)), groups[chosen]


def training_data(
    trial: Trial, method: Method, experiment: Experiment, seed: int, device: torch.device
) -> TrainingData:
    """Sample the imbalanced training set as the method has it."""
    part: LabelledImages = trial.balanced if method.data == "balanced" else trial.train
    images, labels, strata = part.images, part.labels, part.strata
    is_synthetic: NDArray[np.bool_] | bool = False
    counts = np.bincount(strata, minlength=len(experiment.counts)).tolist()
    raised = experiment.raised(dict(zip(experiment.counts, counts, strict=True)))
    aims = {i: aim for i, (aim, count) in enumerate(zip(raised.values(), counts, strict=True)) if aim > count}
    dataset = None
    if method.data == "oversampled" and aims:
        sampler = RandomOverSampler(sampling_strategy=aims, random_state=seed)
        places = sampler.fit_resample(np.arange(len(strata))[:, None], strata)[0][:, 0]
        images, labels, strata = images[places], labels[places], strata[places]
    elif method.data in SYNTHETIC:
        options = {"sampling_strategy": aims, "random_state": seed}
        sampler = {
            "smote": SMOTE(k_neighbors=5, **options),
            "borderline-smote": BorderlineSMOTE(k_neighbors=5, **options),
            "adasyn": ADASYN(n_neighbors=5, **options),
        }[method.data]
        dataset = SMOTEDataset(
            Images(images, labels),
            sampler=sampler,
            strata=strata,
            small_class="shrink_k",
            redraw="epoch" if method.redraw else "never",
            device=device,
        )
        plan = dataset.plan
        images = np.concatenate([images, _synthetic_images(dataset)])
        labels, is_synthetic = dataset.labels, dataset.is_synthetic
        strata = np.concatenate([strata, strata[plan.base]])
    return TrainingData(
        on_device(images, device),
        torch.from_numpy(encode_target(labels, is_synthetic)).to(device),
        torch.from_numpy(strata).to(device),
        dataset,
    )


def _synthetic_images(dataset: SMOTEDataset) -> NDArray[np.uint8]:
    real = len(dataset) - int(dataset.is_synthetic.sum())
    shape = dataset.raw_image(0).shape
    images = np.empty((len(dataset) - real, *shape), dtype=np.uint8)
    for row, index in zip(images, range(real, len(dataset)), strict=True):
        row[:] = dataset[index][0]
    return images


def run_correct(
    trial: Trial,
    experiment: Experiment,
    method: Method,
    settings: Settings,
    seed: int,
    *,
    device: torch.device,
    on_steps: Callable[[int], object] = lambda steps: None,
    on_best: Callable[[nn.Module], object] = lambda model: None,
) -> tuple[nn.Module, TrainingData, dict[str, Any]]:
    """Train and test. Weights and batches are drawn from torch's global generator, which the caller seeds.

    Args:
        trial: The images.
        experiment: What they are of.
        method: What is done against the imbalance.
        settings: What all methods have in common.
        seed: Of the sampling.
        device: Where it runs.
        on_steps: Called with the number of optimizer steps made since the last call.
        on_best: Called with the network whenever it is the best so far on the validation images.

    Returns:
        The network, what it was trained on, and what :meth:`Curve.result` gives with the share of synthetic samples
        capped, steps and times.
    """
    model = make_network(
        settings.model,
        num_classes=len(experiment.classes),
        image_size=trial.train.pool.shape[1],
        in_chans=trial.train.pool.shape[3],
    )
    model.to(device)
    if settings.channels_last:
        model.to(memory_format=torch.channels_last)
    if method.loss == "ldam_drw":
        use_cosine_classifier(model)
    started = time.perf_counter()
    data = training_data(trial, method, experiment, seed, device)
    seconds = {"sampling": time.perf_counter() - started}
    started = time.perf_counter()
    augmentation: Augmentation = method.augmentation or settings.augmentation
    pretraining_steps, history = _pretrain(model, data, method, settings, augmentation, seed, on_steps)
    seconds["pretraining"] = time.perf_counter() - started

    started = time.perf_counter()
    curve = Curve(trial.validation, trial.tests, list(experiment.counts), device)
    groups = len(experiment.counts) if method.centroid == "stratum" else len(experiment.classes)
    tracker = None
    if method.loss == "capped" and method.distance is not None:
        mode = "epoch" if method.centroid == "stratum" else method.centroid
        tracker = ClassCentroidTracker(model, groups, mode=mode, classifier=embedding_layer(settings.model))
    criterion = make_loss(method, np.bincount(trial.train.labels), tracker).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps - pretraining_steps)
    batches = _batches(len(data.images), settings.batch_size)
    step = pretraining_steps
    synthetic = capped = 0.0
    marks = [settings.steps * (i + 1) // settings.epochs for i in range(settings.epochs)]
    for epoch, mark in enumerate(mark for mark in marks if mark > pretraining_steps):
        if method.redraw:
            data.redraw(epoch)
        if tracker is not None:
            tracker.refresh(data.real_batches(method.centroid == "stratum"))
        if isinstance(criterion, CappedSMOTELoss):
            criterion.set_epoch(epoch)
            if method.target_share is not None:
                criterion.beta = _beta_by_share(model, data, criterion, method.target_share)
        model.train()
        losses = []
        while step < mark:
            chosen = next(batches).to(device)
            if isinstance(criterion, LDAMLoss):
                criterion.set_progress(step / settings.steps)
            if isinstance(criterion, StratumCappedLoss):
                criterion.strata = data.strata[chosen]
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.amp):
                logits = model(augment(take(data.images, chosen), augmentation))
                loss = criterion(logits, data.target[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
            on_steps(1)
            step += 1
        point: dict[str, Any] = {"step": step, "loss": torch.stack(losses).mean().item()}
        if isinstance(criterion, CappedSMOTELoss | StratumCappedLoss):
            stats = {name: value.item() for name, value in criterion.stats.items()}
            synthetic, capped = synthetic + stats["synthetic"], capped + stats["capped"]
            point |= {"share_capped": stats["capped"] / max(stats["synthetic"], 1), "beta": criterion.beta}
            criterion.reset_stats()
        if curve.add(model, **point):
            on_best(model)
    seconds |= {"training": time.perf_counter() - started - curve.seconds, "testing": curve.seconds}
    return (
        model,
        data,
        {
            **curve.result(),
            "share_capped": capped / synthetic if synthetic else None,
            "training_samples": len(data.images),
            "synthetic_samples": int(decode_target(data.target)[1].sum()),
            "steps": settings.steps,
            "pretraining_steps": pretraining_steps,
            "pretraining_loss": history,
            "seconds": seconds,
        },
    )


def _batches(size: int, batch_size: int) -> Iterator[Tensor]:
    """Indices of batches without end: pass after pass over all images in a new order."""
    left = torch.empty(0, dtype=torch.int64)
    while True:
        while len(left) < batch_size:
            left = torch.cat([left, torch.randperm(size)])
        yield left[:batch_size]
        left = left[batch_size:]


def _pretrain(
    model: nn.Module,
    data: TrainingData,
    method: Method,
    settings: Settings,
    augmentation: Augmentation,
    seed: int,
    on_steps: Callable[[int], object],
) -> tuple[int, list[float]]:
    """Stage 2; gives its steps and its losses."""
    if method.pretraining == "none":
        return 0, []
    steps = round(_PRETRAINING_SHARE * settings.steps)
    labels, is_synthetic = decode_target(data.target)
    history = pretrain(
        model,
        lambda chosen: augment(take(data.images, chosen), augmentation),
        labels.cpu().numpy(),
        is_synthetic.cpu().numpy(),
        method,
        torch.optim.AdamW(model.parameters(), lr=method.pretraining_lr, weight_decay=settings.weight_decay, fused=True),
        steps=steps,
        batch_size=settings.batch_size,
        margin=method.margin,
        layer=embedding_layer(settings.model),
        seed=seed,
        on_steps=on_steps,
    )
    return steps, history


@torch.no_grad()
def losses_and_embeddings(
    model: nn.Module, data: TrainingData, tracker: ClassCentroidTracker, places: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy, shape ``(N,)``, and embeddings, shape ``(N, D)``, of some images in evaluation mode, not augmented."""
    model.eval()
    labels, _ = decode_target(data.target)
    losses, embeddings = [], []
    for chosen in places.split(_BATCH):
        logits = model(to_input(take(data.images, chosen)))
        losses.append(F.cross_entropy(logits, labels[chosen], reduction="none"))
        embeddings.append(tracker.take_embeddings())
    return torch.cat(losses), torch.cat(embeddings)


def _beta_by_share(model: nn.Module, data: TrainingData, criterion: CappedSMOTELoss, share: float) -> float:
    """The beta at which the share of synthetic images is over the cap.

    A cap of beta / distance is under the loss where loss x distance is over beta, so beta is a quantile of that.
    """
    labels, is_synthetic = decode_target(data.target)
    places = is_synthetic.nonzero()[:, 0]
    places = places[torch.randperm(len(places))[:_PROBED].to(places.device)]
    tracker = criterion.tracker
    assert isinstance(tracker, ClassCentroidTracker)
    if tracker.centroids is None:  # nothing is over-sampled
        return criterion.beta
    losses, embeddings = losses_and_embeddings(model, data, tracker, places)
    similarity = F.cosine_similarity(embeddings.float(), tracker.centroids[labels[places]])
    return max(float((losses * (1 - similarity)).quantile(1 - share)), 1e-6)
