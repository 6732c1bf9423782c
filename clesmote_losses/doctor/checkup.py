"""Check a data set before training."""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from clesmote_losses.doctor.class_findings import (
    find_beta_faults,
    find_class_faults,
    find_model_faults,
    find_small_classes,
)
from clesmote_losses.doctor.copy_findings import find_copies, find_shared_groups
from clesmote_losses.doctor.costs import describe_costs
from clesmote_losses.doctor.findings import Report
from clesmote_losses.doctor.image_facts import require_imagehash
from clesmote_losses.doctor.image_findings import find_image_faults
from clesmote_losses.doctor.input_findings import find_input_faults
from clesmote_losses.doctor.part import Part, class_names, look_at_part, match_classes
from clesmote_losses.errors import check_numbers
from clesmote_losses.hosts.strata_file import read_groups, read_table
from clesmote_losses.restore import preserved_rng
from clesmote_losses.smote.columns import check_column
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.samplers import make_sampler, sampler_options


def check(
    train_set: Any,
    validation: Any = None,
    groups: ArrayLike | str | os.PathLike[str] | None = None,
    *,
    validation_groups: ArrayLike | None = None,
    labels: ArrayLike | Tensor | None = None,
    sampler: Any = None,
    beta: float = 1.0,
    num_classes: int | None = None,
    model: nn.Module | str | None = None,
    batch_size: int = 64,
    num_workers: int | None = None,
) -> Report:
    """Check a data set before training, and say in words what was found and what to do.

    Every image is read and decoded once; files are read in several processes. Copies that are mirrored, cropped or rotated
    are not looked for. No file is changed, and no random number of the global generators is drawn.

    Args:
        train_set: Map-style data set of ``(image, label)``, as :class:`SMOTEDataset` takes it, or a :class:`SMOTEDataset`.
            Images are PIL images, arrays or tensors. Items that are dicts are looked at too.
        validation: Data set to evaluate on.
        groups: One group for each training sample, shape ``(N,)``, such as its patient. Or the path of a CSV file with the
            columns ``filename`` and ``group``, for both sets. By default those of a :class:`SMOTEDataset`.
        validation_groups: One group for each validation sample, shape ``(M,)``, if ``groups`` is no file.
        labels: Class index of every training sample, as in :class:`SMOTEDataset`, which has its own.
        sampler: Of imbalanced-learn; by default ``SMOTE(k_neighbors=5, random_state=0)``, or that of the :class:`SMOTEDataset`.
        beta: Of :class:`CappedSMOTELoss`.
        num_classes: Number of classes of the model; by default that of ``model``, or of the labels.
        model: Network to train, or the name of one of timm.
        batch_size: Samples of a step.
        num_workers: Processes that read files; by default one for each core.

    Raises:
        ImportError: If imagehash is not installed.
        TypeError: If a data set cannot be looked up by index, or an argument is of the wrong kind.
        ValueError: If a data set is empty, an argument does not fit or would not be used, or the file of groups cannot be read.

    Example:
        >>> images = torch.rand(30, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> report = check(TensorDataset(images, torch.tensor([0] * 26 + [1] * 4)))
        >>> print(report.with_severity("error")[0].topic)
        small class
    """
    require_imagehash()
    _check_data_sets(training=train_set, validation=validation)
    check_numbers(beta=beta, batch_size=batch_size)
    if not beta > 0 or not batch_size >= 1:
        raise ValueError(f"beta must be above 0 and batch_size 1 or more; got {beta} and {batch_size}.")
    if isinstance(groups, os.PathLike):
        groups = os.fspath(groups)
    _check_used(train_set, validation, groups, validation_groups, labels=labels, sampler=sampler)
    train = look_at_part("training", train_set, labels, num_workers=num_workers)
    held_out = None if validation is None else look_at_part("validation", validation, num_workers=num_workers)
    parts = [train] if held_out is None else [train, held_out]
    names = class_names(train_set, train.labels) if held_out is None else match_classes(train, held_out)
    network, input_size = _network(model, len(names))
    if network is not None and num_classes is None:
        num_classes = len(names) if isinstance(model, str) else getattr(network, "num_classes", None)
    train_groups, held_out_groups = _groups_of(parts, groups, validation_groups)
    find_class_faults(train, held_out, names, num_classes)
    options, added = _sampling(train, sampler)
    if options is not None and not isinstance(train_set, SMOTEDataset):  # which has refused them
        find_small_classes(train, options, names, train_groups)
    k = None if options is None else options["k_neighbors"]
    blended = [] if k is None else [label for label, count in added.items() if count]
    for part in parts:
        find_image_faults(part, blended, is_blendable=isinstance(train_set, SMOTEDataset))
    find_input_faults(train, held_out, network)
    copies = find_copies(train, held_out, blended)
    if train_groups is not None and held_out_groups is not None:
        copies += find_shared_groups(train_groups, held_out_groups)
    elif held_out is not None and not any(
        finding.topic == "groups" for finding in (*train.findings, *held_out.findings)
    ):
        train.add("note", "groups", *_missing_groups(train_groups, held_out_groups))
    if network is not None:
        find_model_faults(network, num_classes or len(names), input_size, train)
    costs = [describe_costs(train, added, k, batch_size)] if options is not None else []
    is_capped = options is None or k is not None  # copies of the RandomOverSampler are real samples, without a cap
    betas = find_beta_faults(float(beta), num_classes or len(names)) if is_capped else []
    findings = [finding for part in parts for finding in part.findings]
    return Report(_counts(parts, names, added), (*copies, *findings, *costs, *betas))


