"""Write the report on the synthetic and the doubtful images into the folder of the run."""

import logging
import math
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from clesmote_losses.atomic_write import atomic_write
from clesmote_losses.capped_loss import CappedSMOTELoss
from clesmote_losses.classifier import unwrap
from clesmote_losses.distributed import from_rank_0, get_rank, is_distributed
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.transform_probe import Transform

REPORT, SUSPECTS = "report{}.html", "suspects{}.csv"
_BEST = "-best"  # in the names of the files of the best checkpoint
_logger = logging.getLogger(__name__)


class ReportStage:
    """Inspect the network after each epoch that is the best so far, and after the last.

    The files of the best have names of their own. The script chooses its best checkpoint after an epoch's validation, so the
    stage looks for it when the next epoch begins. The network in training is inspected, not an average of its weights.
    """

    def __init__(self) -> None:
        self._best: tuple[int, int] | None = None  # of the file of the best checkpoint: time and size
        self._arguments: Mapping[str, Any] = {}  # of the running epoch, or the last
        self._inspected: tuple[Any, SMOTEDataset, Transform | None]

    def begin_epoch(
        self, arguments: Mapping[str, Any], criterion: Any, train_set: SMOTEDataset, transform: Transform | None
    ) -> None:
        """Write the report of the best if the epoch before was the best so far. Every rank calls it.

        Args:
            arguments: Of the script's ``train_one_epoch``.
            criterion: The loss; one that is no :class:`CappedSMOTELoss` caps nothing.
            train_set: The training set.
            transform: That of the script's evaluation.
        """
        before, self._arguments, self._inspected = self._arguments, arguments, (criterion, train_set, transform)
        best = from_rank_0(lambda: _stamp(arguments.get("output_dir")))
        if before and best is not None and best != self._best:
            self._write(f"Network after epoch {before['epoch']}, the best checkpoint so far.", [_BEST])
        self._best = best

    def finish(self) -> None:
        """Write the report on the network after the last epoch. A script that ended its process group leaves it to rank 0."""
        if self._arguments and (is_distributed() or getattr(self._arguments["args"], "rank", 0) == 0):
            best = from_rank_0(lambda: _stamp(self._arguments.get("output_dir")))
            is_best = best is not None and best != self._best
            note = ", the best checkpoint" if is_best else ""
            self._write(
                f"Network after the last epoch, {self._arguments['epoch']}{note}.", ["", _BEST] if is_best else [""]
            )

    def _write(self, note: str, kinds: Sequence[str]) -> None:
        """Inspect and write the files of these kinds; an error is logged, since it must not end the training."""
        started = time.perf_counter()
        try:
            self._inspect(note, kinds)
        except Exception:
            _logger.exception("CLE-SMOTE: no report. The training goes on.")
        else:
            if get_rank() == 0:
                names = ", ".join(name.format(kind) for kind in kinds for name in (REPORT, SUSPECTS))
                _logger.info("CLE-SMOTE: %s written in %.1f s. %s", names, time.perf_counter() - started, note)

    def _inspect(self, note: str, kinds: Sequence[str]) -> None:
        from clesmote_losses.inspection.inspect_synthetic import inspect_synthetic
        from clesmote_losses.inspection.report import write_report

        criterion, train_set, transform = self._inspected
        args: Namespace = self._arguments["args"]
        is_capped = isinstance(criterion, CappedSMOTELoss)
        with self._arguments.get("amp_autocast", nullcontext)():  # as in training
            inspection = inspect_synthetic(
                unwrap(self._arguments["model"]),
                train_set,
                criterion if is_capped else None,
                beta=None if is_capped else math.inf,
                transform=transform,
                batch_size=getattr(args, "validation_batch_size", None) or args.batch_size,
                num_workers=args.workers,
            )
        folder = self._arguments.get("output_dir")
        if folder and get_rank() == 0:
            for kind in kinds:
                write_report(inspection, Path(folder) / REPORT.format(kind), note=note)
                with atomic_write(Path(folder) / SUSPECTS.format(kind)) as path:
                    inspection.suspects().to_csv(path, index=False)


def _stamp(folder: Any) -> tuple[int, int] | None:
    """Return time and size of the file of the best checkpoint; ``None`` if there is none."""
    file = Path(folder) / "model_best.pth.tar" if folder else None
    if file is None or not file.exists():
        return None
    found = file.stat()
    return found.st_mtime_ns, found.st_size
