"""Tell blends from real images by the embedding: rare classes alone have blends, so what marks a blend marks the class."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Subset

from clesmote_losses.classifier import Classifier, unwrap
from clesmote_losses.embedded_images import embed_images
from clesmote_losses.embeddings import EmbeddingHook
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.transform_probe import Transform

_FOLDS, _REPEATS, _RESAMPLES = 5, 5, 500
_FEWEST = 20  # images, and blends: four of each in a fold
_C = 1e-2  # of the probe: embeddings have more columns than a class has images

Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class ClassDetectability:
    """How well blends of one class are told from its real images; ``str()`` says it in words.

    Attributes:
        label: Class index.
        images: Number of real images.
        blends: Number of blends.
        auroc, interval: Area under the ROC curve of blends of unseen parents, and its 95 % interval. 0.5 is chance.
        control, control_interval: The same with copies of the blends' first parents in the place of the blends.
        difference_interval: 95 % interval of ``auroc - control``.
    """

    label: int
    images: int
    blends: int
    auroc: float
    interval: Interval
    control: float
    control_interval: Interval
    difference_interval: Interval

    def __str__(self) -> str:
        if self.difference_interval[0] > 0:
            meaning = 'the network can learn to see blends. Compare SMOTEDataset(real_share=0.5) and SMOTEDataset(blend="all")'
        elif self.difference_interval[1] > 0.1:
            meaning = "that may be chance, and there are too few images to rule a difference out"
        else:
            meaning = "the embedding shows blends no better than copies"
        return (
            f"Class {self.label} ({self.images} images): a linear probe tells blends of unseen parents from real images with AUROC "
            f"{_number(self.auroc, self.interval)}, and copies with {_number(self.control, self.control_interval)}: {meaning}."
        )


@dataclasses.dataclass(frozen=True)
class BlendDetectability:
    """What :func:`blend_detectability` found for each class; ``str()`` is a sentence for each.

    Attributes:
        classes: Those that were measured.
        skipped: Why another blended class could not be measured, by class index.
    """

    classes: tuple[ClassDetectability, ...]
    skipped: dict[int, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        reasons = [f"Not measured: {reason}" for reason in self.skipped.values()]
        return "\n".join([*map(str, self.classes), *reasons])


def blend_detectability(
    model: nn.Module,
    train_set: SMOTEDataset,
    *,
    classes: Collection[int] | None = None,
    classifier: Classifier | None = None,
    transform: Transform | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
    seed: int = 0,
) -> BlendDetectability:
    """Measure whether blends of unseen parents can be told from real images of their class by the embedding.

    A logistic regression learns to tell the two by their embeddings, on four fifths of the real images and the blends between
    them. It is tested on the last fifth and the blends between those, so that no image and no parent is in both. All five
    fifths are tested, for five random divisions. Patients (``groups=``) are not divided. Blends are samples of the set itself,
    up to two for each real image, so partners, weights and transform are the set's own.

    The control does the same with a copy of each blend's first parent. It is near 0.5: above where the sampler prefers
    some parents (``BorderlineSMOTE``). A copy and its original are in the same fifth. Otherwise the probe would remember
    an original as real, or a copy as synthetic, and the control would be *below* 0.5.

    The interval is from 500 bootstrap samples of the tested parents, with the probes as they are. It holds the chance of
    the images, not that of a smaller training set: few images make the AUROC itself lower. States of model, set and random
    number generators stay as they were. Under ``torch.distributed`` each rank does all of it.

    Args:
        model: Network, before or after training, which may be wrapped by DDP or ``torch.compile``.
        train_set: Its current draw is looked at. Embeddings of one class are held at a time.
        classes: Class indices; by default those with synthetic samples, where a class that is too small is skipped.
        classifier: The layer whose input is the embedding, or its name; by default found as by :class:`ClassCentroidTracker`.
        transform: Replaces the set's own, which may augment.
        batch_size, num_workers: As of ``torch.utils.data.DataLoader``.
        seed: Of the divisions, the blends chosen, and augmentation.

    Raises:
        TypeError: If ``train_set`` is no :class:`SMOTEDataset`.
        ValueError: If there are no synthetic samples, or a class of ``classes=`` has under 20 images or blends, or too few of
            its blends have both parents in one fifth, or an embedding is not finite.

    Example:
        >>> base = TensorDataset(torch.rand(160, 3, 32, 32), torch.tensor([0] * 120 + [1] * 40))
        >>> model = timm.create_model("test_resnet", num_classes=2)
        >>> found = blend_detectability(model, SMOTEDataset(base))
        >>> [(one.label, one.images, one.blends) for one in found.classes]
        [(1, 40, 80)]
        >>> str(found)[:62]
        'Class 1 (40 images): a linear probe tells blends of unseen par'
    """
    if not isinstance(train_set, SMOTEDataset):
        raise TypeError(f"train_set must be a SMOTEDataset, which has the blends; got {type(train_set).__name__}.")
    view = train_set.real_subset(transform=transform).dataset
    with EmbeddingHook(unwrap(model), classifier) as hook:

        def embed(indices: NDArray[np.int64]) -> NDArray[Any]:
            loader = DataLoader(Subset(view, indices.tolist()), batch_size=batch_size, num_workers=num_workers)
            return embed_images(hook, loader, seed=seed).embeddings

        return detect_blends(train_set, embed, classes=classes, seed=seed)


def detect_blends(
    train_set: SMOTEDataset,
    embed: Callable[[NDArray[np.int64]], NDArray[Any]],
    *,
    classes: Collection[int] | None = None,
    seed: int = 0,
) -> BlendDetectability:
    """Measure what :func:`blend_detectability` measures, by embeddings that ``embed`` returns.

    Args:
        train_set: Its current draw is looked at.
        embed: Returns the embeddings of samples of the set with these indices, shape ``(N, D)``. One may be asked for twice.
        classes, seed: As there.

    Raises:
        ValueError: As there.
    """
    plan = train_set.plan
    blended = np.flatnonzero((plan.base != plan.neighbor) & (plan.lam > 0))
    is_asked = classes is not None
    classes = train_set.blended_classes if classes is None else classes
    if not classes:
        raise ValueError("the training set has no synthetic samples, so there is nothing to detect.")
    real_labels = train_set.labels[: plan.num_real]
    groups = np.arange(plan.num_real) if train_set._groups is None else train_set._groups
    found, skipped = [], {}
    for label in sorted(classes):
        rng = np.random.default_rng([seed, label])
        real, rows = np.flatnonzero(real_labels == label), blended[plan.label[blended] == label]
        rows = np.sort(rng.permutation(rows)[: 2 * len(real)])
        parents = np.stack([plan.base[rows], plan.neighbor[rows]], axis=1).astype(np.int64)
        if reason := _too_few(label, len(np.unique(groups[real])), len(rows)):
            if is_asked:
                raise ValueError(reason)
            skipped[label] = reason
            continue
        indices = np.concatenate([real, plan.num_real + rows, parents[:, 0]])
        embeddings = embed(indices)
        if bad := np.flatnonzero(~np.isfinite(embeddings).all(1)).tolist():
            raise ValueError(f"the embedding of sample {indices[bad[0]]} holds NaN or infinity, of class {label}.")
        parts = np.split(embeddings, [len(real), len(real) + len(rows)])
        found.append(_measure(label, real, parents, parts, groups, rng))
    return BlendDetectability(tuple(found), skipped)


def _too_few(label: int, images: int, blends: int) -> str:
    if min(images, blends) >= _FEWEST:
        return ""
    return (
        f"class {label} has {images} real images (or groups= of them) and {blends} blends; {_FEWEST} of each are needed, for "
        f"{_FOLDS} folds."
    )


def _measure(
    label: int,
    real: NDArray[np.int64],
    parents: NDArray[np.int64],
    parts: list[NDArray[Any]],
    groups: NDArray[Any],
    rng: np.random.Generator,
) -> ClassDetectability:
    """Cross-validate probes by parent, and resample parents for the intervals."""
    images, blends, copies = parts
    members = np.unique(np.concatenate([real, parents.ravel()]))  # of BorderlineSMOTE, some are of another class
    member_groups = np.unique(groups[members], return_inverse=True)[1]
    real_at, parents_at = np.searchsorted(members, real), np.searchsorted(members, parents)
    # how often each bootstrap sample draws a group; the first row is the data as they are
    size = int(member_groups.max()) + 1
    drawn = rng.multinomial(size, np.full(size, 1 / size), _RESAMPLES)
    weights = np.concatenate([np.ones((1, size)), drawn])[:, member_groups]
    won, possible = np.zeros((2, len(weights))), np.zeros(len(weights))
    for _ in range(_REPEATS):
        fold_of = (rng.permutation(size) % _FOLDS)[member_groups]
        for fold in range(_FOLDS):
            is_held, are_held = fold_of[real_at] == fold, fold_of[parents_at] == fold
            held, tested, learned = np.flatnonzero(is_held), are_held.all(1), ~are_held.any(1)
            if not (len(held) and tested.any() and learned.any()):
                continue
            of_real, of_blends = weights[:, real_at[held]], weights[:, parents_at[tested]].prod(2)
            for i, synthetic in enumerate((blends, copies)):
                score = _probe(images[~is_held], synthetic[learned])
                difference = score(synthetic[tested]) - score(images[held])[:, None]
                won[i] += (of_real @ (np.sign(difference) / 2 + 0.5) * of_blends).sum(1)
            possible += of_real.sum(1) * of_blends.sum(1)
    if not possible[0]:
        raise ValueError(
            f"no two parents of a blend of class {label} fell into one of {_FOLDS} folds. More synthetic samples are needed."
        )
    auroc, control = won / np.where(possible > 0, possible, np.nan)
    intervals = [_interval(values[1:]) for values in (auroc, control, auroc - control)]
    return ClassDetectability(
        label, len(real), len(blends), float(auroc[0]), intervals[0], float(control[0]), intervals[1], intervals[2]
    )


def _probe(real: NDArray[Any], synthetic: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """Learn to tell synthetic rows from real ones; return the score, which is higher for synthetic ones."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=_C, class_weight="balanced", max_iter=2000))
    probe.fit(np.concatenate([real, synthetic]).astype(np.float64), np.repeat([0, 1], [len(real), len(synthetic)]))
    score: Callable[[NDArray[Any]], NDArray[np.float64]] = probe.decision_function
    return score


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _number(value: float, interval: Interval) -> str:
    return f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"
