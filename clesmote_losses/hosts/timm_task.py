"""Keep the earlier import path of :mod:`clesmote_losses.hosts.timm.task`."""

from clesmote_losses.hosts.timm.task import CLESMOTETask

__all__ = ["CLESMOTETask"]
