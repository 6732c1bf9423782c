"""The training set of ``train.py``, wrapped as its flags say."""

import csv
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from clesmote_losses.distributed import from_rank_0
from clesmote_losses.hosts.timm.flags import Options
from clesmote_losses.smote.base_dataset import find_labels, image_path
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.plan import SMOTEPlan

_WORDS = ("minority", "not minority", "not majority", "all", "auto")  # of imbalanced-learn's sampling_strategy
_logger = logging.getLogger(__name__)


def training_set(
    base: Any, options: Options, *, num_classes: int | None = None, resumed_plan: Path | None = None
) -> SMOTEDataset:
    """``base`` with the synthetic samples that the options ask for.

    Under ``torch.distributed`` rank 0 reads the images and makes the plan, and the others get it from there.

    Args:
        base: What timm's ``create_dataset`` gave.
        options: Of the method.
        num_classes: Of the model; ``None`` if it is not known yet.
        resumed_plan: Plan of the run that is resumed, if there is one.

    Raises:
        TypeError, ValueError, RuntimeError: As :class:`SMOTEDataset`, and if a file does not fit the data set.
    """
    if isinstance(base, IterableDataset):
        raise TypeError(f"{type(base).__name__} is read as a stream; a blend needs two images by index. Use a folder.")
    labels = find_labels(base)
    if num_classes is not None and labels.max(initial=0) >= num_classes:
        raise ValueError(
            f"the training set has classes up to {labels.max()}{_class_names(base)}, and the model num_classes={num_classes}. Is a "
            "folder misspelt, or --num-classes too small?"
        )
    strata = None if options.smote_strata is None else read_strata(options.smote_strata, base)
    common: dict[str, Any] = {
        "sampler": _sampler(options, base, labels if strata is None else strata),
        "strata": strata,
        "image_size": _image_size(options.smote_image_size),
        "small_class": options.smote_small_class,
        "redraw": options.smote_redraw,
        "cache_mb": options.smote_cache,
    }

    def make() -> SMOTEPlan:
        file = next((Path(f) for f in (options.smote_plan, resumed_plan) if f is not None and Path(f).exists()), None)
        if file is not None:
            unread = "; --smote-features is not read" if options.smote_features is not None else ""
            _logger.info("CLE-SMOTE: the plan is that of %s%s", file, unread)
            return SMOTEPlan.load(file)
        if common["sampler"] is None:
            raise ValueError(f"--smote-plan {options.smote_plan} does not exist yet: add --smote to make it.")
        if options.smote_plan is not None and not Path(options.smote_plan).parent.is_dir():
            raise ValueError(f"--smote-plan {options.smote_plan}: make its folder first.")  # before the search
        features = None if options.smote_features is None else np.load(options.smote_features, mmap_mode="c")
        plan = SMOTEDataset(base, **common, features=features).plan
        if options.smote_plan is not None:
            plan.save(options.smote_plan)
        return plan

    return SMOTEDataset(base, **common, plan=from_rank_0(make))


def description(train_set: SMOTEDataset) -> str:
    """How many real and synthetic samples there are of every class."""
    names = {index: name for name, index in _class_to_index(train_set.base).items()}
    real, synthetic = (
        np.bincount(train_set.labels[train_set.is_synthetic == flag], minlength=train_set.labels.max() + 1)
        for flag in (False, True)
    )
    each = [
        f"{names.get(i, i)} {n}" + (f" + {m}" if m else "")
        for i, (n, m) in enumerate(zip(real, synthetic, strict=True))
    ]
    return f"{real.sum()} real + {synthetic.sum()} synthetic samples: {', '.join(each)}"


