"""Run the synthetic samples and their parents through a trained network, and judge them as the criterion does."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from clesmote_losses.capped_loss import CappedSMOTELoss
from clesmote_losses.centroids import ClassCentroidTracker
from clesmote_losses.class_sums import ClassSums
from clesmote_losses.classifier import num_outputs, unwrap
from clesmote_losses.distributed import from_rank_0, get_rank, get_world_size, in_step, is_sharded
from clesmote_losses.embedded_images import EmbeddedImages, embed_images, gather_images
from clesmote_losses.embeddings import EmbeddingHook
from clesmote_losses.errors import warn_user
from clesmote_losses.inspection.inspection import Inspection
from clesmote_losses.inspection.rule import CapRule, cap_rule
from clesmote_losses.inspection.suspicion import label_doubt
from clesmote_losses.inspection.wording import network_in_words
from clesmote_losses.restore import preserved_rng, random_states
from clesmote_losses.smote.base_dataset import image_path
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.transform_probe import Transform, same

_MOST = 2000  # real images of a class that is not raised
_BATCH = 64
_READINGS = 8  # of one image, to see whether its transform is random

Rows = NDArray[np.int64]


def inspect_synthetic(
    model: nn.Module,
    train_set: SMOTEDataset,
    criterion: CappedSMOTELoss | None = None,
    *,
    tracker: ClassCentroidTracker | None = None,
    beta: float | None = None,
    distance: str | None = None,
    transform: Transform | None = None,
    class_names: Sequence[str] | None = None,
    batch_size: int | None = None,
    num_workers: int = 0,
) -> Inspection:
    """Find which synthetic samples a trained network does not trust, and which real images are doubtful.

    Every synthetic sample of the set's current draw is run once in evaluation mode, and so are the real images: all of the
    raised classes, all parents, and up to 2,000 of each other class, evenly spaced. Loss, cap and distance are what
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
        beta, distance: In place of the criterion's. Without a criterion they are 1.0 and ``"cosine"``.
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
    real, synthetic = _real_images(train_set), plan.num_real + made
    options: dict[str, Any] = {"batch_size": batch_size or _BATCH, "num_workers": num_workers}
    view = train_set.real_subset(transform=transform).dataset
    _warn_of_random(view, int(real[0]))
    with EmbeddingHook(model, _layers(model, rule.tracker)) as hook:
        num_classes = _num_classes(hook, rule, labels)
        images = _embed(hook, view, np.concatenate([real, synthetic]), num_classes, options)
        centroids = _centroids(hook, rule, images, labels[real], train_set, transform, options)
    if rule.tracker is not None and rule.tracker.model is model:
        rule.tracker._hook.clear()  # these embeddings belong to no training batch

    shown = np.concatenate([real, synthetic])
    losses, caps, distances, nearest = _judge(rule, images, labels[shown], centroids)
    at = np.full(plan.num_real, -1)
    at[real] = np.arange(len(real))
    base, neighbor = plan.base[made].astype(np.int64), plan.neighbor[made].astype(np.int64)
    first = len(real)
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
    raised = np.isin(labels[real], train_set.oversampled_classes)
    embeddings = images.embeddings[:first]
    doubt = from_rank_0(lambda: _doubt(embeddings, labels[real], train_set._groups, real))
    of_real = pd.DataFrame(
        {
            "index": real,
            "file": [image_path(train_set.base, index) for index in real.tolist()],
            "class": labels[real],
            "loss": losses[:first],
            "cap": caps[:first],
            "distance": distances[:first],
            "nearest_class": nearest[:first],
            "raised": raised,
            "capped_blends": _share_capped(base, neighbor, capped, plan.num_real)[real],
            "suspicion": np.where(raised, doubt, np.nan),
        }
    )
    return Inspection(
        table=table,
        real=of_real,
        real_embeddings=embeddings,
        synthetic_embeddings=images.embeddings[first:],
        centroids=centroids.numpy(),
        known=~np.isnan(centroids.numpy()).any(1),
        class_names=_names(class_names, train_set, num_classes),
        beta=rule.beta,
        distance=rule.distance,
        network=network_in_words(model),
        train_set=train_set,
        transform=transform,
        history=getattr(criterion, "history", None),
    )


def _real_images(train_set: SMOTEDataset) -> Rows:
    """Return the real images to run, ascending: of raised classes and parents all, of each other class evenly spaced ones."""
    plan = train_set.plan
    labels = train_set.labels[: plan.num_real]
    chosen = [plan.base.astype(np.int64), plan.neighbor.astype(np.int64)]
    for label in np.unique(labels).tolist():
        own = np.flatnonzero(labels == label)
        if label not in train_set.oversampled_classes and len(own) > _MOST:
            own = own[np.linspace(0, len(own) - 1, _MOST).astype(int)]
        chosen.append(own)
    return np.unique(np.concatenate(chosen))


