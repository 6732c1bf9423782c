"""Run timm's ``train.py`` with flags of the method, or use the method as a task in a loop built on ``timm.task``."""

from clesmote_losses.hosts.timm.command import main

__all__ = ["main"]