def read_strata(path: str, base: Any) -> NDArray[Any]:
    """One group for each sample of ``base``: from ``.npy`` as they lie, from CSV by file name.

    A name of the CSV is as much of the path's end as it takes: ``person1.jpeg`` or ``virus/person1.jpeg``.

    Raises:
        ValueError: If a sample has no group or two.
    """
    if path.endswith(".npy"):
        try:
            given: NDArray[Any] = np.load(path)
        except ValueError as error:
            raise ValueError(
                f"{path} cannot be read ({error}). Save groups as numbers or strings: array.astype(str)."
            ) from error
        return given
    with open(path, newline="", encoding="utf-8-sig") as file:  # Excel puts a mark before the first column
        rows = list(csv.DictReader(file))
    if not rows or not {"filename", "stratum"} <= rows[0].keys():
        columns = ", ".join(map(str, rows[0])) if rows else "no rows"
        raise ValueError(
            f"{path} must be a comma-separated file with the columns filename and stratum, or .npy; found {columns}."
        )
    groups: dict[str, str] = {}
    for row in rows:
        name = (row["filename"] or "").replace(os.sep, "/").removeprefix("./")
        if groups.setdefault(name, row["stratum"]) != row["stratum"]:
            raise ValueError(f"{path} puts {name} into two strata, {groups[name]!r} and {row['stratum']!r}.")
    strata = []
    for index in range(len(base)):
        parts = (image_path(base, index) or "").replace(os.sep, "/").split("/")
        ends = ("/".join(parts[-n:]) for n in range(1, len(parts) + 1))
        found = next((end for end in ends if end in groups), None)
        if found is None:
            raise ValueError(f"{path} has no stratum for image {index} ({'/'.join(parts)}).")
        strata.append(groups[found])
    return np.array(strata)


def _sampler(options: Options, base: Any, groups: NDArray[Any]) -> Any:
    """imbalanced-learn's sampler; ``None`` if the plan file is all there is."""
    if options.smote is None:
        return None
    from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE

    common = {"sampling_strategy": _strategy(options.smote_strategy, base, groups), "random_state": options.smote_seed}
    if options.smote == "adasyn":
        return ADASYN(n_neighbors=options.smote_k, **common)
    return {"smote": SMOTE, "borderline": BorderlineSMOTE}[options.smote](k_neighbors=options.smote_k, **common)


def _strategy(text: str, base: Any, groups: NDArray[Any]) -> Any:
    """What ``sampling_strategy`` of imbalanced-learn takes: a ratio, a word, or a dict of counts."""
    try:
        return float(text)
    except ValueError:
        pass
    if "=" not in text:
        if text not in _WORDS:
            raise ValueError(f"--smote-strategy must be one of {_WORDS}, a ratio or CLASS=COUNT; got {text!r}.")
        return text
    sizes = dict(zip(*(part.tolist() for part in np.unique(groups, return_counts=True)), strict=True))
    names = {str(group): group for group in sizes}
    if groups.dtype.kind in "iu":
        names.update(_class_to_index(base))
    strategy = {}
    for pair in text.split(","):
        name, _, count = pair.rpartition("=")
        if name not in names or not count.isdigit():
            raise ValueError(f"--smote-strategy {pair!r} must be CLASS=COUNT with CLASS one of {', '.join(names)}.")
        if int(count) < sizes.get(names[name], 0):
            raise ValueError(f"--smote-strategy {pair!r}: {name} has {sizes[names[name]]} images already.")
        strategy[names[name]] = int(count)
    return strategy


def _class_to_index(base: Any) -> dict[str, int]:
    for holder in (base, getattr(base, "reader", None)):
        if isinstance(found := getattr(holder, "class_to_idx", None), dict):
            return {str(name): int(index) for name, index in found.items()}
    return {}


def _class_names(base: Any) -> str:
    names = sorted(_class_to_index(base))
    return f" ({', '.join(names[:20])}{', ...' if len(names) > 20 else ''})" if names else ""


def _image_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    numbers = str(text).lower().split("x")  # a recorded one may have come back from YAML as a number
    if len(numbers) > 2 or not all(number.isdigit() and int(number) for number in numbers):
        raise ValueError(f"--smote-image-size must be N or HxW in pixels; got {text!r}.")
    return int(numbers[0]), int(numbers[-1])
