"""Build what every host needs from the options: training set, pretraining, loss and tracker, files of a run."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import IterableDataset

from clesmote_losses.capped_loss import CappedSMOTELoss
from clesmote_losses.centroid_state import read_centroids, write_centroids
from clesmote_losses.centroids import ClassCentroidTracker
from clesmote_losses.distributed import from_rank_0
from clesmote_losses.errors import Argument, ArgumentError
from clesmote_losses.hosts.options import Options
from clesmote_losses.hosts.strata_file import read_groups
from clesmote_losses.smote.class_names import class_to_index, differing_classes, names_by_index
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.labels import find_labels
from clesmote_losses.smote.plan import SMOTEPlan
from clesmote_losses.smote.samplers import make_sampler
from clesmote_losses.smote.transform_probe import Transform
from clesmote_losses.triplet_pretrainer import TripletPretrainer

PLAN_FILE = "smote-plan.safetensors"  # in the folder of a run
_WORDS = ("minority", "not minority", "not majority", "all", "auto")  # of imbalanced-learn's sampling_strategy
_logger = logging.getLogger(__name__)


def training_set(
    base: Any, options: Options, *, num_classes: int | None = None, resumed_plan: Path | None = None
) -> SMOTEDataset:
    """Add to a data set the synthetic samples that the options ask for.

    Under ``torch.distributed`` rank 0 reads the images and makes the plan, and sends it to the others.

    Args:
        base: Map-style data set of ``(image, label)``.
        options: Options of the method.
        num_classes: Number of classes of the model; ``None`` if it is not known yet.
        resumed_plan: Plan file of the run that is resumed, if there is one.

    Raises:
        TypeError, ValueError, RuntimeError: As in :class:`SMOTEDataset`, and if a file does not fit the data set.
    """
    if isinstance(base, IterableDataset):
        raise TypeError(
            f"{type(base).__name__} is read as a stream, but a synthetic sample needs two images by index. Use an image folder."
        )
    labels = find_labels(base)
    if num_classes is not None and labels.max(initial=0) >= num_classes:
        raise ArgumentError(
            "num_classes",
            f"the training set has classes up to {labels.max()}{_class_names(base)}, and the model num_classes={num_classes}. Is a "
            "folder misspelt, or is ",
            Argument("num_classes"),
            " too small?",
        )
    strata = None if options.smote_strata is None else read_groups(options.smote_strata, base)
    common: dict[str, Any] = {
        "sampler": _sampler(options, base, labels if strata is None else strata),
        "strata": strata,
        "groups": None if options.smote_groups is None else read_groups(options.smote_groups, base, "group"),
        "image_size": _image_size(options.smote_image_size),
        **options.arguments("dataset"),
    }

    made: list[SMOTEDataset] = []  # here, if the plan is: its images are not read and checked twice

    def make() -> SMOTEPlan:
        file = next((Path(f) for f in (options.smote_plan, resumed_plan) if f is not None and Path(f).exists()), None)
        if file is not None:
            unread = "; the features are not read" if options.smote_features is not None else ""
            _logger.info("CLE-SMOTE: plan loaded from %s%s", file, unread)
            return SMOTEPlan.load(file)
        given = Argument("smote_plan", str(options.smote_plan))
        if common["sampler"] is None:
            raise ArgumentError("smote_plan", given, " does not exist yet: add ", Argument("smote"), " to make it.")
        if options.smote_plan is not None and not Path(options.smote_plan).parent.is_dir():
            raise ArgumentError("smote_plan", given, ": make its folder first.")  # before the search
        made.append(SMOTEDataset(base, **common, features=_read_features(options.smote_features)))
        plan = made[0].plan
        if options.smote_plan is not None:
            plan.save(options.smote_plan)
        return plan

    plan = from_rank_0(make)
    return made[0] if made else SMOTEDataset(base, **common, plan=plan)


def check_same_classes(train_set: Any, evaluation_set: Any) -> None:
    """Warn of classes without an image to evaluate on, where both data sets know the names of their classes.

    Raises:
        ValueError: If a class has another index in the two, which would train one class and score another.
    """
    wrong = [
        f"{name!r} is {index} there and {in_training} in training"
        for name, (index, in_training) in differing_classes(train_set, evaluation_set).items()
    ]
    if wrong:
        raise ValueError(
            f"the validation set has other classes than the training set: {'; '.join(wrong[:20])}. Give both the same class folders, "
            "each with an image, or list the classes in a file for --class-map."
        )
    trained, evaluated = class_to_index(train_set), class_to_index(evaluation_set)
    if evaluated and (missing := sorted(trained.keys() - evaluated.keys())):
        _logger.warning("the validation set has no image of class %s.", ", ".join(missing))


def description(train_set: SMOTEDataset) -> str:
    """Describe how many real samples, copies that stay real, and synthetic samples each class has."""
    names = names_by_index(train_set.base)
    counts = train_set.counts_by_class()
    real, copies, synthetic = (sum(count) for count in zip(*counts.values(), strict=True))
    each = [
        f"{names.get(i, i)} {n}" + (f" + {m} copies" if m else "") + (f" + {s}" if s else "")
        for i, (n, m, s) in counts.items()
    ]
    total = f"{real} real" + (f" + {copies} copies that stay real" if copies else "")
    return f"{total} + {synthetic} synthetic samples: {', '.join(each)}"


def build_loss(model: nn.Module, num_classes: int, options: Options, **of_cross_entropy: Any) -> CappedSMOTELoss:
    """Make the loss on the device of the model, with a tracker of the model if its cap needs centroids.

    Args:
        model: Network to train, without wrappers such as DistributedDataParallel.
        num_classes: Number of classes.
        options: Options of the method.
        of_cross_entropy: Options of the host's loss: ``weight``, ``label_smoothing``, ``ignore_index``, ``logit_adjustment``.
    """
    tracker = None
    if options.distance is not None:
        tracker = ClassCentroidTracker(model, num_classes, **options.arguments("tracker"))
    return CappedSMOTELoss(
        float("inf") if options.cap == "none" else options.cap_beta,
        tracker=tracker,
        distance=options.distance,
        **options.arguments("loss"),
        **of_cross_entropy,
    ).to(next(model.parameters()).device)


def pretrain(
    model: nn.Module, train_set: SMOTEDataset, options: Options, *, transform: Transform | None, **fit: Any
) -> None:
    """Run the triplet pretraining that the options ask for.

    Args:
        model: Network to train, without wrappers such as DistributedDataParallel.
        train_set: Training set.
        options: Options of the method.
        transform: Replaces the transform of the training set during the pretraining; it returns the input of the model.
        fit: Arguments of :meth:`TripletPretrainer.fit` that the host knows: ``batch_size``, ``amp``, ``num_workers``, ``seed``.
    """
    own, train_set.transform = train_set.transform, transform
    try:
        pretrainer = TripletPretrainer(model, **options.arguments("pretrainer"))
        pretrainer.fit(train_set, **options.arguments("fit"), **fit)
    finally:
        train_set.transform = own


def save_centroids(tracker: ClassCentroidTracker, folder: Path, epoch: int, is_kept: Callable[[int], bool]) -> None:
    """Write the running means of an epoch, which cannot be recomputed, and delete those of epochs that are not kept.

    Args:
        tracker: In mode ``"online"``.
        folder: Folder of the run.
        epoch: Epoch, counted from 0.
        is_kept: Returns whether the running means of an earlier epoch are still needed.
    """
    write_centroids(folder / _centroid_file(epoch), tracker.state_dict())
    for earlier in range(epoch):
        if not is_kept(earlier):
            (folder / _centroid_file(earlier)).unlink(missing_ok=True)


def load_centroids(tracker: ClassCentroidTracker, folder: Path, epoch: int) -> Path | None:
    """Restore the running means of the end of an epoch, on every rank; return the file if it is missing, else ``None``."""
    file = folder / _centroid_file(epoch)
    state = from_rank_0(lambda: read_centroids(file, tracker.num_classes) if file.exists() else None)
    if state is None:
        return file
    tracker.load_state_dict(state)
    return None


def _centroid_file(epoch: int) -> str:
    return f"centroids-{epoch}.safetensors"


def statistics(stats: dict[str, float], options: Options) -> dict[str, float]:
    """Return the statistics of an epoch that have a meaning under the options."""
    return {"synthetic": stats["synthetic"]} if options.cap == "none" else stats


def describe_statistics(stats: dict[str, float]) -> str:
    """Describe the statistics of an epoch in one line."""
    text = f"{stats['synthetic']:.0f} synthetic samples"
    if "share_capped" in stats:
        text += f", {stats['share_capped']:.1%} capped, mean cap {stats['mean_cap']:.3g} nats"
        text += f", {stats['without_centroid']:.0f} without a centroid"
        if not math.isnan(stats["mass_kept"]):  # else no sample had a cap
            text += f", {stats['mass_kept']:.1%} of the loss of their classes trains"
    return text


def refresh_options(train_set: SMOTEDataset, *, batch_size: int, num_workers: int, world_size: int) -> dict[str, int]:
    """Return loader options of a refresh: workers, which start slowly, only if there are more batches than workers."""
    batches = len(train_set.real_subset(train_set.capped_classes)) // (batch_size * world_size)
    return {"batch_size": batch_size, "num_workers": num_workers if batches > num_workers else 0}


def _read_features(path: str | None) -> NDArray[Any] | None:
    """Map the rows that neighbours are searched in from a file."""
    if path is None:
        return None
    try:
        rows: NDArray[Any] = np.load(path, mmap_mode="c")
    except (OSError, EOFError, ValueError) as error:
        message = f" cannot be read ({error}). Save one row of numbers per image by numpy.save."
        raise ArgumentError("smote_features", Argument("smote_features", path), message) from error
    return rows


def _sampler(options: Options, base: Any, groups: NDArray[Any]) -> Any:
    """Make imbalanced-learn's sampler; return ``None`` if only a plan file is given."""
    if options.smote is None:
        return None
    strategy = _strategy(options.smote_strategy, base, groups)
    return make_sampler(options.smote, options.smote_k, sampling_strategy=strategy, **options.arguments("sampler"))


