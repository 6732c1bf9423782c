"""Cross-entropy in which a synthetic sample costs at most its cap: a function, and a Module that remembers its options."""

from typing import Literal, Protocol, get_args

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from clesmote_losses.caps import cosine_cap, euclidean_cap
from clesmote_losses.targets import check_class_index, decode_target

Gradient = Literal["stop", "scale", "flow"]
Distance = Literal["cosine", "euclidean"]
Reduction = Literal["none", "mean", "sum"]
_GRADIENTS, _REDUCTIONS = get_args(Gradient), get_args(Reduction)  # here, since torch 2.6 cannot compile get_args


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
    r"""Cross-entropy in which a synthetic sample costs at most its cap.

    .. math:: \ell_i = w_{y_i} \min(\mathrm{CE}_i, \tau_i) \text{ if } s_i \text{ else } w_{y_i} \mathrm{CE}_i

    with cap :math:`\tau_i`, synthetic flag :math:`s_i` (the paper's Eq. 2) and class weight :math:`w` (1 if none is
    given). Where no row is over its cap, value and gradient are those of :func:`torch.nn.functional.cross_entropy`
    with the same options, bit for bit.

    Args:
        logits: Unnormalised scores, float, shape ``(N, C)``. Shape ``(N,)`` or ``(N, 1)`` is a single logit for
            class 1 (binary cross-entropy), treated as the scores ``[0, logit]``.
        target: Class indices, int64, shape ``(N,)``, each in ``[0, C)`` or equal to ``ignore_index``.
        is_synthetic: ``True`` where SMOTE made the sample, bool, shape ``(N,)``.
        cap: Ceiling in nats, float, shape ``(N,)``; ``inf`` leaves a sample uncapped. Rows of real samples are not read.
        gradient: What a row over its cap passes back. ``"stop"``: nothing, so a bad interpolation stops pulling on the
            model. ``"scale"``: the gradient of CE times cap / CE. ``"flow"``: the gradient of the cap itself, which
            pushes the embedding away from its centroid (for the ablation; ``cap`` must carry a graph).
        weight: Weight of each class, float, shape ``(C,)``. The cap is multiplied by it too.
        label_smoothing: As in :class:`torch.nn.CrossEntropyLoss`, in ``[0, 1]``.
        ignore_index: Rows with this target cost nothing and are not counted.
        reduction: ``"mean"`` divides by the number of rows that are not ignored (with ``weight``: by the sum of their
            weights); capped rows count too. ``"sum"`` and ``"none"`` as in torch.

    Returns:
        Loss in nats, of the dtype that torch's cross-entropy gives: a scalar, or shape ``(N,)`` if ``reduction="none"``.

    Raises:
        TypeError: If ``logits`` is not a tensor or ``target`` not integer.
        ValueError: If an option, or the shape or dtype of an argument is wrong.

    Example:
        >>> logits, target = torch.tensor([[0.0, 3.0], [0.0, 3.0]]), torch.tensor([0, 0])
        >>> capped_cross_entropy(logits, target, torch.tensor([False, True]), torch.ones(2), reduction="none")
        tensor([3.0486, 1.0000])
    """
    _check_options(gradient, label_smoothing, reduction)
    logits = _columns(logits)
    _check_rows(logits, target, is_synthetic, cap)
    if gradient == "flow" and logits.requires_grad and not cap.requires_grad:
        raise ValueError(
            'gradient="flow" passes the gradient of the cap, but cap has no graph. Make it of embeddings that have one.'
        )
    return _cap(logits, target, is_synthetic, cap, gradient, weight, label_smoothing, ignore_index, reduction)[0]


