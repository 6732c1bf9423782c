"""What the numbers of an inspection mean, in words: what the cap does, and which images to look at first."""

from typing import TYPE_CHECKING, Any

import numpy as np

from clesmote_losses.detectability import detect_blends
from clesmote_losses.inspection.suspicion import fitted_images
from clesmote_losses.inspection.wording import class_name, file_names, has_copies, nats, percent, shorten

if TYPE_CHECKING:
    from clesmote_losses.inspection.inspection import Inspection

_NO_EFFECT, _MOST_CAPPED = 0.01, 0.5  # shares of the synthetic images
# by the gradient of a blend over its cap
_EFFECT = {
    "stop": "leaves out {}",
    "scale": "lowers the gradient of {}",
    "flow": "pushes {} away from the centroid of the class",
}
_MOST_EFFECT = {
    "stop": "the rare class is hardly trained on by its blends",
    "scale": "most blends train with a lowered gradient, their cap over their loss",
    "flow": "most blends are pushed away from the centroid of their class, and not trained on by their label",
}
_FIRST = 3  # images that are named at the top
_PROBED, _MEASURED = 300, 5  # most images of a class, and most classes, for the probes, which take a second each


def cap_findings(inspection: "Inspection") -> list[str]:
    """Say how many synthetic images are over their cap, what that means, and what to do."""
    table = inspection.table
    if not len(table):
        return ["There are no synthetic images: the sampler had nothing to raise."]
    share, gradient = float(table["capped"].mean()), inspection.loss_options.get("gradient", "stop")
    found = [
        f"{int(table['capped'].sum())} of {len(table)} synthetic images ({percent(share)}) are over their cap now."
    ]
    if not np.isfinite(table["cap"]).any():
        return [*found, f"No synthetic image has a cap: this is {_without_caps(inspection)}."]
    if share < _NO_EFFECT:
        found.append(f"The cap binds on {percent(share)} {_training_without_caps(inspection)}")
    elif share >= _MOST_CAPPED:
        found.append(
            f"{percent(share)} are capped: {_MOST_EFFECT[gradient]}. Raise beta, or train longer before the cap (warmup_epochs)."
        )
    else:
        found.append(
            f"The loss {_EFFECT[gradient].format(f'about 1 in {round(1 / share)} blends')}, and trains on the others."
        )
    if inspection.loss_options.get("capped") == "oversampled":
        rare = inspection.real[inspection.real["oversampled"]]
        over = int((rare["loss"] > rare["cap"]).sum())
        found.append(
            f"The cap applies to real images of the over-sampled classes too: {over} of {len(rare)} are over it now."
        )
    by_class = table.groupby("class")["capped"].mean().sort_values(ascending=False, kind="stable")
    if len(by_class) > 1 and by_class.iloc[0] - by_class.iloc[-1] >= 0.05:
        most, least = (
            f"{class_name(inspection, int(by_class.index[i]))} ({percent(by_class.iloc[i])})" for i in (0, -1)
        )
        found.append(f"Most are capped in the class {most}, fewest in {least}.")
    return [*found, *_training_findings(inspection, share)]


def _without_caps(inspection: "Inspection") -> str:
    return "plain over-sampling with copies" if has_copies(inspection) else "plain SMOTE"


def _training_without_caps(inspection: "Inspection") -> str:
    """Say what it means that nothing is capped now: only the epochs tell whether the cap did nothing in training too."""
    shares = _shares_in_training(inspection)
    if not inspection.loss_options:
        return "now. What a cap did in training is not known: pass the criterion of the training to inspect_synthetic."
    if not shares:
        return "now. What it did in training is not known: the loss kept no epoch with caps."
    if max(shares) >= _NO_EFFECT:
        return "now, after training; it did more in training."
    return f"now, and did so in training: this is {_without_caps(inspection)}. A lower beta caps more."


def _shares_in_training(inspection: "Inspection") -> list[float]:
    """Return the share of the synthetic samples that were capped in each epoch after the warm-up of the cap."""
    warmup = inspection.loss_options.get("warmup_epochs", 0)
    epochs = [one for one in getattr(inspection.history, "epochs", []) if one["epoch"] >= warmup]
    return [share for epoch in epochs if (share := _share_capped(epoch)) is not None]


def _training_findings(inspection: "Inspection", share_now: float) -> list[str]:
    """Say what the cap did in training after its warm-up, which the trained network no longer shows."""
    if not (shares := _shares_in_training(inspection)):
        return []
    warmup = inspection.loss_options.get("warmup_epochs", 0)
    text = f"In training, {percent(shares[0])} were capped in the first epoch{' with caps' if warmup else ''}"
    text += f" and {percent(shares[-1])} in the last of {len(shares)}." if len(shares) > 1 else "."
    if share_now < _NO_EFFECT <= max(shares):
        text += " What was capped in training is fitted now."
    return [text]


def _share_capped(epoch: dict[str, Any]) -> float | None:
    """Return the share of the synthetic samples of an epoch that were capped, over all classes; ``None`` without any."""
    numbers = [one for one in epoch["classes"].values() if one["synthetic"] and one["share_capped"] is not None]
    synthetic = sum(one["synthetic"] for one in numbers)
    return sum(one["share_capped"] * one["synthetic"] for one in numbers) / synthetic if synthetic else None


