"""What the loss has seen and capped, class by class, and warnings about what cannot be right."""

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clesmote_losses.class_sums import sum_dtype
from clesmote_losses.distributed import gather_from_ranks, is_distributed
from clesmote_losses.errors import warn_user
from clesmote_losses.oversampled_classes import OversampledClasses

_COUNTED = ("rows", "subject", "capped", "with_cap", "without_centroid", "with_loss")
_SUMMED = ("cap", "loss", "kept")
# on the CPU also where modules are made on another device, such as "meta"
_NOTHING = (
    torch.zeros(0, 2, len(_COUNTED), dtype=torch.int64, device="cpu"),
    torch.zeros(0, 2, len(_SUMMED), dtype=torch.float64, device="cpu"),
)
_LEAST_KEPT = 0.5  # a smaller share of the loss of a class is warned about
_NAMED = 20  # classes in a warning


class LossCounts:
    """Count samples exactly and without waiting for the GPU.

    These are no buffers of the loss: ``DistributedDataParallel`` sends buffers from rank 0 to all ranks, ``half()`` rounds
    them, and copies of the weights (EMA) average them.

    Args:
        oversampled: Classes whose loss is watched, besides those with synthetic samples.

    Attributes:
        counts: Numbers of :data:`_COUNTED`, int64, shape ``(C + 1, 2, 6)``: of ignored rows and then of each class, real and
            synthetic samples apart. ``C`` is 0 before the first batch.
        sums: Sums of :data:`_SUMMED` in nats, float64 (float32 on Apple's GPUs), shape ``(C + 1, 2, 3)``: finite caps of the
            rows subject to the cap, losses before the cap, and what of them still trains.
        expected: Number of synthetic samples in the training set; ``None`` if it is not known.
    """

    def __init__(self, oversampled: OversampledClasses | None = None) -> None:
        self.counts = torch.zeros(1, 2, len(_COUNTED), dtype=torch.int64, device="cpu")
        self.sums = torch.zeros(1, 2, len(_SUMMED), dtype=torch.float64, device="cpu")
        self.expected: int | None = None
        self._oversampled = OversampledClasses() if oversampled is None else oversampled
        self._total: tuple[Tensor, Tensor] | None = None  # over all ranks
        self._start = self._total_start = _NOTHING  # what was counted before the epoch, where nobody resets
        self._evaluated: Tensor | None = None  # synthetic samples in evaluation
        self._is_checked = False
        self._is_warned = False  # of synthetic samples in the running evaluation
        self._warned_classes: set[int] = set()
        self._warned_unknown: set[int] = set()  # classes without a centroid

    @torch.no_grad()
    def add(
        self,
        labels: Tensor,
        is_synthetic: Tensor,
        num_classes: int,
        *,
        subject: Tensor,
        capped: Tensor,
        without_centroid: Tensor,
        cap: Tensor,
        loss: Tensor,
        kept: Tensor,
    ) -> None:
        """Count a batch of training; all tensors of shape ``(N,)``.

        Args:
            labels: Class indices, int64; a negative one is of an ignored row.
            is_synthetic: ``True`` where SMOTE made the sample, bool.
            num_classes: Number of classes ``C``.
            subject, capped, without_centroid: Rows that are subject to the cap, over it, and without a centroid, bool.
            cap, loss, kept: Cap, loss before the cap, and what of it still trains, float, in nats. A loss that is not finite
                (overflow in half precision) adds nothing.
        """
        if self.counts.device != labels.device:  # the criterion is often left on the CPU
            self.counts = self.counts.to(labels.device)
            self.sums = self.sums.to(labels.device, sum_dtype(labels.device))
        self._grow(num_classes)
        has_cap = subject & (cap < torch.inf)
        counted = (torch.ones_like(subject), subject, capped, has_cap, subject & without_centroid, loss < torch.inf)
        summed = (cap.masked_fill(~has_cap, 0), loss.nan_to_num(0, 0, 0), kept.nan_to_num(0, 0, 0))
        row = 2 * (labels + 1).clamp(min=0) + is_synthetic
        self.counts.view(-1, len(_COUNTED)).index_add_(0, row, torch.stack(counted, dim=1).long())
        values = torch.stack([value.to(self.sums.dtype) for value in summed], dim=1)
        self.sums.view(-1, len(_SUMMED)).index_add_(0, row, values)
        self._total = None

    def _grow(self, num_classes: int) -> None:
        """Add rows of zeros until there is one for each class."""
        if (missing := num_classes + 1 - len(self.counts)) > 0:
            self.counts, self.sums = (F.pad(table, (0, 0, 0, 0, 0, missing)) for table in (self.counts, self.sums))

    @torch.no_grad()
    def add_evaluated(self, is_synthetic: Tensor) -> None:
        """Count the synthetic samples of a batch of evaluation, unless the loss is compiled; on the CPU, warn at once."""
        if torch.compiler.is_compiling() or self._is_warned:  # a CUDA graph would overwrite the sum
            return
        count = is_synthetic.sum()
        # no sum in place: a tensor made in inference mode cannot be changed outside
        self._evaluated = count if self._evaluated is None else self._evaluated + count
        if count.device.type == "cpu":  # where no value has to be waited for
            self._warn_evaluated()

    def stats(self) -> dict[str, Tensor]:
        """Return what :attr:`CappedSMOTELoss.stats` documents."""
        self.check_evaluated()
        counts, sums = self._total or (self.counts, self.sums)
        count = dict(zip(_COUNTED, counts.sum(dim=(0, 1)), strict=True))
        before, kept = (self._loss_by_class() * self._is_watched()[:, None]).sum(dim=0)
        return {
            "synthetic": counts[:, 1, _COUNTED.index("rows")].sum(),
            "capped": count["capped"],
            "share_capped": count["capped"].float() / count["subject"].clamp(min=1).float(),
            "mean_cap": (sums[:, :, _SUMMED.index("cap")].sum() / count["with_cap"]).float(),
            "without_centroid": count["without_centroid"],
            "mass_kept": (kept / before).float(),
        }

    def _loss_by_class(self) -> Tensor:
        """Return the loss of each class before the cap, and what of it still trains, shape ``(C, 2)``."""
        _, sums = self._total or (self.counts, self.sums)
        return sums[1:, :, 1:].sum(dim=1)

    def _is_watched(self) -> Tensor:
        """Return which classes are over-sampled or have synthetic samples, bool, shape ``(C,)``."""
        counts, _ = self._total or (self.counts, self.sums)
        has_classes = len(counts) > 1  # there was a batch
        mask = self._oversampled.mask(len(counts) - 1, counts.device) if has_classes else None
        has_synthetic = counts[1:, 1, _COUNTED.index("rows")] > 0
        return has_synthetic if mask is None else has_synthetic | mask

    def sum_over_ranks(self, beta: float = math.inf, *, expects_centroids: bool = False) -> None:
        """Let :meth:`stats` return the sums over all ranks until the next batch, and warn; every rank calls it."""
        # as objects: ranks without a batch have their counts on another device, and of no class
        tables = gather_from_ranks((self._on_cpu(), self._start))
        self._grow(max(len(counts) for (counts, _), _ in tables) - 1)
        self._total, self._total_start = (self._added_up(part) for part in zip(*tables, strict=True))
        self._check(beta, expects_centroids, is_end=True)

    def _on_cpu(self) -> tuple[Tensor, Tensor]:
        """Return a copy of counts and sums on the CPU."""
        return self.counts.cpu().clone(), self.sums.cpu().double().clone()

    def _added_up(self, tables: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Return the sums of counts and of sums, which may have fewer classes than this has."""
        total = torch.zeros_like(self.counts, device="cpu"), torch.zeros_like(self.sums, device="cpu").double()
        for table in tables:
            for whole, part in zip(total, table, strict=True):
                whole[: len(part)] += part
        return total

    def start_epoch(self) -> None:
        """Let :meth:`of_epoch` begin here, if the counts are not set to zero."""
        self._start = self._on_cpu()
        self._total_start = self._start if self._total is None else self._total

    def of_epoch(self) -> tuple[Tensor, Tensor] | None:
        """Return counts and sums since :meth:`start_epoch` or :meth:`reset` on the CPU; waits for the GPU.

        They are of all ranks, and ``None`` if a batch came since :meth:`sum_over_ranks` and there are other ranks.
        """
        if self._total is None and is_distributed():
            return None
        whole, start = (self._on_cpu(), self._start) if self._total is None else (self._total, self._total_start)
        return self._added_up([whole, (-start[0], -start[1])])

    def reset(self, expected: int | None = None, beta: float = math.inf, *, expects_centroids: bool = False) -> None:
        """Set all counts to zero, and warn; ``expected`` sets the attribute, if it is known."""
        self.check_evaluated()
        self._check(beta, expects_centroids)
        self.counts.zero_()
        self.sums.zero_()
        self._total, self._is_checked = None, False
        self._start = self._total_start = _NOTHING
        if expected is not None:
            self.expected = expected

    def check_evaluated(self) -> None:
        """Warn if synthetic samples came in evaluation and it was not said yet; without evaluation no value is read."""
        self._warn_evaluated()
        self._is_warned = False

    def _warn_evaluated(self) -> None:
        if self._evaluated is None:
            return
        evaluated, self._evaluated = int(self._evaluated), None
        if evaluated:
            self._is_warned = True
            warn_user(
                f"{evaluated} synthetic samples came to the loss in evaluation mode (criterion.eval()). Was the validation set split off "
                "from a SMOTEDataset? Its synthetic images are made of training images: split first, and wrap only the training part "
                "in SMOTEDataset. In training, call criterion.train()."
            )

    def _check(self, beta: float, expects_centroids: bool, *, is_end: bool = False) -> None:
        """Warn, once in an epoch, of counts that cannot be right, and of classes that hardly train."""
        if self._is_checked or (self._total is None and is_distributed()):
            return
        self._is_checked = True
        if self.expected != 0:
            self._check_seen(is_end)
        self._check_kept(beta)
        if expects_centroids:
            self._check_centroids()

    def _check_seen(self, is_end: bool) -> None:
        """Warn if the loss saw no synthetic sample in training, or at the end of an epoch none at all."""
        counts, _ = self._total or (self.counts, self.sums)
        real, synthetic = counts[:, :, _COUNTED.index("rows")].sum(dim=0).tolist()
        known = "" if self.expected is None else f", though the training set has {self.expected}"
        if real and not synthetic:
            warn_user(
                f"none of the {real} samples that the loss saw in training was synthetic{known}: nothing is capped. Does the loader have a "
                "sampler for the data set before SMOTE (a WeightedRandomSampler of its labels)? Make it for the SMOTEDataset, or leave "
                "it out. Was the target decoded before? Pass it as it comes from the loader, or pass is_synthetic=. If the training set "
                "has no synthetic samples, call criterion.reset_stats(expected_synthetic=0)."
            )
        elif not real and not synthetic and is_end and known:
            warn_user(
                f"the loss saw no synthetic sample{known}: it was not called in training. Does the loop call another?"
            )

    def _check_centroids(self) -> None:
        """Warn, once for each class, if samples of a class are subject to the cap, and none had a centroid."""
        counts, _ = self._total or (self.counts, self.sums)
        subject, unknown = (counts[1:, :, _COUNTED.index(name)].sum(dim=1) for name in ("subject", "without_centroid"))
        found = ((subject > 0) & (unknown == subject)).nonzero()[:, 0].tolist()
        lost = [label for label in found if label not in self._warned_unknown]
        self._warned_unknown.update(lost)
        if lost:
            warn_user(
                f"no sample of class {', '.join(map(str, lost[:_NAMED]))}{', ...' if lost[_NAMED:] else ''} had a centroid, so that none "
                "was capped. begin_epoch(criterion, train_set, epoch) makes centroids of the real images; tracker.refresh(data) only of "
                'classes with images in data. In mode "online" they are of the epoch before: save tracker.state_dict() in the checkpoint, '
                "and load it when the run is resumed."
            )

    def _check_kept(self, beta: float) -> None:
        """Warn, once for each class, if less than half of the loss of a class still trains."""
        losses = zip(self._is_watched().tolist(), self._loss_by_class().tolist(), strict=True)
        shares = {label: kept / before for label, (watched, (before, kept)) in enumerate(losses) if watched and before}
        low = [label for label, share in shares.items() if share < _LEAST_KEPT and label not in self._warned_classes]
        self._warned_classes.update(low)
        if low:
            named = ", ".join(f"{100 * shares[label]:.0f} % of the loss of class {label}" for label in low[:_NAMED])
            num_classes = len(self._loss_by_class())
            warn_user(
                f"only {named}{', ...' if low[_NAMED:] else ''} still trains: raise beta (now {beta:g}), or leave the first epochs without "
                f"caps (warmup_epochs=). Uniform predictions have a cross-entropy of ln({num_classes}) = {math.log(num_classes):.2f} nats, "
                "so that a lower cap stops what is not learnt yet."
            )

    def __getstate__(self) -> dict[str, Any]:
        # a file of the loss can be read where there is no GPU
        evaluated = None if self._evaluated is None else self._evaluated.cpu()
        return {**self.__dict__, "counts": self.counts.cpu(), "sums": self.sums.cpu(), "_evaluated": evaluated}