def _cap(
    logits: Tensor,
    target: Tensor,
    is_synthetic: Tensor,
    cap: Tensor,
    gradient: Gradient,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
    reduction: Reduction,
) -> tuple[Tensor, Tensor]:
    """The loss, and which rows were capped: bool of shape ``(N,)``."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    # torch's cross-entropy is log_softmax and nll_loss: two reductions share the first. With smoothing it is more; and half
    # precision keeps torch's own function, which autocast may cast as a whole and not in its parts.
    log_probs = F.log_softmax(logits, dim=1) if logits.dtype == dtype and not label_smoothing else None

    def cross_entropy(target: Tensor, reduction: str) -> Tensor:
        if log_probs is not None:
            return F.nll_loss(log_probs, target, weight, reduction=reduction, ignore_index=ignore_index)
        return F.cross_entropy(
            logits, target, weight, reduction=reduction, ignore_index=ignore_index, label_smoothing=label_smoothing
        )

    row_weight = (target != ignore_index).to(dtype)
    if weight is not None:
        row_weight = row_weight * weight.to(dtype)[target.clamp(0, logits.shape[1] - 1)]
    ceiling = cap.to(dtype) if weight is None else cap.to(dtype) * row_weight
    with torch.no_grad():
        unbounded = cross_entropy(target, "none")
        capped = is_synthetic & (unbounded > ceiling)
    if gradient == "stop":
        ceiling = ceiling.detach()
    elif gradient == "scale":
        ratio = torch.where(capped, ceiling / unbounded, 0.0).detach()
        # an infinite loss has no gradient to scale
        scaled = torch.where(unbounded.isfinite(), cross_entropy(target, "none"), 0.0) * ratio
        ceiling = scaled + (ceiling - scaled).detach()

    # The rows under their cap go through torch's own reduction and the capped ones are left out of it as ignored. With
    # no capped row the rest is a multiplication by 1 and an addition of 0, so the loss is torch's, bit for bit.
    plain = cross_entropy(target.masked_fill(capped, ignore_index), reduction)
    ceiling = ceiling.to(plain.dtype).masked_fill(~capped, 0)
    if reduction == "none":
        return plain + ceiling, capped
    if reduction == "sum":
        return plain + ceiling.sum(), capped
    total = row_weight.sum()
    uncapped = row_weight.masked_fill(capped, 0).sum()
    # torch's mean over no row is NaN; over nothing but capped rows it is the mean of the caps, and 0 / 0 over none
    plain = plain.masked_fill(uncapped == 0, 0)
    return plain * (uncapped / total).to(plain.dtype) + ceiling.sum() / total.to(plain.dtype), capped


class Tracker(Protocol):
    """What :class:`CappedSMOTELoss` asks of its tracker; :class:`ClassCentroidTracker` is one."""

    def take_embeddings(self) -> Tensor:
        """Pre-head embeddings of the model's last forward, shape ``(N, D)``."""

    def centroids_for(self, embeddings: Tensor, labels: Tensor, is_synthetic: Tensor) -> tuple[Tensor, Tensor]:
        """Centroids ``(C, D)`` to hold this batch against, and how many images each is the mean of, ``(C,)``.

        Rows with a negative label are ignored ones.
        """