def suspect_reasons(inspection: "Inspection", suspects: Any) -> list[str]:
    """Say for each suspect why its label is doubtful.

    Args:
        inspection: What :func:`inspect_synthetic` returned.
        suspects: Rows of :meth:`Inspection.suspects`.
    """
    # a weight or an adjustment is in the loss, and guessing costs something else then
    is_plain = not any(inspection.loss_options.get(name) for name in ("weight", "logit_adjustment"))
    guessing = np.log(max(2, len(inspection.centroids)))
    reasons = []
    for row in suspects.to_dict("records"):
        parts = []
        if np.isfinite(row["score"]):
            given = f"a linear classifier on the embeddings, fitted without this image, gives its label {percent(1 - row['score'])}"
            is_other = row["likely_class"] not in (-1, row["class"])
            parts.append(
                f"{given}, and finds {class_name(inspection, row['likely_class'])} more probable" if is_other else given
            )
        if not np.isfinite(row["loss"]):
            parts.append(f"its loss is {nats(row['loss'])}")
        elif is_plain and row["loss"] > guessing:
            parts.append(f"its loss of {nats(row['loss'])} nats is above the {nats(guessing)} of guessing")
        if row["capped_blends"] > 0:
            parts.append(
                f"{percent(row['capped_blends'])} of its {'copies' if has_copies(inspection) else 'blends'} are capped"
            )
        reasons.append("; ".join(parts) or "nothing speaks against its label")
    return [f"{reason[0].upper()}{reason[1:]}." for reason in reasons]


def first_looks(inspection: "Inspection") -> list[str]:
    """Say which images to look at first, and why."""
    suspects = inspection.suspects()
    if not len(suspects):
        return ["No class is over-sampled, so there is no rare image to doubt."]
    if suspects["score"].isna().all():
        classes, width = inspection.real["class"].nunique(), inspection.real_embeddings.shape[1]
        if not fitted_images(classes, width):
            return [
                f"No label was checked: with {classes} classes and embeddings of {width} numbers it would take too long. The real images "
                "below are in the order of their loss."
            ]
        return ["No label was checked: that needs two classes of two images (or groups) at least."]
    doubtful = suspects[suspects["score"].notna() & (suspects["likely_class"] != suspects["class"])]
    unchecked, warning = _unchecked_classes(inspection), _chance_warning(inspection)
    if not len(doubtful):
        return [
            f"{warning}No real image of an over-sampled class has a doubtful label: a linear classifier on the embeddings, fitted without the "
            f"image, finds its label the most probable.{unchecked}"
        ]
    top = doubtful.head(_FIRST)
    counted = "1 real image has" if len(doubtful) == 1 else f"{len(doubtful)} real images have"
    said = [
        f"{warning}{counted} a doubtful label, of {len(suspects)} in the over-sampled classes.{unchecked} Look at these first:"
    ]
    if len(doubtful) > len(suspects) / 2:
        said = [
            f"{warning}{counted} a doubtful label, of {len(suspects)}: the embeddings hardly tell these classes from others.{unchecked} "
            "The most doubtful:"
        ]
    reasons, names = suspect_reasons(inspection, top), file_names(inspection, top["index"])
    for name, label, reason in zip(names, top["class"], reasons, strict=True):
        said.append(f"{shorten(name, 60)}, labelled {class_name(inspection, label)}. {reason}")
    return said


def _unchecked_classes(inspection: "Inspection") -> str:
    """Name the classes whose labels no score is for, since they are not over-sampled."""
    others = np.unique(inspection.real.loc[~inspection.real["oversampled"], "class"]).tolist()
    if not others:
        return ""
    names = ", ".join(class_name(inspection, label) for label in others[:_FIRST])
    more = f" and {len(others) - _FIRST} more classes" if len(others) > _FIRST else ""
    return f" Labels of {names}{more} were not checked: only those of the over-sampled classes are."


def _chance_warning(inspection: "Inspection") -> str:
    """Say that the doubts mean little if their classifier hardly finds the labels of any images."""
    accuracy = inspection.doubt_accuracy
    if accuracy is None or not accuracy.is_near_chance:
        return ""
    return (
        "The list of doubtful labels means little: the linear classifier behind it has a balanced accuracy of "
        f"{percent(accuracy.balanced)}, and guessing has {percent(accuracy.chance)}. "
    )


def blame_findings(inspection: "Inspection") -> list[str]:
    """Say of how many capped blends a parent is over its cap too."""
    capped = inspection.table[inspection.table["capped"]]
    if not len(capped) or has_copies(inspection):  # a copy has the loss of its image
        return []
    bad = (capped["base_loss"] > capped["base_cap"]) | (capped["neighbor_loss"] > capped["neighbor_cap"])
    said = [f"In {bad.sum()} of the {len(capped)} capped blends a parent is over its cap too: look at the parent."]
    if not bad.all():
        said.append(f"In {(~bad).sum()} both parents are within their caps: the blend is bad.")
    return said


def detectability_findings(inspection: "Inspection") -> list[str]:
    """Say for the smallest blended classes whether blends are told from real images, by the embeddings of the inspection."""
    train_set = inspection.train_set
    row_of = {int(index): row for row, index in enumerate([*inspection.real["index"], *inspection.table["index"]])}
    embeddings = np.concatenate([inspection.real_embeddings, inspection.synthetic_embeddings])
    said = []
    counts = inspection.real["class"].value_counts()
    blended = [label for label in train_set.blended_classes if counts.get(label, 0) <= _PROBED]
    blended.sort(key=lambda label: counts.get(label, 0))
    for label in blended[:_MEASURED]:
        try:
            found = detect_blends(
                train_set, lambda indices: embeddings[[row_of[int(i)] for i in indices]], classes=[label]
            )
        except (KeyError, ValueError) as error:
            said.append(f"Not measured: {error}")
        else:
            said.append(str(found).replace(f"Class {label} ", f"Class {class_name(inspection, label)} ", 1))
    if left := len(train_set.blended_classes) - min(len(blended), _MEASURED):
        said.append(
            f"{left} larger classes are not measured here; blend_detectability measures all, and takes a while."
        )
    return said