def _strategy(text: str, base: Any, groups: NDArray[Any]) -> Any:
    """Parse a ``sampling_strategy`` of imbalanced-learn: a ratio, a word, or counts of classes."""
    try:
        return float(text)
    except ValueError:
        pass

    def wrong(message: str) -> ArgumentError:
        return ArgumentError("smote_strategy", Argument("smote_strategy"), message)

    if "=" not in text:
        if text not in _WORDS:
            raise wrong(f" must be one of {_WORDS}, a ratio or CLASS=COUNT; got {text!r}.")
        return text
    sizes = dict(zip(*(part.tolist() for part in np.unique(groups, return_counts=True)), strict=True))
    names = {str(group): group for group in sizes}
    if groups.dtype.kind in "iu":
        names.update(class_to_index(base))
    strategy = {}
    for pair in text.split(","):
        name, _, count = pair.rpartition("=")
        if name not in names or not count.isdigit():
            raise wrong(f" {pair!r} must be CLASS=COUNT with CLASS one of {', '.join(names)}.")
        if int(count) < sizes.get(names[name], 0):
            raise wrong(f" {pair!r}: {name} has {sizes[names[name]]} images already.")
        strategy[names[name]] = int(count)
    return strategy


def _class_names(base: Any) -> str:
    names = sorted(class_to_index(base))
    return f" ({', '.join(names[:20])}{', ...' if len(names) > 20 else ''})" if names else ""


def _image_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    numbers = str(text).lower().split("x")  # YAML turns a recorded "64" into a number
    if len(numbers) > 2 or not all(number.isdigit() and int(number) for number in numbers):
        raise ArgumentError(
            "smote_image_size", Argument("smote_image_size"), f" must be N or HxW in pixels; got {text!r}."
        )
    return int(numbers[0]), int(numbers[-1])
