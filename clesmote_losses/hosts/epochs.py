"""Keep the earlier import path of :mod:`clesmote_losses.epochs`."""

from clesmote_losses.epochs import begin_epoch, end_epoch

__all__ = ["begin_epoch", "end_epoch"]
