"""Run the synthetic samples and their parents through a trained network, and judge them as the criterion does."""

from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clesmote_losses.capped_loss import CappedSMOTELoss
from clesmote_losses.centroids import ClassCentroidTracker
from clesmote_losses.class_sums import ClassSums
from clesmote_losses.classifier import unwrap
from clesmote_losses.distributed import from_rank_0
from clesmote_losses.embedded_images import EmbeddedImages
from clesmote_losses.embeddings import EmbeddingHook
from clesmote_losses.inspection.images import (
    Rows,
    choose_real,
    count_classes,
    embed_samples,
    matching_layers,
    warn_of_random_transform,
)
from clesmote_losses.inspection.inspection import Inspection
from clesmote_losses.inspection.rule import CapRule, cap_rule, loss_options
from clesmote_losses.inspection.suspicion import LabelDoubt, doubt_accuracy, label_doubt
from clesmote_losses.inspection.wording import network_in_words
from clesmote_losses.smote.base_dataset import image_path
from clesmote_losses.smote.class_names import names_by_index
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.transform_probe import Transform

_BATCH = 64


def inspect_synthetic(
    model: nn.Module,
    train_set: SMOTEDataset,
    criterion: CappedSMOTELoss | None = None,
    *,
    tracker: ClassCentroidTracker | None = None,
    beta: float | None = None,
    distance: str | EllipsisType | None = ...,
    transform: Transform | None = None,
    class_names: Sequence[str] | None = None,
    batch_size: int | None = None,
    num_workers: int = 0,
) -> Inspection:
    """Find which synthetic samples a trained network does not trust, and which real images are doubtful.

    Every synthetic sample of the set's current draw is run once in evaluation mode, and so are the real images: all of the
    over-sampled classes, all parents, and up to 2,000 of each other class, evenly spaced. Loss, cap and distance are what
    ``criterion`` would compute for them in training, if the centroids were refreshed for the model as it is now. The
    tracker's own belong to the weights at the start of the last epoch.

    Model, criterion, set and random number generators stay as they were; a tracker on the model forgets its last forward pass.
    Only embeddings and numbers are kept in memory, no images. Under ``torch.distributed`` every rank calls it, runs its share
    and returns the whole. Needs pandas: ``pip install "clesmote-losses[report]"``.

    Args:
        model: Trained network, which may be wrapped by DDP or ``torch.compile``. It may be another one than the tracker's,
            such as an EMA copy.
        train_set: The training set.
        criterion: The loss it was trained with: its beta, distance, class weights, smoothing, logit adjustment and tracker.
        tracker: In place of the criterion's: says which layer's input is the embedding, and what a centroid is. Without
            either, the layer is found as by :class:`ClassCentroidTracker`.
        beta, distance: In place of the criterion's; ``distance=None`` is a constant cap, as in :class:`CappedSMOTELoss`. Left
            out, they are the criterion's, or without one 1.0 and ``"cosine"``.
        transform: Replaces the set's own. Pass the evaluation transform, without augmentation.
        class_names: Name of each class; by default those that the base data set has, else numbers.
        batch_size, num_workers: As of ``torch.utils.data.DataLoader``; 64 by default.

    Raises:
        ImportError: If pandas is not installed.
        TypeError: If ``train_set``, ``criterion`` or ``tracker`` is of another kind.
        ValueError: If a label is out of range, the classifier or its output is not found, or an option is wrong.

    Warns:
        UserWarning: If the transform is random: each number is that of one random version of an image.

    Example:
        >>> base = TensorDataset(torch.rand(60, 3, 32, 32), torch.tensor([0] * 40 + [1] * 20))
        >>> model = timm.create_model("test_resnet", num_classes=2)
        >>> inspection = inspect_synthetic(model, SMOTEDataset(base), beta=0.5)
        >>> inspection.table[["index", "class", "base", "neighbor"]].shape, len(inspection.suspects())
        ((20, 4), 20)
    """
    if not isinstance(train_set, SMOTEDataset):
        raise TypeError(f"train_set must be a SMOTEDataset, which has the blends; got {type(train_set).__name__}.")
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError('inspect_synthetic needs pandas: pip install "clesmote-losses[report]"') from error
    rule = cap_rule(criterion, tracker, beta, distance)
    model, plan = unwrap(model), train_set.plan
    labels, made = train_set.labels, np.flatnonzero(plan.is_synthetic)
    real, synthetic = choose_real(train_set), plan.num_real + made
    options: dict[str, Any] = {"batch_size": batch_size or _BATCH, "num_workers": num_workers}
    view = train_set.real_subset(transform=transform).dataset
    warn_of_random_transform(view, int(real[0]))
    shown, first = np.concatenate([real, synthetic]), len(real)
    try:
        with EmbeddingHook(model, matching_layers(model, rule.tracker)) as hook:
            num_classes = count_classes(hook, rule.tracker, labels)
            images = embed_samples(hook, view, shown, num_classes, options)
    finally:
        if rule.tracker is not None and rule.tracker.model is model:
            rule.tracker._hook.clear()  # these embeddings belong to no training batch
    embeddings = images.embeddings[:first]
    centroids = _mean_embeddings(embeddings, labels[real], num_classes)
    if rule.tracker is not None and rule.tracker.statistic == "mean_image":  # the images are read again for it
        with ClassCentroidTracker(model, num_classes, classifier=hook.layers, statistic="mean_image") as own:
            own.refresh(train_set, transform=transform, **options)
        centroids = centroids if own.centroids is None else own.centroids.cpu()

    losses, caps, distances, nearest = _judge(rule, images, labels[shown], centroids)
    at = np.full(plan.num_real, -1)
    at[real] = np.arange(first)
    base, neighbor = plan.base[made].astype(np.int64), plan.neighbor[made].astype(np.int64)
    capped = losses[first:] > caps[first:]
    table = pd.DataFrame(
        {
            "index": synthetic,
            "class": labels[synthetic],
            "base": base,
            "neighbor": neighbor,
            "lam": plan.lam[made],
            "loss": losses[first:],
            "cap": caps[first:],
            "capped": capped,
            "distance": distances[first:],
            "nearest_class": nearest[first:],
            "base_loss": losses[at[base]],
            "neighbor_loss": losses[at[neighbor]],
            "base_cap": caps[at[base]],
            "neighbor_cap": caps[at[neighbor]],
        }
    )
    oversampled = np.isin(labels[real], train_set.oversampled_classes)
    groups = None if train_set._groups is None else train_set._groups[real]
    doubt = from_rank_0(lambda: _doubt(embeddings, labels[real], groups))
    of_real = pd.DataFrame(
        {
            "index": real,
            "file": [image_path(train_set.base, index) for index in real.tolist()],
            "class": labels[real],
            "loss": losses[:first],
            "cap": caps[:first],
            "distance": distances[:first],
            "nearest_class": nearest[:first],
            "oversampled": oversampled,
            "capped_blends": _share_capped(base, neighbor, capped, plan.num_real)[real],
            "suspicion": np.where(oversampled, doubt.score, np.nan),
            "likely_class": np.where(oversampled, doubt.likely_class, -1),
        }
    )
    return Inspection(
        table=table,
        real=of_real,
        real_embeddings=embeddings,
        synthetic_embeddings=images.embeddings[first:],
        centroids=centroids.numpy(),
        doubt_accuracy=doubt_accuracy(doubt.likely_class, labels[real], groups),
        class_names=_names(class_names, train_set, num_classes),
        beta=rule.beta,
        distance=rule.distance,
        loss_options=loss_options(criterion),
        network=network_in_words(model),
        train_set=train_set,
        transform=transform,
        history=getattr(criterion, "history", None),
    )


