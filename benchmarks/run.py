"""One run: a network trained on one experiment by one method with one seed, and what came of it."""

import copy
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import numpy as np
import timm
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, Subset

from benchmarks.datasets import Experiment, Images, to_input
from benchmarks.methods import Method, criterion, training_set
from benchmarks.results import Record, run_id
from clesmote_losses import (
    CappedSMOTELoss,
    ClassCentroidTracker,
    SMOTEDataset,
    TripletPretrainer,
    cosine_cap,
    decode_target,
)
from clesmote_losses.rng import preserved_rng

Arrays = dict[str, NDArray[Any]]
_PICTURED = 10  # synthetic images kept with their parents


@dataclass(frozen=True)
class Settings:
    """What all methods have in common, so that they differ in nothing but the method.

    Attributes:
        model: timm's name of the network, which starts from random weights.
        epochs: Of the training; each has as many steps for every method, see :func:`steps_per_epoch`.
        batch_size: Images in a step.
        lr: Learning rate of AdamW at the start; it falls to 0 along a cosine.
        weight_decay: Of AdamW.
    """

    model: str = "test_resnet"
    epochs: int = 8
    batch_size: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.05


def configuration(experiment: dict[str, Any], method: Method, settings: Settings, seed: int) -> dict[str, Any]:
    """All that the result of a run depends on, but for versions of the software, as plain values."""
    return {"experiment": experiment, "method": asdict(method), "settings": asdict(settings), "seed": seed}


def steps_per_epoch(experiment: Experiment, settings: Settings) -> int:
    """Optimizer steps that go once through the classes when all are as large as the largest, whatever the method has."""
    return -(-len(experiment.classes) * max(experiment.counts) // settings.batch_size)


def make_model(settings: Settings, experiment: Experiment) -> nn.Module:
    """The untrained network.

    Raises:
        ValueError: If timm does not know it, or it does not take the experiment's images.
    """
    if not timm.is_model(settings.model):
        near = (timm.list_models(f"*{settings.model}*") or timm.list_models("test_*"))[:8]
        raise ValueError(
            f"timm has no model {settings.model!r}; it has {', '.join(near)}, and more (timm.list_models())."
        )
    model = timm.create_model(settings.model, num_classes=len(experiment.classes))
    size = experiment.image_size
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, 3, size, size))
    except Exception as error:
        raise ValueError(
            f"{settings.model} does not take images of {size}x{size}: {error} Another --image-size or --model may do."
        ) from error
    return model.train()


