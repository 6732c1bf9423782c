"""Keep the earlier import path of :mod:`clesmote_losses.hosts.timm.transforms`."""

from clesmote_losses.hosts.timm.transforms import Normalized, evaluation_transform, normalized_transform

__all__ = ["Normalized", "evaluation_transform", "normalized_transform"]