def _check_data_sets(**data_sets: Any) -> None:
    """Raise ``TypeError`` for paths, since a string is a list of characters, and ``ValueError`` for sets without an image."""
    for title, dataset in data_sets.items():
        if isinstance(dataset, str | os.PathLike):
            raise TypeError(
                f"the {title} set must be a data set; got the path {os.fspath(dataset)!r}. Pass ImageFolder(path) of torchvision, or use the "
                "command clesmote-doctor, which reads folders."
            )
        if dataset is not None and hasattr(dataset, "__len__") and len(dataset) == 0:
            raise ValueError(f"the {title} set is empty: {type(dataset).__name__} of length 0. Pass one with images.")


def _network(model: nn.Module | str | None, num_classes: int) -> tuple[nn.Module | None, tuple[int, int] | None]:
    """Return the network, and height and width that a network of timm was made for."""
    if not isinstance(model, str):
        return model, None
    import timm

    with preserved_rng():
        network: nn.Module = timm.create_model(model, num_classes=num_classes)
    size = network.pretrained_cfg["input_size"]  # type: ignore[index]
    return network, (int(size[1]), int(size[2]))


def _check_used(train_set: Any, validation: Any, groups: Any, validation_groups: Any, **options: Any) -> None:
    """Raise ``ValueError`` for arguments that nothing would read, and for a file of groups that cannot be read."""
    given = [f"{name}=" for name, value in options.items() if value is not None]
    if given and isinstance(train_set, SMOTEDataset):
        raise ValueError(
            f"{' and '.join(given)} cannot be changed for a SMOTEDataset, which has its own. Leave out {' and '.join(given)}, or pass the "
            "data set that the SMOTEDataset is made of."
        )
    if validation_groups is not None and validation is None:
        raise ValueError("validation_groups= are of a validation set, and none was given. Pass validation= too.")
    if isinstance(groups, str):
        if validation_groups is not None:
            raise ValueError(
                f"groups= is a file ({groups}) for training and validation, and validation_groups= came too. Leave validation_groups= "
                "out, or pass one group for each training sample as groups=."
            )
        if not groups.endswith(".npy"):
            read_table(groups, "group")  # before images are read


def _missing_groups(train: NDArray[Any] | None, validation: NDArray[Any] | None) -> tuple[str, str]:
    """Say whose groups are missing, and what to pass."""
    whose, option = "Patients", "groups, a file of filename,group"
    if train is not None:
        whose, option = "Patients of the validation set", "validation_groups= too, or groups=, a file of filename,group"
    elif validation is not None:
        whose, option = "Patients of the training set", "groups= too, or only groups=, a file of filename,group"
    remedy = f"pass {option}: patients on both sides are the most common leak in medical images."
    return f"{whose} are not known, so a patient on both sides is not noticed.", remedy


def _groups_of(
    parts: list[Part], groups: ArrayLike | str | None, validation_groups: ArrayLike | None
) -> list[NDArray[Any] | None]:
    """Return the groups of training and validation, ``None`` where there are none; a file that lacks some is a finding."""
    train_set = parts[0].dataset
    if groups is None and isinstance(train_set, SMOTEDataset):
        groups = train_set._groups
    found: list[NDArray[Any] | None] = []
    for part, given in zip(parts, (groups, groups if isinstance(groups, str) else validation_groups), strict=False):
        if isinstance(given, str):
            base = part.dataset.base if isinstance(part.dataset, SMOTEDataset) else part.dataset
            found.append(part.attempt("groups", partial(read_groups, given, base, "group")))
        else:
            found.append(None if given is None else check_column("groups", given, len(part)))
    return [*found, None][:2]


def _sampling(train: Part, sampler: Any) -> tuple[Mapping[str, Any] | None, dict[int, int]]:
    """Return the options of the sampler, if it fits the labels, and how many samples each class gets."""
    if isinstance(train.dataset, SMOTEDataset):
        counts = train.dataset.counts_by_class()
        return train.dataset.plan.options, {label: copies + blends for label, (_, copies, blends) in counts.items()}
    if not len(train.labels) or train.labels.min() < 0 or len(np.unique(train.labels)) < 2:
        return None, {}
    sampler = make_sampler("smote", 5) if sampler is None else sampler
    options = sampler_options(sampler, train.labels)
    return options, {int(label): count for label, count in options["n_samples"]}


def _counts(parts: list[Part], names: Mapping[int, str], added: Mapping[int, int]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for index, name in names.items():
        of_class = {part.title: int((part.labels == index).sum()) for part in parts}
        if added:
            of_class["training after SMOTE"] = of_class["training"] + added.get(index, 0)
        counts[name] = of_class
    return counts
