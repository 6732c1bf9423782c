"""Classes: too small for SMOTE, missing in a part, other ones than the model's; and the noise tolerance beta."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from clesmote_losses.classifier import find_classifier
from clesmote_losses.doctor.findings import Finding, counted
from clesmote_losses.doctor.part import Part
from clesmote_losses.errors import ArgumentError
from clesmote_losses.smote.class_names import differing_classes
from clesmote_losses.smote.samplers import check_group_sizes


def find_class_faults(train: Part, validation: Part | None, names: Mapping[int, str], num_classes: int | None) -> None:
    """Add findings about the classes of both parts to the training part.

    Args:
        train, validation: The parts.
        names: Of the classes.
        num_classes: Number of classes of the model, if it is known.
    """
    present = set(np.unique(train.labels[train.labels >= 0]).tolist())
    if len(present) == 1:
        remedy = "two classes or more are needed to tell apart. Are the class folders one level deeper?"
        train.add("error", "classes", "The training set has one class only.", remedy, tuple(names[i] for i in present))
    if num_classes is not None and (beyond := sorted(i for i in present if i >= num_classes)):
        lines = tuple(f"{names[i]} has index {i}" for i in beyond)
        remedy = f"make the model with num_classes={max(beyond) + 1}, or look for a folder too many."
        train.add(
            "error",
            "classes",
            f"The model has {num_classes} classes, and labels go up to {max(beyond)}.",
            remedy,
            lines,
        )
    expected = max(num_classes or 0, max(present, default=-1) + 1)
    if (missing := [i for i in range(expected) if i not in present]) and len(missing) < 1000:
        lines = tuple(names.get(i, f"class {i}") for i in missing)
        message = f"Without a training image: {len(missing)} of the class indices 0 to {expected - 1}."
        train.add("warning", "classes", message, "let class indices start at 0, without gaps.", lines)
    if validation is None:
        remedy = "give a validation set too: copies and patients on both sides are only found with it."
        train.add("note", "validation", "No validation set was looked at.", remedy)
        return
    if wrong := differing_classes(train.dataset, validation.dataset):
        lines = tuple(
            f"{name}: {index} in validation, {trained} in training" for name, (index, trained) in wrong.items()
        )
        remedy = "give both the same class folders, each with an image. The table counts by name."
        message = f"With another index in validation than in training: {counted(len(wrong), 'name')} of classes. One class would be "
        train.add("error", "classes", f"{message}trained, and another one scored.", remedy, lines)
    scored = set(np.unique(validation.labels[validation.labels >= 0]).tolist())
    if scored and (unscored := sorted(present - scored)):
        lines = tuple(names[i] for i in unscored)
        remedy = "move some of its images (by patient) from training to validation."
        message = f"Classes without a validation image: {len(unscored)}. Nothing tells how well they are recognised."
        train.add("warning", "classes", message, remedy, lines)
    if present and (untrained := sorted(scored - present)):
        lines = tuple(names.get(i, f"class {i}") for i in untrained)
        train.add(
            "error",
            "classes",
            f"Classes of validation without a training image: {len(untrained)}.",
            "is a name misspelt?",
            lines,
        )


def find_small_classes(
    train: Part, options: Mapping[str, Any], names: Mapping[int, str], groups: NDArray[Any] | None
) -> None:
    """Add a finding for each class that has too few images for its neighbours.

    Args:
        train: The training part.
        options: Of :func:`~clesmote_losses.smote.samplers.sampler_options`.
        names: Of the classes.
        groups: Group of each image, shape ``(N,)``, of which no two are blended.
    """
    for row in options["n_samples"]:
        try:
            check_group_sizes({**options, "n_samples": [row]}, train.labels, groups)
        except ArgumentError as error:
            train.add("error", "small class", f"{names[row[0]]}: {error}", "")


def find_beta_faults(beta: float, num_classes: int) -> list[Finding]:
    """Compare beta with the cross-entropy of uniform predictions, ln(C) nats.

    A sample is capped where its cross-entropy is above ``beta / distance``, and a cosine distance is at most 2.
    """
    if num_classes < 2:
        return []
    chance = math.log(num_classes)
    distance = beta / chance
    message = f"beta={beta:g} and {num_classes} classes: uniform predictions have a cross-entropy of ln(C) = {chance:.2f} nats, and a blend "
    message += "with that loss is capped " + (
        "nowhere (a cosine distance is at most 2): this is plain SMOTE."
        if distance >= 2
        else f"where its cosine distance to its class is above {distance:.2f}."
    )
    if distance >= 2:
        return [Finding("warning", "beta", message, (), f"lower beta below {2 * chance:.2f}, and watch share_capped.")]
    if distance < 0.05:
        remedy = f"raise beta; near ln(C) = {chance:.2f} is a start. Watch share_capped and mass_kept."
        return [Finding("warning", "beta", f"{message} That is nearly everywhere at the start.", (), remedy)]
    return [Finding("note", "beta", message, (), "watch share_capped and mass_kept in the first epochs.")]


def find_model_faults(model: nn.Module, num_classes: int, input_size: Sequence[int] | None, train: Part) -> None:
    """Add findings about a model: its embedding is not found; images are much smaller than it was made for.

    Args:
        model: Network to train.
        num_classes: Its number of classes.
        input_size: Height and width that it was made for, if they are known.
        train: The training part.
    """
    try:
        find_classifier(model, num_classes)
    except ValueError as error:
        train.add("error", "model", error)
    sizes = [facts.shape for facts in train.facts if len(facts.shape) == 2]
    if input_size is not None and sizes:
        small = sum(min(size) < min(input_size) / 2 for size in sizes)
        if small:
            message = f"Less than half as large as the input of the model, {input_size[0]}x{input_size[1]}: {counted(small, 'training image')}."
            train.add(
                "note",
                "model",
                message,
                "they are enlarged; a smaller input (timm: --img-size) is faster and loses nothing.",
            )