def run(
    experiment: Experiment,
    method: Method,
    settings: Settings,
    seed: int,
    *,
    on_steps: Callable[[int], object] = lambda steps: None,
    show_pretraining: bool = False,
) -> tuple[Record, Arrays]:
    """Train and test.

    The seed draws the training images, the weights at the start, the order and the augmentation; the first two are the same for
    all methods. The global random number generators are left as they were.

    Args:
        experiment: The data.
        method: What is done against the imbalance.
        settings: What all methods have in common.
        seed: Of everything random.
        on_steps: Called with the number of optimizer steps made since the last call.
        show_pretraining: Show a progress bar for the pretraining.

    Returns:
        What goes into a JSON line, and arrays: ``scores`` and ``labels`` of the test images at the end; for a capped
        loss also what :func:`_judged` found.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seconds = {"pretraining": 0.0, "training": 0.0, "testing": 0.0}
    with preserved_rng(seed=seed):
        model = make_model(settings, experiment).to(device)
        train_set = training_set(method, experiment.draw(seed), seed)
        steps = steps_per_epoch(experiment, settings)
        sampler = RandomSampler(cast(Any, train_set), num_samples=steps * settings.batch_size)
        loader = DataLoader(train_set, batch_size=settings.batch_size, sampler=sampler)

        started = time.perf_counter()
        pretraining: list[dict[str, float]] = []
        if method.pretraining_epochs:
            assert isinstance(train_set, SMOTEDataset)
            pretraining = TripletPretrainer(model).fit(
                train_set,
                epochs=method.pretraining_epochs,
                batch_size=settings.batch_size,
                seed=seed,
                progress=show_pretraining,
            )
            on_steps(pretraining_steps(experiment, method, settings))
        seconds["pretraining"] = time.perf_counter() - started

        tracker = ClassCentroidTracker(model, len(experiment.classes)) if method.loss == "capped" else None
        loss_of = criterion(method, experiment.counts, tracker).to(device)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps * settings.epochs)
        curve: list[dict[str, Any]] = []
        synthetic = capped = 0
        for epoch in range(settings.epochs):
            started = time.perf_counter()
            if tracker is not None:
                tracker.refresh(train_set, transform=to_input)
            loss = _train_epoch(model, loader, loss_of, optimizer, schedule, on_steps)
            point: dict[str, Any] = {"epoch": epoch + 1, "loss": loss}
            if isinstance(loss_of, CappedSMOTELoss):
                stats = loss_of.stats
                synthetic += int(stats["synthetic"])
                capped += int(stats["capped"])
                point["share_capped"] = stats["share_capped"].item()
                loss_of.reset_stats()
            seconds["training"] += time.perf_counter() - started
            started = time.perf_counter()
            scores = predict(model, experiment.test)
            point["auroc"] = auroc(experiment.test.labels, scores)
            curve.append(point)
            seconds["testing"] += time.perf_counter() - started

        arrays: Arrays = {"scores": scores, "labels": experiment.test.labels}
        if tracker is not None:
            assert isinstance(train_set, SMOTEDataset)
            assert method.beta is not None
            with tracker:
                arrays.update(_judged(model, tracker, train_set, method.beta))
    config = configuration(experiment.description, method, settings, seed)
    record = {
        "id": run_id(config),
        "config": config,
        "auroc": curve[-1]["auroc"],
        "share_capped": capped / synthetic if synthetic else None,
        "training_samples": len(cast(Any, train_set)),
        "steps": steps * settings.epochs,
        "pretraining_steps": pretraining_steps(experiment, method, settings),
        "pretraining": pretraining,
        "curve": curve,
        "environment": environment(device),
        "seconds": {part: round(spent, 2) for part, spent in seconds.items()},
    }
    return record, arrays


def _train_epoch(
    model: nn.Module,
    loader: "DataLoader[Any]",
    loss_of: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    on_steps: Callable[[int], object],
) -> float:
    """Mean loss over the steps of an epoch."""
    device = next(model.parameters()).device
    model.train()
    losses = []
    for images, target in loader:
        loss = loss_of(model(images.to(device)), target.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
        on_steps(1)
    return torch.stack(losses).mean().item()


def pretraining_steps(experiment: Experiment, method: Method, settings: Settings) -> int:
    """Steps of triplets: every image of the set balanced by SMOTE is an anchor once an epoch."""
    return method.pretraining_epochs * steps_per_epoch(experiment, settings)


@torch.inference_mode()
def predict(model: nn.Module, images: Images) -> NDArray[np.float64]:
    """Probability of each class, float64, shape ``(N, C)``. The model is left in evaluation mode."""
    device = next(model.parameters()).device
    model.eval()
    parts = [model(batch.to(device)).double().softmax(1).cpu() for batch, _ in DataLoader(images, batch_size=256)]
    return torch.cat(parts).numpy()


def auroc(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """Area under the ROC curve: of class 1 for two classes, else the mean over one class against the rest.

    Raises:
        RuntimeError: If a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise RuntimeError("the network's scores are not finite: its training has diverged. Lower the learning rate.")
    if scores.shape[1] == 2:
        return float(roc_auc_score(labels, scores[:, 1]))
    return float(roc_auc_score(labels, scores, multi_class="ovr", average="macro"))


@torch.no_grad()
def _judged(model: nn.Module, tracker: ClassCentroidTracker, train_set: SMOTEDataset, beta: float) -> Arrays:
    """Cross-entropy and cap of every synthetic image for the trained network, and the images that used most of their cap.

    Without augmentation and in evaluation mode, so neither chance nor the other images of a batch have a say.
    """
    device = next(model.parameters()).device
    tracker.refresh(train_set, transform=to_input)
    model.eval()
    view = copy.copy(train_set)
    view.transform = to_input
    places = np.flatnonzero(train_set.is_synthetic)
    losses, caps = [], []
    for images, target in DataLoader(Subset(view, places.tolist()), batch_size=256):
        labels, is_synthetic = (part.to(device) for part in decode_target(target))
        losses.append(F.cross_entropy(model(images.to(device)), labels, reduction="none").cpu())
        centroids, _ = tracker.centroids_for(tracker.embeddings, labels, is_synthetic)
        caps.append(cosine_cap(tracker.embeddings, labels, centroids, beta).cpu())
    loss, cap = torch.cat(losses).numpy(), torch.cat(caps).numpy()
    shown = np.argsort(-loss / cap, kind="stable")[:_PICTURED]
    view.transform = None
    plan = train_set.plan
    return {
        "synthetic_loss": loss,
        "synthetic_cap": cap,
        "shown": shown,
        "shown_lam": plan.lam[shown],
        "shown_label": plan.label[shown],
        "shown_base": np.stack([train_set.raw_image(int(i)) for i in plan.base[shown]]),
        "shown_synthetic": np.stack([view[int(places[i])][0] for i in shown]),
        "shown_neighbor": np.stack([train_set.raw_image(int(i)) for i in plan.neighbor[shown]]),
    }


def environment(device: torch.device) -> dict[str, str | int]:
    """Versions of what a result may depend on."""
    found: dict[str, str | int] = {}
    for name in ("clesmote-losses", "torch", "timm", "imbalanced-learn", "scikit-learn", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a checkout that is not installed
            found[name] = "not installed"
    return {**found, "device": device.type, "threads": torch.get_num_threads(), "cpus": os.cpu_count() or 0}
