"""What every training loop does at the start and at the end of an epoch."""

from typing import Any

from clesmote_losses.capped_loss import CappedSMOTELoss
from clesmote_losses.centroids import ClassCentroidTracker
from clesmote_losses.smote.dataset import SMOTEDataset


def begin_epoch(criterion: CappedSMOTELoss, train_set: SMOTEDataset, epoch: int, **refresh: Any) -> None:
    """Draw the epoch's samples, make its centroids and set the counts to zero; under ``torch.distributed`` on every rank.

    Args:
        criterion: The loss, put in training mode; its tracker, if it has one, is refreshed.
        train_set: What it trains on.
        epoch: Counted from 0.
        refresh: Options of :meth:`ClassCentroidTracker.refresh`.
    """
    train_set.set_epoch(epoch)
    criterion.train()
    criterion.set_epoch(epoch)
    criterion.reset_stats()
    if isinstance(criterion.tracker, ClassCentroidTracker):
        criterion.tracker.refresh(train_set, **refresh)


def end_epoch(criterion: CappedSMOTELoss) -> dict[str, float]:
    """The epoch's :attr:`CappedSMOTELoss.stats` over all ranks; under ``torch.distributed`` every rank calls it.

    A tracker in mode ``"online"`` turns its running means into centroids here, so what it holds between two epochs, which
    is when checkpoints are written, is the same on every rank.
    """
    criterion.all_reduce_stats()
    if isinstance(criterion.tracker, ClassCentroidTracker) and criterion.tracker.mode == "online":
        criterion.tracker.refresh()
    return {name: float(value) for name, value in criterion.stats.items()}
