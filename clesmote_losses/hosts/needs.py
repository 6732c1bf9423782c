"""Conditions without which an option of the hosts has no effect, and the words that say so."""

from clesmote_losses.errors import Argument
from clesmote_losses.hosts.declaration import Need

SAMPLER = Need(
    lambda options: options.smote is not None,
    ("without ", Argument("smote"), ", because the plan is already made."),
)
SMOTE = Need(
    lambda options: options.smote == "smote",
    ("without ", Argument("smote", "smote"), ": other samplers draw as they do."),
)
SEARCH = Need(
    lambda options: options.smote != "over" and options.smote_partners != "any",
    ("with ", Argument("smote", "over"), " or ", Argument("smote_partners", "any"), ", which search no neighbours."),
)
BLENDS = Need(
    lambda options: options.smote != "over", ("with ", Argument("smote", "over"), ", which makes copies and no blends.")
)
OVERSAMPLED = Need(
    lambda options: options.smote_blend != "all",
    ("with ", Argument("smote_blend", "all"), ": pass ", Argument("smote_blend_share"), "."),
)
ALL = Need(lambda options: options.smote_blend == "all", ("without ", Argument("smote_blend", "all"), "."))
CAP = Need(lambda options: options.cap != "none", ("with ", Argument("cap", "none"), ": drop one of the two."))
DISTANCE = Need(
    lambda options: options.cap != "constant",
    ("with ", Argument("cap", "constant"), ", which uses no centroids: drop one of the two."),
)
TRIPLETS = Need(lambda options: options.triplet_epochs > 0, ("without ", Argument("triplet_epochs"), "."))