def _warn_of_random(view: Any, index: int) -> None:
    with preserved_rng():
        before, first = random_states(), view[index][0]
        is_random = random_states() != before
        is_random = is_random or not all(same(first, view[index][0]) for _ in range(_READINGS - 1))
    if is_random:
        warn_user(
            "the transform draws random numbers, so that each loss is that of one random version of its image. Pass transform=, the "
            "evaluation transform, without augmentation."
        )


def _layers(model: nn.Module, tracker: ClassCentroidTracker | None) -> list[nn.Module] | None:
    """Return the layers that the tracker reads, in this model; they have the same names in a copy of its model."""
    if tracker is None:
        return None
    names = {layer: name for name, layer in tracker.model.named_modules()}
    own, wanted = dict(model.named_modules()), [names[layer] for layer in tracker._hook.layers]
    if missing := [name for name in wanted if name not in own]:
        raise ValueError(
            f"the tracker reads the layer {missing[0]!r} of {type(tracker.model).__name__}, and {type(model).__name__} has none. Pass the "
            "tracked model or a copy of it, or tracker=ClassCentroidTracker(model, num_classes)."
        )
    return [own[name] for name in wanted]


def _num_classes(hook: EmbeddingHook, rule: CapRule, labels: Rows) -> int:
    if rule.tracker is not None:
        count = rule.tracker.num_classes
    else:
        count = max(2, num_outputs(hook.layers[0]) or int(labels.max()) + 1)
    if labels.max() >= count:
        raise ValueError(
            f"label {labels.max()} is out of range for the {count} classes of the model: labels must be 0 ... {count - 1}. Is the "
            "training set that of this model?"
        )
    return count


def _embed(hook: EmbeddingHook, view: Any, indices: Rows, num_classes: int, options: dict[str, Any]) -> EmbeddedImages:
    """Embed samples, each rank its share; return those of all ranks, in order."""
    share = indices[get_rank() :: get_world_size()]
    loader: Any = DataLoader(Subset(view, share.tolist()), **options)
    loader = tqdm(loader, desc="Inspecting images", delay=5, leave=False, disable=get_rank() != 0)
    width = 1 if num_classes == 2 and num_outputs(hook.layers[0]) == 1 else num_classes
    own = embed_images(hook, in_step(loader) if is_sharded(hook.model) else loader, width, seed=0)
    images = gather_images(EmbeddedImages(*(rows[: len(share)] for rows in own)))
    if images.logits.shape[1] != width:
        raise ValueError(
            f"the model returns no tensor of logits of shape (N, {width}), so there is no loss to look at. Pass "
            "tracker=ClassCentroidTracker(model, num_classes) with the number of classes of its output."
        )
    return images


def _centroids(
    hook: EmbeddingHook,
    rule: CapRule,
    images: EmbeddedImages,
    labels: Rows,
    train_set: SMOTEDataset,
    transform: Transform | None,
    options: dict[str, Any],
) -> Tensor:
    """Return the centroids of this model, float32, shape ``(C, D)``; NaN for a class without images."""
    count = rule.tracker.num_classes if rule.tracker else images.logits.shape[1]
    count = max(2, count)
    if rule.tracker is not None and rule.tracker.statistic == "mean_image":  # the images are read again for it
        with ClassCentroidTracker(hook.model, count, classifier=hook.layers, statistic="mean_image") as own:
            own.refresh(train_set, transform=transform, **options)
        if own.centroids is not None:
            return own.centroids.cpu()
    rows = torch.from_numpy(images.embeddings[: len(labels)])
    sums, index = ClassSums(count, rows), torch.from_numpy(labels)
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


def _doubt(embeddings: NDArray[np.float32], labels: Rows, groups: Any, real: Rows) -> NDArray[np.float64]:
    """Return the doubt about each label; an image whose embedding is not finite is beyond doubt wrong."""
    finite = np.isfinite(embeddings).all(1)
    doubt = np.ones(len(labels))
    doubt[finite] = label_doubt(embeddings[finite], labels[finite], None if groups is None else groups[real][finite])
    return doubt


def _names(given: Sequence[str] | None, train_set: SMOTEDataset, num_classes: int) -> list[str]:
    if given is None:
        try:
            given = train_set.classes
        except AttributeError:
            given = []
        return [*map(str, given), *map(str, range(len(given), num_classes))]
    if len(given) < num_classes or isinstance(given, str):
        raise ValueError(f"class_names must hold {num_classes} names, one for each class; got {given!r}.")
    return list(map(str, given))
