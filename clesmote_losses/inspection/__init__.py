"""Look at a trained network's view of the training set: which blends were not trusted, which real images are doubtful."""

from clesmote_losses.inspection.inspect_synthetic import inspect_synthetic
from clesmote_losses.inspection.inspection import Inspection

__all__ = ["Inspection", "inspect_synthetic"]
