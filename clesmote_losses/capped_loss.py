"""Cross-entropy in which a synthetic sample costs at most its cap: a function, and a Module that remembers its options."""

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clesmote_losses.caps import CAPS
from clesmote_losses.errors import check_choice
from clesmote_losses.loss_counts import LossCounts
from clesmote_losses.loss_inputs import (
    Gradient,
    Reduction,
    as_columns,
    check_cap,
    check_embeddings,
    check_flow,
    check_options,
    check_rows,
)
from clesmote_losses.targets import decode_target


def capped_cross_entropy(
    logits: Tensor,
    target: Tensor,
    is_synthetic: Tensor,
    cap: Tensor,
    *,
    gradient: Gradient = "stop",
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Compute cross-entropy in which a synthetic sample costs at most its cap.

    .. math:: \ell_i = w_{y_i} \min(\mathrm{CE}_i, \tau_i) \text{ if } s_i \text{ else } w_{y_i} \mathrm{CE}_i

    with cap :math:`\tau_i`, synthetic flag :math:`s_i` (the paper's Eq. 2) and class weight :math:`w` (1 if none is
    given). Where no row is over its cap, value and gradient equal those of :func:`torch.nn.functional.cross_entropy` with
    the same options: bit for bit without ``weight`` and ``label_smoothing``, to rounding with them.

    Args:
        logits: Unnormalised scores, float, shape ``(N, C)``. Shape ``(N,)`` or ``(N, 1)`` is a single logit for
            class 1 (binary cross-entropy), treated as the scores ``[0, logit]``.
        target: Class indices, int64, shape ``(N,)``, each in ``[0, C)`` or equal to ``ignore_index``.
        is_synthetic: ``True`` where SMOTE made the sample, bool, shape ``(N,)``.
        cap: Ceiling in nats, float, shape ``(N,)``; ``inf`` leaves a sample uncapped. Rows of real samples are not read.
        gradient: Gradient of a row over its cap. ``"stop"``: none, so a bad interpolation stops pulling on the model.
            ``"scale"``: the gradient of CE times cap / CE. ``"flow"``: the gradient of the cap itself, which
            pushes the embedding away from its centroid (for the ablation; ``cap`` must carry a graph).
        weight: Weight of each class, float, shape ``(C,)``. The cap is multiplied by it too.
        label_smoothing: As in :class:`torch.nn.CrossEntropyLoss`, in ``[0, 1]``.
        ignore_index: Rows with this target have loss 0 and are not counted.
        reduction: ``"mean"`` divides by the number of rows that are not ignored (with ``weight``: by the sum of their
            weights); capped rows count too. ``"sum"`` and ``"none"`` as in torch.

    Returns:
        Loss in nats, of the dtype that torch's cross-entropy returns: a scalar, or shape ``(N,)`` if ``reduction="none"``.

    Raises:
        TypeError: If ``logits`` is not a tensor or ``target`` not integer.
        ValueError: If an option, or the shape or dtype of an argument is wrong.

    Example:
        >>> logits, target = torch.tensor([[0.0, 3.0], [0.0, 3.0]]), torch.tensor([0, 0])
        >>> capped_cross_entropy(logits, target, torch.tensor([False, True]), torch.ones(2), reduction="none")
        tensor([3.0486, 1.0000])
    """
    check_options(gradient, weight, label_smoothing, reduction)
    logits = as_columns(logits)
    check_rows(logits, target, is_synthetic)
    check_cap(cap, logits)
    check_flow(gradient, cap, logits)
    losses = F.cross_entropy(
        logits, target, weight, reduction="none", ignore_index=ignore_index, label_smoothing=label_smoothing
    )
    losses, _ = _cap_losses(losses, target, is_synthetic, cap, gradient, weight)
    return _reduce(losses, target, weight, ignore_index, reduction)


def _cap_losses(
    losses: Tensor, target: Tensor, is_synthetic: Tensor, cap: Tensor, gradient: Gradient, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the capped loss of each row, and which rows are over their cap: bool; both of shape ``(N,)``."""
    ceiling = cap if weight is None else cap * _row_weights(weight, target)
    capped = is_synthetic & (losses > ceiling)
    ceiling = ceiling.to(losses.dtype)
    if gradient != "flow":
        ceiling = ceiling.detach()
    if gradient == "scale":
        ratio = torch.where(capped, ceiling / losses.detach(), 0)
        # adds 0 to the value; an infinite loss has no gradient to scale
        ceiling = ceiling + (losses - losses.detach()).nan_to_num() * ratio
    return torch.where(capped, ceiling, losses), capped


def _reduce(losses: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: Reduction) -> Tensor:
    """Reduce the losses of the rows as torch's cross-entropy does."""
    if reduction == "none":
        return losses
    is_ignored = target == ignore_index
    if weight is None:
        # torch's cross-entropy adds the rows in this function. Another sum would differ in the last bit.
        column = torch.zeros_like(target).masked_fill(is_ignored, -100)
        return F.nll_loss(-losses[:, None], column, ignore_index=-100, reduction=reduction)
    if reduction == "sum":
        return losses.sum()
    return losses.sum() / _row_weights(weight, target).masked_fill(is_ignored, 0).sum()


def _row_weights(weight: Tensor, target: Tensor) -> Tensor:
    # clamped, since an ignored target may be no class
    return weight.index_select(0, target.clamp(0, len(weight) - 1))


class Tracker(Protocol):
    """What :class:`CappedSMOTELoss` needs of a tracker; its ``check_logits(logits)`` is called too, if it has one."""

    def take_embeddings(self) -> Tensor:
        """Return the pre-head embeddings of the model's last forward pass, shape ``(N, D)``."""

    def centroids_for(self, embeddings: Tensor, labels: Tensor, is_synthetic: Tensor) -> tuple[Tensor, Tensor]:
        """Return centroids ``(C, D)`` and the number of images behind each, ``(C,)``; ignored rows have negative labels."""


class CappedSMOTELoss(nn.Module):
    r"""Compute :func:`capped_cross_entropy` with caps from a tracker and flags from the target (stage 3 of CLE-SMOTE).

    Replaces :class:`torch.nn.CrossEntropyLoss` in a loop that trains on a :class:`SMOTEDataset`. In ``eval()`` mode it
    caps nothing and needs no embedding: it is cross-entropy on decoded targets.

    Args:
        beta: Noise tolerance of the cap, positive; with ``distance=None`` the cap itself, in nats.
        tracker: The :class:`ClassCentroidTracker` on the model. Needed unless ``distance=None``.
        distance: A name in :data:`clesmote_losses.caps.CAPS`, such as ``"cosine"`` (:func:`cosine_cap`) or ``"euclidean"``
            (:func:`euclidean_cap`); ``None`` for a constant cap.
        gradient, weight, label_smoothing, ignore_index, reduction: As in :func:`capped_cross_entropy`.
        warmup_epochs: Number of first epochs without caps. Needs ``set_epoch(epoch)`` at the start of each epoch.

    Raises:
        ValueError: If an option is wrong, or the tracker is missing.

    Example:
        >>> criterion = CappedSMOTELoss(beta=1.0, distance=None)
        >>> target = encode_target(torch.tensor([0, 0]), torch.tensor([False, True]))
        >>> criterion(torch.tensor([[0.0, 3.0], [0.0, 3.0]]), target)
        tensor(2.0243)
        >>> criterion.stats["share_capped"]
        tensor(1.)
    """

    weight: Tensor | None

    def __init__(
        self,
        beta: float = 1.0,
        *,
        tracker: Tracker | None = None,
        distance: str | None = "cosine",
        gradient: Gradient = "stop",
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        warmup_epochs: int = 0,
    ) -> None:
        super().__init__()
        if not beta > 0:
            raise ValueError(f"beta must be positive; got {beta}.")
        check_choice("distance", distance, (*CAPS, None))
        if distance is not None and tracker is None:
            raise ValueError(
                f"distance={distance!r} needs tracker=ClassCentroidTracker(model, num_classes); distance=None caps at beta nats."
            )
        if distance is None and gradient == "flow":
            raise ValueError(
                'gradient="flow" passes on the gradient of the cap; a constant cap (distance=None) has none.'
            )
        if warmup_epochs < 0:
            raise ValueError(f"warmup_epochs must be 0 or more; got {warmup_epochs}.")
        check_options(gradient, weight, label_smoothing, reduction)
        self.beta = beta
        self.tracker = tracker
        self.distance = distance
        self.gradient: Gradient = gradient
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.reduction: Reduction = reduction
        self.warmup_epochs = warmup_epochs
        self._is_capping = None if warmup_epochs else True  # None: unknown until set_epoch
        self.register_buffer("weight", weight)
        self._counts = LossCounts()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that begins, counted from 0; only ``warmup_epochs`` depends on it."""
        self._is_capping = epoch >= self.warmup_epochs

    def forward(
        self, logits: Tensor, target: Tensor, embeddings: Tensor | None = None, *, is_synthetic: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of a batch. Call it once after each forward pass.

        Args:
            logits: As in :func:`capped_cross_entropy`.
            target: Targets of a :class:`SMOTEDataset`, int64, shape ``(N,)``; plain labels if ``is_synthetic`` is given.
            embeddings: Pre-head embeddings, float, shape ``(N, D)``; by default those that the tracker holds, of the
                model's last forward pass.
            is_synthetic: Bool, shape ``(N,)``; by default decoded from ``target``.

        Raises:
            RuntimeError: If the tracker holds no embeddings or no centroids yet, or ``set_epoch`` was not called
                although ``warmup_epochs`` is set.
            TypeError, ValueError: As :func:`capped_cross_entropy`.
        """
        logits = as_columns(logits)
        if embeddings is not None:
            check_embeddings(embeddings, logits)
        if is_synthetic is None:
            target, is_synthetic = decode_target(target)
        check_rows(logits, target, is_synthetic)
        if self.training and self._is_capping is None:
            raise RuntimeError("warmup_epochs needs the number of the epoch: call criterion.set_epoch(epoch) first.")
        options: dict[str, Any] = {"ignore_index": self.ignore_index, "label_smoothing": self.label_smoothing}
        # first, since torch names a target that is out of range
        losses = F.cross_entropy(logits, target, self.weight, reduction="none", **options)
        # also during warm-up, since an online tracker learns from each of these calls
        if self.training and self.tracker is not None and self.distance is not None:
            cap, is_unknown = self._distance_cap(self.tracker, logits, target, is_synthetic, embeddings)
        else:
            cap = logits.new_full(logits.shape[:1], self.beta, dtype=torch.float32)
            is_unknown = torch.zeros_like(is_synthetic)
        applied = cap if self.training and self._is_capping else torch.full_like(cap, torch.inf)
        losses, capped = _cap_losses(losses, target, is_synthetic, applied, self.gradient, self.weight)
        if self.training:
            self._counts.add(is_synthetic, capped, cap.detach(), is_unknown)
        else:
            self._counts.add_evaluated(is_synthetic)
        return _reduce(losses, target, self.weight, self.ignore_index, self.reduction)

    def _distance_cap(
        self, tracker: Tracker, logits: Tensor, labels: Tensor, is_synthetic: Tensor, embeddings: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return caps, and which rows have none because their class has no centroid yet; both ``(N,)``."""
        if embeddings is None:
            embeddings = tracker.take_embeddings()
            check_embeddings(embeddings, logits)
            if hasattr(tracker, "check_logits"):
                tracker.check_logits(logits)
        if self.gradient != "flow":
            embeddings = embeddings.detach()
        if self.ignore_index >= 0:  # a negative one is never a class
            labels = labels.masked_fill(labels == self.ignore_index, -1)
        centroids, counts = tracker.centroids_for(embeddings, labels, is_synthetic)
        if len(centroids) < logits.shape[1]:
            raise ValueError(
                f"logits have {logits.shape[1]} classes, but the tracker has num_classes={len(centroids)}. Create it with the number "
                "of classes of the logits (2 for one binary logit)."
            )
        cap = CAPS[str(self.distance)](embeddings, labels, centroids, self.beta)
        check_cap(cap, logits)  # the function may be a user's
        if self._is_capping:
            check_flow(self.gradient, cap, logits)
        return cap, counts.index_select(0, labels.clamp(min=0)) == 0

    @property
    def stats(self) -> dict[str, Tensor]:
        """Counts of capped samples in training since the last :meth:`reset_stats`, as 0-dimensional tensors.

        ``synthetic``: synthetic samples seen, int64. ``capped``: those over their cap, int64. ``share_capped``: capped /
        synthetic, float32. ``mean_cap``: mean of the finite caps, in nats, float32; NaN if there is none.
        ``without_centroid``: synthetic samples of a class whose centroid is not known yet, int64. Counts are of this process
        until :meth:`all_reduce_stats`. Reading a value, or ``stats`` after an evaluation, waits for the GPU.
        """
        return self._counts.stats()

    def reset_stats(self, expected_synthetic: int | None = None) -> None:
        """Set the counts behind :attr:`stats` to zero; warn if no sample of the training since the last call was synthetic.

        Args:
            expected_synthetic: Number of synthetic samples in the training set, if it is known. With 0 there is
                no warning. Under ``torch.distributed`` only counts that were summed by :meth:`all_reduce_stats` are checked.
        """
        self._counts.reset(expected_synthetic)

    def all_reduce_stats(self) -> None:
        """Sum the counts over all ranks until the next batch, and warn as :meth:`reset_stats`; every rank calls it."""
        self._counts.sum_over_ranks()

    def train(self, mode: bool = True) -> "CappedSMOTELoss":
        """Set training or evaluation mode; warn if the evaluation that ends held synthetic samples."""
        if mode:
            self._counts.check_evaluated()
        return super().train(mode)

    def extra_repr(self) -> str:
        names = ("distance", "gradient", "label_smoothing", "ignore_index", "reduction", "warmup_epochs")
        return ", ".join([f"beta={self.beta}", *(f"{name}={getattr(self, name)!r}" for name in names)])
