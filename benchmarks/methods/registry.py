"""What is done against the imbalance: each method is a declaration, and a new one is a few lines in ``METHODS``."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Data = Literal["imbalanced", "oversampled", "smote", "borderline-smote", "adasyn", "balanced"]
Loss = Literal["cross_entropy", "class_balanced", "focal", "balanced_softmax", "logit_adjusted", "ldam_drw", "capped"]
Pretraining = Literal["none", "triplets", "batch_triplets", "supcon"]
SYNTHETIC: tuple[Data, ...] = ("smote", "borderline-smote", "adasyn")


@dataclass(frozen=True)
class Method:
    """A way to train on imbalanced data.

    Attributes:
        name: On the command line and in the results.
        title: In tables and figures.
        data: What is sampled: the imbalanced set as it is, with the images of rare strata repeated, with synthetic
            images, or real images of every stratum in equal number.
        loss: See :mod:`benchmarks.methods.losses`.
        tau: Of logit adjustment.
        gamma: Of the focal loss.
        beta: Noise tolerance of the cap; with ``distance=None`` the cap itself, in nats.
        target_share: Choose beta anew at each refresh, so that this share of the synthetic images is over the cap.
        distance, gradient, warmup_epochs: Of :class:`clesmote_losses.CappedSMOTELoss`.
        centroid: Mode of :class:`clesmote_losses.ClassCentroidTracker`; ``"stratum"``: as ``"epoch"``, of each stratum.
        redraw: New synthetic images at each refresh.
        pretraining: What stage 2 is; its steps are taken out of the budget.
        pretraining_lr: Learning rate of AdamW in stage 2.
        margin, anchors: Of :class:`clesmote_losses.TripletPretrainer`.
        augmentation: ``"strong"`` in place of that of the settings.
        search: Values tried on the validation set, attribute by attribute, each with the best of those before; ``lr`` is
            tried for every method, so it is not listed.
        tuned_as: A method whose choices this one takes over, before its own search.
    """

    name: str
    title: str
    data: Data = "imbalanced"
    loss: Loss = "cross_entropy"
    tau: float = 1.0
    gamma: float = 2.0
    beta: float = 1.0
    target_share: float | None = None
    distance: Literal["cosine", "euclidean"] | None = "cosine"
    gradient: Literal["stop", "scale", "flow"] = "stop"
    warmup_epochs: int = 0
    centroid: Literal["epoch", "online", "batch", "stratum"] = "epoch"
    redraw: bool = False
    pretraining: Pretraining = "none"
    pretraining_lr: float = 1e-4
    margin: float = 0.0
    anchors: Literal["all", "real"] = "all"
    augmentation: Literal["strong"] | None = None
    search: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    tuned_as: str | None = None

    def chosen(self) -> dict[str, Any]:
        """The attributes that matter to a run, as plain values: those that are not as in every method."""
        plain = Method("", "")
        values = {name: value for name, value in vars(self).items() if name not in ("title", "search", "tuned_as")}
        return {name: value for name, value in values.items() if value != getattr(plain, name)}


_BETAS = (1.0, 0.3, 0.1)  # the paper's, and two that bind where a network has learnt its training images
_PRETRAINING_LRS = (1e-4, 1e-5, 1e-3)


def _capped(name: str, title: str, **options: Any) -> Method:
    return Method(name, title, data="smote", loss="capped", **{"search": {"beta": _BETAS}, **options})


def _cle_smote(name: str, title: str, **options: Any) -> Method:
    search = {"pretraining_lr": _PRETRAINING_LRS, "beta": _BETAS}
    return _capped(name, title, **{"pretraining": "triplets", "search": search, **options})


def _variant(name: str, title: str, **options: Any) -> Method:
    return replace(CLE_SMOTE, **{"name": name, "title": title, "tuned_as": CLE_SMOTE.name, "search": {}, **options})


# the paper's section 4.2, its Table 3
BASELINES = (
    Method("none", "No method"),
    Method("oversampling", "Oversampling", data="oversampled"),
    Method("weighted", "Weighted loss", loss="class_balanced"),
    Method("smote", "Vanilla SMOTE", data="smote"),
)
CLE_SMOTE = _cle_smote("cle-smote", "CLE-SMOTE")
UPPER_BOUND = Method("balanced", "No class imbalance", data="balanced")
# the paper's Appendix A, its Table 4
ABLATION = (
    # the paper's caps of 5 for two classes and 1 for three were found on test data
    _capped("constant-cap", "Constant cap", distance=None, search={"beta": (1.0, 5.0, 0.3)}),
    _capped("class-cosine-cap", "Class-average cosine cap"),
    _capped("batch-cosine-cap", "Batch-average cosine cap", centroid="batch"),
    _capped("euclidean-cap", "Euclidean cap", distance="euclidean", beta=10.0, search={"beta": (10.0, 1.0, 100.0)}),
    _cle_smote("cle-smote-v1", "CLE-SMOTE v1", anchors="real"),
)
# what a user would pick instead today
MODERN = (
    Method("logit-adjustment", "Logit adjustment", loss="logit_adjusted", search={"tau": (1.0, 0.5, 2.0)}),
    Method("balanced-softmax", "Balanced softmax", loss="balanced_softmax"),
    Method("ldam-drw", "LDAM-DRW", loss="ldam_drw"),
    Method("focal", "Focal loss", loss="focal", search={"gamma": (2.0, 0.5)}),
    Method("borderline-smote", "Borderline-SMOTE", data="borderline-smote"),
    Method("adasyn", "ADASYN", data="adasyn"),
    Method("strong-augmentation", "Oversampling, strong augmentation", data="oversampled", augmentation="strong"),
)
# Optional parts of CLE-SMOTE, each changed alone, to learn what carries it; what they share is chosen once, for CLE-SMOTE.
VARIANTS = (
    _variant("cle-smote-scale", "CLE-SMOTE, gradient scaled", gradient="scale"),
    _variant("cle-smote-flow", "CLE-SMOTE, gradient through the cap", gradient="flow"),
    _variant("cle-smote-share", "CLE-SMOTE, beta by share", search={"target_share": (0.1, 0.3, 0.5)}),
    _variant("cle-smote-redraw", "CLE-SMOTE, fresh draws", redraw=True),
    _variant("cle-smote-stratum", "CLE-SMOTE, centroid of each stratum", centroid="stratum"),
    _variant("cle-smote-online", "CLE-SMOTE, running centroids", centroid="online"),
    _variant("cle-smote-margin", "CLE-SMOTE, triplet margin", search={"margin": (0.2, 1.0, 5.0)}),
    _variant("cle-smote-in-batch", "CLE-SMOTE, triplets in the batch", pretraining="batch_triplets"),
    _variant("cle-smote-supcon", "CLE-SMOTE, supervised contrastive", pretraining="supcon"),
    _variant("cle-smote-warmup", "CLE-SMOTE, two epochs uncapped", warmup_epochs=2),
    _variant("smote-triplets", "SMOTE and triplets, no cap", loss="cross_entropy"),
    Method("smote-redraw", "SMOTE, fresh draws", data="smote", redraw=True, tuned_as="smote"),
)
FIVE = (*BASELINES, CLE_SMOTE)
METHODS = {method.name: method for method in (*BASELINES, *ABLATION, CLE_SMOTE, UPPER_BOUND, *MODERN, *VARIANTS)}
