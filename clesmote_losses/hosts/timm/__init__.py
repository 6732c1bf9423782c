"""timm's ``train.py`` with the method by flags, and a task for loops built on ``timm.task``."""

from clesmote_losses.hosts.timm.command import main

__all__ = ["main"]
