"""CLE-SMOTE for PyTorch and timm: lazy SMOTE for images, and a loss that does not trust bad synthetic samples."""

from clesmote_losses.capped_loss import CappedSMOTELoss
from clesmote_losses.caps import cosine_cap, euclidean_cap
from clesmote_losses.centroids import ClassCentroidTracker
from clesmote_losses.class_balance import class_balanced_weights, log_prior
from clesmote_losses.cross_entropy import capped_cross_entropy
from clesmote_losses.detectability import blend_detectability
from clesmote_losses.epochs import begin_epoch, end_epoch
from clesmote_losses.inspection import Inspection, inspect_synthetic
from clesmote_losses.rebalanced_head import rebalanced_head
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.plan import SMOTEPlan
from clesmote_losses.targets import decode_target, encode_target
from clesmote_losses.triplet_loss import triplet_margin_loss
from clesmote_losses.triplet_pretrainer import TripletPretrainer

__all__ = [
    "CappedSMOTELoss",
    "ClassCentroidTracker",
    "Inspection",
    "SMOTEDataset",
    "SMOTEPlan",
    "TripletPretrainer",
    "begin_epoch",
    "blend_detectability",
    "capped_cross_entropy",
    "class_balanced_weights",
    "cosine_cap",
    "decode_target",
    "encode_target",
    "end_epoch",
    "euclidean_cap",
    "inspect_synthetic",
    "log_prior",
    "rebalanced_head",
    "triplet_margin_loss",
]
