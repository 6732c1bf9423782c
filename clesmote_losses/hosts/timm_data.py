"""Keep the earlier import path of :mod:`clesmote_losses.hosts.recipe`."""

from clesmote_losses.hosts.recipe import description, training_set
from clesmote_losses.hosts.strata_file import read_groups as read_strata

__all__ = ["description", "read_strata", "training_set"]
