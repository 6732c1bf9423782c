"""The images of an inspection: which real ones are run, by which layers they are embedded, and the running."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from clesmote_losses.centroids import ClassCentroidTracker
from clesmote_losses.classifier import num_outputs
from clesmote_losses.distributed import get_rank, get_world_size, in_step, is_sharded
from clesmote_losses.embedded_images import EmbeddedImages, embed_images, gather_images
from clesmote_losses.embeddings import EmbeddingHook
from clesmote_losses.errors import warn_user
from clesmote_losses.restore import preserved_rng, random_states
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.transform_probe import same

_MOST = 2000  # real images of a class that is not over-sampled
_READINGS = 8  # of one image, to see whether its transform is random

Rows = NDArray[np.int64]


def choose_real(train_set: SMOTEDataset) -> Rows:
    """Return the real images to run, ascending: all of over-sampled classes and parents, some of each other class."""
    plan = train_set.plan
    labels = train_set.labels[: plan.num_real]
    chosen = [plan.base.astype(np.int64), plan.neighbor.astype(np.int64)]
    for label in np.unique(labels).tolist():
        own = np.flatnonzero(labels == label)
        if label not in train_set.oversampled_classes and len(own) > _MOST:
            own = own[np.linspace(0, len(own) - 1, _MOST).astype(int)]
        chosen.append(own)
    return np.unique(np.concatenate(chosen))


def warn_of_random_transform(view: Any, index: int) -> None:
    """Warn if an image of a data set is another when it is read again, or reading it draws random numbers."""
    with preserved_rng():
        before, first = random_states(), view[index][0]
        is_random = random_states() != before
        is_random = is_random or not all(same(first, view[index][0]) for _ in range(_READINGS - 1))
    if is_random:
        warn_user(
            "the transform draws random numbers, so that each loss is that of one random version of its image. Pass transform=, the "
            "evaluation transform, without augmentation."
        )


def matching_layers(model: nn.Module, tracker: ClassCentroidTracker | None) -> list[nn.Module] | None:
    """Return the layers that the tracker reads, in this model; they have the same names in a copy of its model.

    Raises:
        ValueError: If the model has none of that name.
    """
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


def count_classes(hook: EmbeddingHook, tracker: ClassCentroidTracker | None, labels: Rows) -> int:
    """Return the number of classes of the model: as the tracker says, or its classifier; at least 2.

    Raises:
        ValueError: If a label is out of range.
    """
    count = max(2, num_outputs(hook.layers[0]) or int(labels.max()) + 1) if tracker is None else tracker.num_classes
    if labels.max() >= count:
        raise ValueError(
            f"label {labels.max()} is out of range for the {count} classes of the model: labels must be 0 ... {count - 1}. Is the "
            "training set that of this model?"
        )
    return count


def embed_samples(
    hook: EmbeddingHook, view: Any, indices: Rows, num_classes: int, options: dict[str, Any]
) -> EmbeddedImages:
    """Embed samples, each rank its share; return those of all ranks, in order.

    Args:
        hook: Hook of the model.
        view: The data set, with the transform to use.
        indices: Of the samples in it.
        num_classes: As :func:`count_classes` gives it.
        options: Of the loader.

    Raises:
        ValueError: If the model returns no logits.
    """
    share = indices[get_rank() :: get_world_size()]
    loader: Any = DataLoader(Subset(view, share.tolist()), **options)
    loader = tqdm(loader, desc="Inspecting images", delay=5, leave=False, disable=get_rank() != 0)
    widths = (2, 1) if num_classes == 2 else (num_classes,)
    own = embed_images(hook, in_step(loader) if is_sharded(hook.model) else loader, widths, seed=0)
    images = gather_images(EmbeddedImages(*(rows[: len(share)] for rows in own)))
    if not images.logits.shape[1]:
        raise ValueError(
            f"the model returns no tensor of logits of shape (N, {num_classes}), so there is no loss to look at. Pass "
            "tracker=ClassCentroidTracker(model, num_classes) with the number of classes of its output."
        )
    return images