def _mean_embeddings(embeddings: NDArray[np.float32], labels: Rows, num_classes: int) -> Tensor:
    """Return the centroid of each class, float32, shape ``(C, D)``; NaN for a class without images."""
    rows, index = torch.from_numpy(embeddings), torch.from_numpy(labels)
    sums = ClassSums(num_classes, rows)
    sums.add(rows, index, torch.ones_like(index, dtype=torch.bool))
    return sums.mean()


def _judge(rule: CapRule, images: EmbeddedImages, labels: Rows, centroids: Tensor) -> tuple[NDArray[Any], ...]:
    """Return loss, cap, distance and nearest other class of each row."""
    embeddings, own = torch.from_numpy(images.embeddings), torch.from_numpy(labels)
    losses, caps = rule.losses(torch.from_numpy(images.logits), own), rule.caps(embeddings, own, centroids)
    distances = rule.distances(embeddings, centroids)
    others = distances.scatter(1, own[:, None], torch.inf).nan_to_num(torch.inf, posinf=torch.inf)
    closest, nearest = others.min(1)
    nearest[closest.isinf()] = -1
    found = losses, caps, distances.gather(1, own[:, None])[:, 0], nearest
    return tuple(values.numpy() for values in found)


def _share_capped(base: Rows, neighbor: Rows, capped: NDArray[np.bool_], num_real: int) -> NDArray[np.float64]:
    """Return the share of each real image's synthetic samples that are capped, shape ``(num_real,)``; NaN without any."""
    parents = np.concatenate([base, neighbor[neighbor != base]])
    are_capped = np.concatenate([capped, capped[neighbor != base]])
    counts = np.bincount(parents, minlength=num_real)
    share = np.bincount(parents, are_capped, minlength=num_real) / np.maximum(counts, 1)
    return np.where(counts > 0, share, np.nan)


def _doubt(embeddings: NDArray[np.float32], labels: Rows, groups: NDArray[Any] | None) -> LabelDoubt:
    """Return the doubt about each label; an image whose embedding is not finite is beyond doubt wrong."""
    finite = np.isfinite(embeddings).all(1)
    doubt = LabelDoubt(np.ones(len(labels)), np.full(len(labels), -1))
    found = label_doubt(embeddings[finite], labels[finite], None if groups is None else groups[finite])
    doubt.score[finite], doubt.likely_class[finite] = found
    return doubt


def _names(given: Sequence[str] | None, train_set: SMOTEDataset, num_classes: int) -> list[str]:
    if given is None:
        given, by_index = (
            list(getattr(train_set, "classes", ())),
            names_by_index(train_set.base),
        )  # timm's sets have no classes
        return [*map(str, given), *(by_index.get(label, str(label)) for label in range(len(given), num_classes))]
    if len(given) < num_classes or isinstance(given, str):
        raise ValueError(f"class_names must hold {num_classes} names, one for each class; got {given!r}.")
    return list(map(str, given))
