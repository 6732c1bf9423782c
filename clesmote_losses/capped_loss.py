"""The loss of CLE-SMOTE: a Module that remembers the options of :func:`capped_cross_entropy`, and counts."""

from collections.abc import Iterable
from typing import Any, Literal, Protocol, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from clesmote_losses.caps import CAPS
from clesmote_losses.cross_entropy import cap_losses, capped_cross_entropy, reduce_losses
from clesmote_losses.errors import check_choice, check_numbers
from clesmote_losses.history import KeepsHistory
from clesmote_losses.loss_counts import LossCounts
from clesmote_losses.loss_inputs import (
    Gradient,
    Reduction,
    as_columns,
    check_adjustment,
    check_cap,
    check_embeddings,
    check_flow,
    check_options,
    check_rows,
)
from clesmote_losses.oversampled_classes import OversampledClasses
from clesmote_losses.targets import decode_target

__all__ = ["Capped", "CappedSMOTELoss", "Tracker", "capped_cross_entropy"]

Capped = Literal["synthetic", "oversampled"]


class Tracker(Protocol):
    """What :class:`CappedSMOTELoss` needs of a tracker; its ``check_logits(logits)`` is called too, if it has one."""

    def take_embeddings(self) -> Tensor:
        """Return the pre-head embeddings of the model's last forward pass, shape ``(N, D)``."""

    def centroids_for(self, embeddings: Tensor, labels: Tensor, is_synthetic: Tensor) -> tuple[Tensor, Tensor]:
        """Return centroids ``(C, D)`` and the number of images behind each, ``(C,)``; ignored rows have negative labels."""


