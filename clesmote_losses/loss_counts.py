"""Counts of what the loss has seen and capped, and warnings about counts that cannot be right."""

import sys
import warnings
from typing import Any

import torch
from torch import Tensor

from clesmote_losses.class_sums import sum_dtype
from clesmote_losses.distributed import gather_from_ranks, is_distributed

_COUNTED = ("seen", "synthetic", "capped", "with_cap", "without_centroid")


class LossCounts:
    """Count samples exactly and without waiting for the GPU.

    These are no buffers of the loss: ``DistributedDataParallel`` sends buffers from rank 0 to all ranks, ``half()`` rounds
    them, and copies of the weights (EMA) average them.

    Attributes:
        expected: Number of synthetic samples in the training set; ``None`` if it is not known.
    """

    def __init__(self) -> None:
        # on the CPU also where modules are made on another device, such as "meta"
        self._counts = torch.zeros(len(_COUNTED), dtype=torch.int64, device="cpu")
        self._cap_sum = torch.zeros((), dtype=torch.float64, device="cpu")
        self._total: tuple[Tensor, Tensor] | None = None  # over all ranks
        self._evaluated: Tensor | None = None  # synthetic samples in evaluation
        self._is_checked = False
        self.expected: int | None = None

    @torch.no_grad()
    def add(self, is_synthetic: Tensor, capped: Tensor, cap: Tensor, is_unknown: Tensor) -> None:
        """Count a batch of training; all of shape ``(N,)``, bool but for ``cap``, float."""
        if self._counts.device != cap.device:  # the criterion is often left on the CPU
            self._counts = self._counts.to(cap.device)
            self._cap_sum = self._cap_sum.to(cap.device, sum_dtype(cap.device))
        has_cap = is_synthetic & (cap < torch.inf)
        rows = (torch.ones_like(is_synthetic), is_synthetic, capped, has_cap, is_synthetic & is_unknown)
        self._counts += torch.stack(rows).sum(dim=1)
        self._cap_sum += cap.masked_fill(~has_cap, 0).sum(dtype=self._cap_sum.dtype)
        self._total = None

    @torch.no_grad()
    def add_evaluated(self, is_synthetic: Tensor) -> None:
        """Count the synthetic samples of a batch of evaluation, unless the loss is compiled."""
        if torch.compiler.is_compiling():  # a CUDA graph would overwrite the sum
            return
        count = is_synthetic.sum()
        # no sum in place: a tensor made in inference mode cannot be changed outside
        self._evaluated = count if self._evaluated is None else self._evaluated + count

    def stats(self) -> dict[str, Tensor]:
        """Return what :attr:`CappedSMOTELoss.stats` documents."""
        self.check_evaluated()
        counts, cap_sum = self._total or (self._counts.clone(), self._cap_sum)
        count = dict(zip(_COUNTED, counts, strict=True))
        return {
            "synthetic": count["synthetic"],
            "capped": count["capped"],
            "share_capped": count["capped"].float() / count["synthetic"].clamp(min=1).float(),
            "mean_cap": (cap_sum / count["with_cap"]).float(),
            "without_centroid": count["without_centroid"],
        }

    def sum_over_ranks(self) -> None:
        """Let :meth:`stats` return the sums over all ranks until the next batch; every rank calls it."""
        # as objects: ranks without a batch have their counts on another device
        ranks = gather_from_ranks((self._counts.tolist(), self._cap_sum.item()))
        counts, cap_sums = zip(*ranks, strict=True)
        total = [sum(count) for count in zip(*counts, strict=True)]
        self._total = torch.tensor(total, device="cpu"), torch.tensor(sum(cap_sums), dtype=torch.float64, device="cpu")
        self._check_seen(is_end=True)

    def reset(self, expected: int | None = None) -> None:
        """Set all counts to zero; ``expected`` sets the attribute, if it is known."""
        self.check_evaluated()
        self._check_seen()
        self._counts.zero_()
        self._cap_sum.zero_()
        self._total, self._is_checked = None, False
        if expected is not None:
            self.expected = expected

    def check_evaluated(self) -> None:
        """Warn if synthetic samples came in evaluation since the last check; without evaluation no value is read."""
        if self._evaluated is None:
            return
        evaluated, self._evaluated = int(self._evaluated), None
        if evaluated:
            _warn(
                f"{evaluated} synthetic samples came to the loss in evaluation mode (criterion.eval()). Was the validation set split off "
                "from a SMOTEDataset? Its synthetic images are made of training images: split first, and wrap only the training part "
                "in SMOTEDataset. In training, call criterion.train()."
            )

    def _check_seen(self, *, is_end: bool = False) -> None:
        """Warn, once in an epoch, if the loss saw no synthetic sample in training, or at its end none at all."""
        if self._is_checked or self.expected == 0 or (self._total is None and is_distributed()):
            return
        self._is_checked = True
        seen, synthetic, *_ = (self._counts if self._total is None else self._total[0]).tolist()
        known = "" if self.expected is None else f", though the training set has {self.expected}"
        if seen and not synthetic:
            _warn(
                f"none of the {seen} samples that the loss saw in training was synthetic{known}: nothing is capped. Does the loader have a "
                "sampler for the data set before SMOTE (a WeightedRandomSampler of its labels)? Make it for the SMOTEDataset, or leave "
                "it out. Was the target decoded before? Pass it as it comes from the loader, or pass is_synthetic=. If the training set "
                "has no synthetic samples, call criterion.reset_stats(expected_synthetic=0)."
            )
        elif not seen and is_end and known:
            _warn(
                f"the loss saw no synthetic sample{known}: it was not called in training. Does the loop call another?"
            )

    def __getstate__(self) -> dict[str, Any]:
        # a file of the loss can be read where there is no GPU
        evaluated = None if self._evaluated is None else self._evaluated.cpu()
        return {
            **self.__dict__,
            "_counts": self._counts.cpu(),
            "_cap_sum": self._cap_sum.cpu(),
            "_evaluated": evaluated,
        }


def _warn(message: str) -> None:
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("clesmote_losses"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)  # the user's line, whatever host called
