"""CLE-SMOTE for PyTorch and timm: lazy SMOTE for images, and a loss that does not trust bad synthetic samples."""

from clesmote_losses.capped_loss import CappedSMOTELoss, capped_cross_entropy
from clesmote_losses.caps import cosine_cap, euclidean_cap
from clesmote_losses.centroids import ClassCentroidTracker
from clesmote_losses.class_balance import class_balanced_weights
from clesmote_losses.smote_dataset import SMOTEDataset
from clesmote_losses.smote_plan import SMOTEPlan
from clesmote_losses.targets import decode_target, encode_target
from clesmote_losses.triplet import TripletPretrainer, triplet_margin_loss

__all__ = [
    "CappedSMOTELoss",
    "ClassCentroidTracker",
    "SMOTEDataset",
    "SMOTEPlan",
    "TripletPretrainer",
    "capped_cross_entropy",
    "class_balanced_weights",
    "cosine_cap",
    "decode_target",
    "encode_target",
    "euclidean_cap",
    "triplet_margin_loss",
]