class CappedSMOTELoss(nn.Module):
    r"""Stage 3 of CLE-SMOTE: :func:`capped_cross_entropy` with caps from a tracker and flags from the target.

    Drops in for :class:`torch.nn.CrossEntropyLoss` in a loop that trains on a :class:`SMOTEDataset`. In ``eval()`` mode
    nothing is capped and no embedding is needed: it is cross-entropy that knows encoded targets.

    Args:
        beta: Noise tolerance of the cap, positive; with ``distance=None`` the cap itself, in nats.
        tracker: The :class:`ClassCentroidTracker` on the model. Needed unless ``distance=None``.
        distance: ``"cosine"`` (:func:`cosine_cap`), ``"euclidean"`` (:func:`euclidean_cap`), or ``None`` for a constant cap.
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
    _sums: Tensor

    def __init__(
        self,
        beta: float = 1.0,
        *,
        tracker: Tracker | None = None,
        distance: Distance | None = "cosine",
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
        if weight is not None and not isinstance(weight, Tensor):
            raise TypeError(
                f"weight must be a float tensor, one for each class; got {type(weight).__name__}: torch.tensor(weight)."
            )
        if distance not in (*get_args(Distance), None):
            raise ValueError(f"distance must be one of {get_args(Distance)} or None (constant cap); got {distance!r}.")
        if distance is not None and tracker is None:
            raise ValueError(
                f"distance={distance!r} needs tracker=ClassCentroidTracker(model, num_classes). For a constant cap of beta "
                "nats pass distance=None."
            )
        if distance is None and gradient == "flow":
            raise ValueError(
                'gradient="flow" passes the gradient of the cap, and a constant cap (distance=None) has none.'
            )
        if warmup_epochs < 0:
            raise ValueError(f"warmup_epochs must be 0 or more; got {warmup_epochs}.")
        _check_options(gradient, label_smoothing, reduction)
        self.beta = beta
        self.tracker = tracker
        self.distance: Distance | None = distance
        self.gradient: Gradient = gradient
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.reduction: Reduction = reduction
        self.warmup_epochs = warmup_epochs
        self._is_capping = None if warmup_epochs else True  # None: set_epoch has to say
        self.register_buffer("weight", weight)
        self.register_buffer("_sums", torch.zeros(5), persistent=False)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch begins, counted from 0; only ``warmup_epochs`` depends on it."""
        self._is_capping = epoch >= self.warmup_epochs

    def forward(
        self, logits: Tensor, target: Tensor, embeddings: Tensor | None = None, *, is_synthetic: Tensor | None = None
    ) -> Tensor:
        """Loss of a batch.

        Args:
            logits: As in :func:`capped_cross_entropy`.
            target: Targets of a :class:`SMOTEDataset`, int64, shape ``(N,)``; plain labels if ``is_synthetic`` is given.
            embeddings: Pre-head embeddings, float, shape ``(N, D)``; by default those of the model's last forward, which
                the tracker holds.
            is_synthetic: Bool, shape ``(N,)``; by default decoded from ``target``.

        Raises:
            RuntimeError: If the tracker holds no embeddings or no centroids yet, or ``set_epoch`` was not called
                although ``warmup_epochs`` is set.
            TypeError, ValueError: As :func:`capped_cross_entropy`.
        """
        logits = _columns(logits)
        if is_synthetic is None:
            target, is_synthetic = decode_target(target)
        _check_rows(logits, target, is_synthetic)
        if self.training and self._is_capping is None:
            raise RuntimeError(
                "warmup_epochs is set, so the loss must know the epoch: call criterion.set_epoch(epoch)."
            )
        # in warm-up too, since an online tracker learns from each batch that it is asked for
        if self.training and self.tracker is not None and self.distance is not None:
            cap, is_unknown = self._distance_cap(self.tracker, logits, target, is_synthetic, embeddings)
        else:
            cap = logits.new_full(logits.shape[:1], self.beta, dtype=torch.float32)
            is_unknown = torch.zeros_like(is_synthetic)
        is_capping = self.training and self._is_capping
        loss, capped = _cap(
            logits,
            target,
            is_synthetic,
            cap if is_capping else torch.full_like(cap, torch.inf),
            self.gradient,
            self.weight,
            self.label_smoothing,
            self.ignore_index,
            self.reduction,
        )
        if self.training:
            self._count(is_synthetic, capped, cap.detach(), is_unknown)
        return loss

    def _distance_cap(
        self, tracker: Tracker, logits: Tensor, labels: Tensor, is_synthetic: Tensor, embeddings: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Caps, and which rows have none because the class has no centroid yet; both ``(N,)``."""
        if embeddings is None:
            embeddings = tracker.take_embeddings()
        if len(embeddings) != len(logits):
            raise ValueError(
                f"embeddings of {len(embeddings)} samples do not belong to logits of {len(logits)} rows. Call "
                "criterion(model(images), target) right after each other; evaluate another model (an EMA copy, say) with "
                "criterion.eval() or nn.CrossEntropyLoss; use DistributedDataParallel, not DataParallel."
            )
        if self.gradient != "flow":
            embeddings = embeddings.detach()
        if self.ignore_index >= 0:  # a negative one is no class in any case
            labels = labels.masked_fill(labels == self.ignore_index, -1)
        centroids, counts = tracker.centroids_for(embeddings, labels, is_synthetic)
        if len(centroids) < logits.shape[1]:
            raise ValueError(
                f"logits are of {logits.shape[1]} classes and the tracker was made with num_classes={len(centroids)}: make it "
                "with as many (2 for one binary logit)."
            )
        cap = (cosine_cap if self.distance == "cosine" else euclidean_cap)(embeddings, labels, centroids, self.beta)
        return cap, counts.index_select(0, labels.clamp(min=0)) == 0

    @torch.no_grad()
    def _count(self, is_synthetic: Tensor, capped: Tensor, cap: Tensor, is_unknown: Tensor) -> None:
        if self._sums.device != cap.device:  # the criterion is often left on the CPU
            self._sums = self._sums.to(cap.device)
        has_cap = is_synthetic & (cap < torch.inf)
        rows = (is_synthetic, capped, has_cap, cap.masked_fill(~has_cap, 0), is_synthetic & is_unknown)
        self._sums.add_(torch.stack(rows).sum(dim=1))

    @property
    def stats(self) -> dict[str, Tensor]:
        """What was capped in training since the last :meth:`reset_stats`, as 0-dimensional float32 tensors.

        ``synthetic``: synthetic samples seen. ``capped``: those over their cap. ``share_capped``: capped / synthetic.
        ``mean_cap``: mean of the finite caps, in nats; NaN if there is none. ``without_centroid``: synthetic samples of
        a class whose centroid is not known yet. Nothing waits for the GPU until you read a value. Counts are of this
        process, until :meth:`all_reduce_stats`.
        """
        synthetic, capped, has_cap, cap, unknown = self._sums.clone()
        return {
            "synthetic": synthetic,
            "capped": capped,
            "share_capped": capped / synthetic.clamp(min=1),
            "mean_cap": cap / has_cap,
            "without_centroid": unknown,
        }

    def reset_stats(self) -> None:
        """Set the counts behind :attr:`stats` to zero."""
        self._sums.zero_()

    def all_reduce_stats(self) -> None:
        """Add up the counts behind :attr:`stats` over all ranks; every rank calls it, once before :meth:`reset_stats`."""
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(self._sums)

    def extra_repr(self) -> str:
        names = ("distance", "gradient", "label_smoothing", "ignore_index", "reduction", "warmup_epochs")
        return ", ".join([f"beta={self.beta}", *(f"{name}={getattr(self, name)!r}" for name in names)])


def _columns(logits: Tensor) -> Tensor:
    """Scores of shape ``(N, C)``. A single logit z becomes ``[0, z]``: the same loss, and each option means the same."""
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"logits must be a tensor of shape (N, C); got {type(logits).__name__}. A distilled model in training mode gives one "
            "output for each head: model.set_distilled_training(False) makes it one."
        )
    if logits.ndim == 2 and logits.shape[1] == 1:
        logits = logits[:, 0]
    if logits.ndim == 1:
        logits = torch.stack([torch.zeros_like(logits), logits], dim=1)
    if logits.ndim != 2 or not logits.is_floating_point():
        raise ValueError(
            f"logits must be float of shape (N, C), (N, 1) or (N,); got {logits.dtype} of shape {tuple(logits.shape)}."
        )
    return logits


def _check_rows(logits: Tensor, target: Tensor, is_synthetic: Tensor, cap: Tensor | None = None) -> None:
    rows = logits.shape[:1]
    check_class_index("target", target)
    if target.shape != rows:
        raise ValueError(
            f"target must have shape {tuple(rows)}, one class index for each row of logits; got {tuple(target.shape)}."
        )
    if is_synthetic.shape != rows or is_synthetic.dtype != torch.bool:
        raise ValueError(
            f"is_synthetic must be bool of shape {tuple(rows)}, one flag for each row of logits; got {is_synthetic.dtype} of "
            f"shape {tuple(is_synthetic.shape)}. decode_target(target)[1] gives it."
        )
    if cap is not None and (cap.shape != rows or not cap.is_floating_point()):
        raise ValueError(
            f"cap must be float of shape {tuple(rows)}, one ceiling for each row of logits; got {cap.dtype} of shape "
            f"{tuple(cap.shape)}. cosine_cap(...) gives it; torch.full({tuple(rows)}, c) is a constant cap."
        )


def _check_options(gradient: str, label_smoothing: float, reduction: str) -> None:
    if gradient not in _GRADIENTS:
        raise ValueError(f"gradient must be one of {_GRADIENTS}; got {gradient!r}.")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1]; got {label_smoothing}.")
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be one of {_REDUCTIONS}; got {reduction!r}.")
