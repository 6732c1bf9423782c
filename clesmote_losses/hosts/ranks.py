"""Keep the earlier import path of :mod:`clesmote_losses.distributed`."""

from clesmote_losses.distributed import from_rank_0

__all__ = ["from_rank_0"]
