"""Class weights and logit adjustment that the options ask for, from the counts of the training set."""

import logging
from typing import Any

import numpy as np
from torch import Tensor

from clesmote_losses.class_balance import class_balanced_weights, log_prior
from clesmote_losses.distributed import get_rank
from clesmote_losses.errors import Argument, ArgumentError
from clesmote_losses.hosts.options import Options
from clesmote_losses.smote.dataset import SMOTEDataset

_BETA_OF = {"inverse": 1.0, "effective": 0.9999}  # of class_balanced_weights
_logger = logging.getLogger(__name__)


def keeps_own_loss(options: Options) -> bool:
    """Return whether the options change nothing in the host's loss, so that it can stay, whatever it is."""
    return options.cap == "none" and options.class_weights == "none" and not options.logit_adjustment


def balance_options(
    train_set: SMOTEDataset, num_classes: int, options: Options, **of_cross_entropy: Any
) -> dict[str, Any]:
    """Return the options of the host's cross-entropy, with the class weights and logit adjustment that are asked for.

    Counts are those of the samples that the loader draws, real and synthetic. Rank 0 logs them, and warns if all classes have
    the same number, since neither has an effect then.

    Args:
        train_set: Training set.
        num_classes: Number of classes of the model.
        options: Options of the method.
        of_cross_entropy: Options of the host's loss: ``weight``, ``label_smoothing``, ``ignore_index``.

    Raises:
        ArgumentError: If a class has no sample, or the host's loss has class weights of its own.
    """
    asked: dict[str, Tensor] = {}
    counts = np.bincount(train_set.labels, minlength=num_classes)
    for name, is_on in (
        ("class_weights", options.class_weights != "none"),
        ("logit_adjustment", bool(options.logit_adjustment)),
    ):
        if is_on and not counts.all():
            empty = ", ".join(map(str, np.flatnonzero(counts == 0)[:20]))
            raise ArgumentError(name, Argument(name), f" needs a sample of each class; there is none of class {empty}.")
        if is_on and (counts == counts[0]).all() and get_rank() == 0:
            _logger.warning(
                "CLE-SMOTE: --%s has no effect: the training set has %d samples of each class, real and synthetic.",
                name.replace("_", "-"),
                counts[0],
            )
    if options.class_weights != "none":
        if of_cross_entropy.get("weight") is not None:
            raise ArgumentError(
                "class_weights",
                Argument("class_weights", options.class_weights),
                ": the script's loss has class weights already. Drop one of the two.",
            )
        asked["weight"] = class_balanced_weights(counts, _BETA_OF[options.class_weights])
    if options.logit_adjustment:
        asked["logit_adjustment"] = log_prior(counts, options.logit_adjustment)
    for name, values in asked.items():
        if get_rank() == 0:
            _logger.info(
                "CLE-SMOTE: %s of each class: %s", name, ", ".join(f"{value:.3g}" for value in values.tolist())
            )
    return {**of_cross_entropy, **asked}