class CappedSMOTELoss(KeepsHistory):
    r"""Compute :func:`capped_cross_entropy` with caps from a tracker and flags from the target (stage 3 of CLE-SMOTE).

    Replaces :class:`torch.nn.CrossEntropyLoss` in a loop that trains on a :class:`SMOTEDataset`. In ``eval()`` mode it
    caps and adjusts nothing and needs no embedding: it is cross-entropy on decoded targets.

    **Choosing beta.** Uniform predictions have a cross-entropy of :math:`\ln C` nats: 0.69 for 2 classes, 2.30 for 10. The
    cosine cap is ``beta`` / distance, with a distance in ``[0, 2]``: it is never below ``beta / 2``. A sample that costs
    :math:`\ln C` is over its cap if its distance is above :math:`\beta / \ln C`: with ``beta=1`` 1.44 for 2 classes (hardly
    any sample) and 0.43 for 10, with ``beta=0.3`` 0.43 and 0.13. From ``beta`` = :math:`2 \ln C` on none is. With
    ``gradient="stop"``, a constant cap below :math:`\ln C` stops every sample that it applies to until the network knows
    better than chance. Watch ``share_capped`` and ``mass_kept`` of :attr:`stats`, and :attr:`history` class by class.

    Args:
        beta: Noise tolerance of the cap, positive; with ``distance=None`` the cap itself, in nats.
        tracker: The :class:`ClassCentroidTracker` on the model. Needed unless ``distance=None``.
        distance: A name in :data:`clesmote_losses.caps.CAPS`, such as ``"cosine"`` (:func:`cosine_cap`) or ``"euclidean"``
            (:func:`euclidean_cap`); ``None`` for a constant cap.
        capped: Which samples are subject to the cap. ``"synthetic"``: those that SMOTE made (the paper). ``"oversampled"``:
            every sample of the over-sampled classes, real ones too. It needs :func:`begin_epoch` or this class's
            ``set_oversampled_classes``, and ``warmup_epochs``: a constant cap from the first step stopped the rare class.
        gradient, weight, label_smoothing, ignore_index, reduction: As in :func:`capped_cross_entropy`.
        logit_adjustment: Added to the logits in training mode, float, shape ``(C,)`` (two entries for a single logit).
            :func:`log_prior` of the counts of the samples that the loader draws gives Menon et al. (2021), Eq. 10; the raw
            logits are then scores of balanced classes. The cap is compared with the cross-entropy of the adjusted logits.
        warmup_epochs: Number of first epochs without caps. Needs ``set_epoch(epoch)`` at the start of each epoch.

    Raises:
        TypeError: If ``weight`` or ``logit_adjustment`` is no (float) tensor.
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
    logit_adjustment: Tensor | None

    def __init__(
        self,
        beta: float = 1.0,
        *,
        tracker: Tracker | None = None,
        distance: str | None = "cosine",
        capped: Capped = "synthetic",
        gradient: Gradient = "stop",
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        logit_adjustment: Tensor | None = None,
        warmup_epochs: int = 0,
    ) -> None:
        super().__init__()
        check_numbers(beta=beta, ignore_index=ignore_index, warmup_epochs=warmup_epochs)
        if not beta > 0:
            raise ValueError(f"beta must be positive; got {beta}.")
        check_choice("distance", distance, (*CAPS, None))
        check_choice("capped", capped, get_args(Capped))
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
        check_options(gradient, weight, label_smoothing, reduction, logit_adjustment)
        self.beta = beta
        self.tracker = tracker
        self.distance = distance
        self.capped: Capped = capped
        self.gradient: Gradient = gradient
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.reduction: Reduction = reduction
        self.warmup_epochs = warmup_epochs
        self._is_capping = None if warmup_epochs else True  # None: unknown until set_epoch
        self._epoch = -1  # unknown until set_epoch
        self.register_buffer("weight", weight)
        self.register_buffer("logit_adjustment", logit_adjustment)
        self._oversampled = OversampledClasses()
        self._counts = LossCounts(self._oversampled)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that begins, counted from 0: for ``warmup_epochs``, and a warning in epochs without centroids."""
        if epoch != self._epoch:
            self._record_epoch()
            self._counts.start_epoch()
        self._epoch = epoch
        self._is_capping = epoch >= self.warmup_epochs

    def set_oversampled_classes(self, classes: Iterable[int]) -> None:
        """Set the over-sampled classes, ``train_set.oversampled_classes``; :func:`begin_epoch` does it in each epoch.

        Args:
            classes: Class indices. With ``capped="oversampled"`` their samples are subject to the cap. ``mass_kept`` of
                :attr:`stats` is of their samples.

        Raises:
            TypeError: If they are no integers.
            ValueError: If one is negative.
        """
        self._oversampled.update(classes)

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
            RuntimeError: If the tracker holds no embeddings or no centroids yet, or ``set_epoch`` or
                ``set_oversampled_classes`` was not called although ``warmup_epochs`` or ``capped="oversampled"`` is set.
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
        adjusted = logits
        if self.training and self.logit_adjustment is not None:
            check_adjustment(self.logit_adjustment, logits)
            adjusted = logits + self.logit_adjustment
        # first, since torch names a target that is out of range
        before = F.cross_entropy(adjusted, target, self.weight, reduction="none", **options)
        if not self.training:
            self._counts.add_evaluated(is_synthetic)
            return reduce_losses(before, target, self.weight, self.ignore_index, self.reduction)
        is_ignored = target == self.ignore_index
        subject = is_synthetic
        if self.capped == "oversampled":
            subject = self._oversampled.rows(target, logits.shape[1]) & ~is_ignored
        # also during warm-up, since an online tracker learns from each of these calls
        if self.tracker is not None and self.distance is not None:
            cap, is_unknown = self._distance_cap(self.tracker, logits, target, is_synthetic, embeddings)
        else:
            cap = logits.new_full(logits.shape[:1], self.beta, dtype=torch.float32)
            is_unknown = torch.zeros_like(is_synthetic)
        applied = cap if self._is_capping else torch.full_like(cap, torch.inf)
        losses, capped = cap_losses(before, target, subject, applied, self.gradient, self.weight)
        self._counts.add(
            target.masked_fill(is_ignored, -1),
            is_synthetic,
            logits.shape[1],
            subject=subject,
            capped=capped,
            without_centroid=is_unknown,
            cap=cap,
            loss=before,
            kept=losses if self.gradient == "scale" else before.masked_fill(capped, 0),
        )
        return reduce_losses(losses, target, self.weight, self.ignore_index, self.reduction)

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
        if len(centroids) != logits.shape[1]:
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
        """Counts of training since the last :meth:`reset_stats`, as 0-dimensional tensors.

        ``synthetic``: synthetic samples seen, int64. ``capped``: samples over their cap, int64. ``share_capped``: ``capped`` /
        number of samples that are subject to the cap, float32. These are the synthetic ones, or with ``capped="oversampled"``
        all of the over-sampled classes. ``mean_cap``: mean of their finite caps, in nats, float32; NaN if there is none.
        ``without_centroid``: those of a class whose centroid is not known yet, int64.

        ``mass_kept``: share of the loss of the classes with synthetic samples, and of over-sampled ones,
        that still trains, float32; NaN if there is none. It is a ratio of sums over all their samples. The denominator is
        the loss before the cap. In the numerator, a sample over its cap counts 0 or, with ``gradient="scale"``, its cap.
        Losses that are not finite count in neither.

        Values are of this process until :meth:`all_reduce_stats`. Reading one, or ``stats`` after an evaluation, waits for the
        GPU.
        """
        return self._counts.stats()

    def reset_stats(self, expected_synthetic: int | None = None) -> None:
        """Set the counts behind :attr:`stats` to zero, and warn of what cannot be right since the last call.

        It warns if no sample in training was synthetic and, once for each class, if less than half of the loss of an
        over-sampled class still trains, or if no sample of a class had a centroid (in mode ``"online"``
        not in the first epoch).

        Args:
            expected_synthetic: Number of synthetic samples in the training set, if it is known. With 0 there is no
                warning that none was seen. Under ``torch.distributed`` only counts that were summed by
                :meth:`all_reduce_stats` are checked.
        """
        self._record_epoch()
        self.history.close()
        # set_epoch may have been called for the next epoch already
        self._counts.reset(expected_synthetic, self.beta, expects_centroids=self._expects_centroids(since=2))

    def all_reduce_stats(self) -> None:
        """Sum the counts over all ranks until the next batch, and warn as :meth:`reset_stats`; every rank calls it."""
        self._counts.sum_over_ranks(self.beta, expects_centroids=self._expects_centroids(since=1))
        self._record_epoch()

    def _record_epoch(self) -> None:
        if (tables := self._counts.of_epoch()) is not None:
            self.history.record(None if self._epoch < 0 else self._epoch, *tables)

    def _expects_centroids(self, since: int) -> bool:
        """Return whether centroids should have been known; those of mode ``"online"`` from the epoch ``since`` on."""
        if self.tracker is None or self.distance is None:
            return False
        return getattr(self.tracker, "mode", None) != "online" or self._epoch >= since

    def train(self, mode: bool = True) -> "CappedSMOTELoss":
        """Set training or evaluation mode; warn if an evaluation on the GPU that ends held synthetic samples."""
        if mode:
            self._counts.check_evaluated()
        return super().train(mode)

    def extra_repr(self) -> str:
        names = ("distance", "gradient", "capped", "label_smoothing", "ignore_index", "reduction", "warmup_epochs")
        return ", ".join([f"beta={self.beta}", *(f"{name}={getattr(self, name)!r}" for name in names)])
