"""The earlier import path of :mod:`clesmote_losses.hosts.recipe`."""

from clesmote_losses.hosts.recipe import description, read_strata, training_set

__all__ = ["description", "read_strata", "training_set"]
