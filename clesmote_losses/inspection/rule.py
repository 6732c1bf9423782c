"""The rule by which samples are capped: the options of a criterion, applied to rows that are computed already."""

from types import EllipsisType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from clesmote_losses.capped_loss import CappedSMOTELoss
from clesmote_losses.caps import CAPS
from clesmote_losses.centroids import ClassCentroidTracker
from clesmote_losses.errors import check_choice, check_numbers
from clesmote_losses.loss_inputs import as_columns, check_adjustment


class CapRule(NamedTuple):
    """What decides whether a sample is capped; attributes as in :class:`CappedSMOTELoss`, on the CPU.

    Attributes:
        tracker: Says which layer's input is the embedding, and what a centroid is; ``None`` for the defaults.
    """

    beta: float = 1.0
    distance: str | None = "cosine"
    weight: Tensor | None = None
    label_smoothing: float = 0.0
    logit_adjustment: Tensor | None = None
    ignore_index: int = -100
    tracker: ClassCentroidTracker | None = None

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each row before its cap, as in training, float32, shape ``(N,)``."""
        logits = as_columns(logits.float())
        if self.logit_adjustment is not None:
            check_adjustment(self.logit_adjustment, logits)
            logits = logits + self.logit_adjustment
        return F.cross_entropy(
            logits,
            labels,
            self.weight,
            reduction="none",
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
        )

    def caps(self, embeddings: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
        """Return the highest loss of each row that is not capped, in the unit of :meth:`losses`, shape ``(N,)``."""
        if self.distance is None:
            caps = torch.full(labels.shape, float(self.beta))
        else:
            caps = CAPS[self.distance](embeddings, labels, centroids, self.beta)
        return caps if self.weight is None else caps * self.weight[labels]

    def distances(self, embeddings: Tensor, centroids: Tensor) -> Tensor:
        """Return the distance of each row to each centroid, shape ``(N, C)``; ``inf`` where a class has none.

        A constant cap has no distance; the cosine distance is returned then.
        """
        columns = []
        for label in range(len(centroids)):
            caps = CAPS[self.distance or "cosine"](embeddings, torch.full((len(embeddings),), label), centroids, 1.0)
            is_known = not bool(centroids[label].isnan().any())
            columns.append(1 / caps if is_known else torch.full_like(caps, torch.inf))
        distances = torch.stack(columns, dim=1)
        return distances.masked_fill(~embeddings.isfinite().all(1, keepdim=True), torch.nan)


def cap_rule(criterion: Any, tracker: Any, beta: float | None, distance: str | EllipsisType | None) -> CapRule:
    """Return the rule of a criterion; the other arguments replace what it says. A ``distance`` of ``...`` replaces nothing.

    Raises:
        TypeError: If ``criterion`` is no :class:`CappedSMOTELoss`, or the tracker no :class:`ClassCentroidTracker`.
        ValueError: If ``beta`` is not positive or ``distance`` unknown.
    """
    rule = CapRule()
    if criterion is not None:
        if not isinstance(criterion, CappedSMOTELoss):
            raise TypeError(
                f"criterion must be a CappedSMOTELoss, which says what is capped; got {type(criterion).__name__}. Leave it out, or pass "
                "tracker= and beta=, to see what a CappedSMOTELoss would cap."
            )
        weight, adjustment = (
            None if values is None else values.detach().float().cpu()
            for values in (criterion.weight, criterion.logit_adjustment)
        )
        rule = CapRule(
            criterion.beta,
            criterion.distance,
            weight,
            criterion.label_smoothing,
            adjustment,
            criterion.ignore_index,
        )
        tracker = criterion.tracker if tracker is None else tracker
    if tracker is not None and not isinstance(tracker, ClassCentroidTracker):
        raise TypeError(
            f"tracker must be a ClassCentroidTracker, which knows the layer of the embedding; got {type(tracker).__name__}. Pass "
            "tracker=ClassCentroidTracker(model, num_classes)."
        )
    if beta is not None:
        check_numbers(beta=beta)
        if not beta > 0:
            raise ValueError(f"beta must be positive; got {beta}.")
        rule = rule._replace(beta=float(beta))
    if not isinstance(distance, EllipsisType):
        check_choice("distance", distance, (*CAPS, None))
        rule = rule._replace(distance=distance)
    return rule._replace(tracker=tracker)


def loss_options(criterion: CappedSMOTELoss | None) -> dict[str, Any]:
    """Return the other options of a loss, tensors as whether they are given; empty if the loss is not known."""
    if criterion is None:
        return {}
    names = ("gradient", "capped", "warmup_epochs", "label_smoothing")
    given = {name: getattr(criterion, name) is not None for name in ("weight", "logit_adjustment")}
    return {name: getattr(criterion, name) for name in names} | given
