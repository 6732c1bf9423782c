"""The methods: each is a declaration of a line or two in :data:`METHODS`.

A method with an idea of its own names a new entry of a table (``LOSSES``, ``SAMPLINGS``, ``PRETRAININGS``), or is a subclass
of :class:`Method` that overrides a hook. Options of its own are attributes of the subclass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from benchmarks.data.trials import Trial
from benchmarks.lookup import Lookup
from benchmarks.methods.losses import LOSSES
from benchmarks.methods.mixing import MIXINGS
from benchmarks.methods.objective import Objective, Training
from benchmarks.methods.sampling import Aims, Sampled, find_sampling


@dataclass(frozen=True)
class Method:
    """A way to train on imbalanced data.

    Attributes:
        name: On the command line and in the results.
        title: In tables and figures.
        data: What is trained on; a name that :func:`~benchmarks.methods.sampling.find_sampling` knows.
        loss: A name of :data:`~benchmarks.methods.losses.LOSSES`.
        tau: Strength of logit adjustment.
        gamma: Exponent of the focal loss.
        smoothing: Share of each target that label smoothing spreads over the classes.
        q: Exponent of the generalised cross-entropy.
        trim: Share of the largest losses of a rare class that trimming drops.
        alpha: Option of the Beta distribution that a mixing draws its weights from.
        beta: Noise tolerance of the cap; with ``distance=None`` the cap itself, in nats.
        target_share: Choose beta anew at each epoch, so that this share of the synthetic images is over the cap.
        capped, distance, gradient, warmup_epochs: Options of :class:`clesmote_losses.CappedSMOTELoss`.
        centroid: Mode of :class:`clesmote_losses.ClassCentroidTracker`; ``"stratum"``: as ``"epoch"``, of each stratum.
        dataset_options: Further options of :class:`clesmote_losses.SMOTEDataset`, for ``data`` that adds synthetic images.
        redraw: Draw new synthetic images at each epoch.
        pretraining: Stage 2, whose steps are part of the budget; a name of ``training.pretraining.PRETRAININGS``.
        pretraining_lr: Learning rate of AdamW in stage 2.
        margin, anchors: Options of :class:`clesmote_losses.TripletPretrainer`.
        augmentation: Replaces that of the settings.
        search: Values tried on the validation set, attribute by attribute, each with the best of those before; ``lr`` is
            tried for every method, so it is not listed.
        tuned_as: A method whose choices this one takes over, before its own search.
    """

    name: str
    title: str
    data: str = "imbalanced"
    loss: str = "cross_entropy"
    tau: float = 1.0
    gamma: float = 2.0
    smoothing: float = 0.1
    q: float = 0.7
    trim: float = 0.2
    alpha: float = 1.0
    beta: float = 1.0
    target_share: float | None = None
    capped: Literal["synthetic", "oversampled"] = "synthetic"
    distance: str | None = "cosine"
    gradient: str = "stop"
    warmup_epochs: int = 0
    centroid: str = "epoch"
    dataset_options: Mapping[str, Any] = field(default_factory=dict)
    redraw: bool = False
    pretraining: str = "none"
    pretraining_lr: float = 1e-4
    margin: float = 0.0
    anchors: Literal["all", "real"] = "all"
    augmentation: str | None = None
    search: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    tuned_as: str | None = None

    def sample(self, trial: Trial, aims: Aims, seed: int) -> Sampled:
        """Choose the real images to train on, and the sampler that adds synthetic ones, if any are added."""
        return find_sampling(self.data)(trial, aims, seed)

    @property
    def is_pretrained(self) -> bool:
        """Whether there is a stage 2."""
        return self.pretraining != "none"

    @property
    def needs_images(self) -> str:
        """Why the method cannot train a classifier on fixed features of images; empty if it can."""
        if self.is_pretrained:
            return "pretrains the network"
        if self.loss in (*MIXINGS, "mixup_balanced_softmax"):
            return "mixes images"
        return f"has the augmentation {self.augmentation}" if self.augmentation else ""

    def build_loss(self, training: Training) -> Objective:
        """Build the loss of a run, and change the network where the loss needs it."""
        return LOSSES[self.loss](self, training)

    def chosen(self) -> dict[str, Any]:
        """Return the attributes that matter to a run, as plain values: those that differ from their default."""
        hidden = ("title", "search", "tuned_as")
        return {
            option.name: value
            for option in fields(self)
            if option.name not in hidden and (value := getattr(self, option.name)) not in (option.default, {})
        }


_BETAS = (1.0, 0.3, 0.1)  # the paper's, and two that bind where a network has learnt its training images
_PRETRAINING_LRS = (1e-4, 1e-5, 1e-3)


def _capped(name: str, title: str, **options: Any) -> Method:
    return Method(name, title, data="smote", loss="capped", **{"search": {"beta": _BETAS}, **options})


def _cle_smote(name: str, title: str, **options: Any) -> Method:
    search = {"pretraining_lr": _PRETRAINING_LRS, "beta": _BETAS}
    return _capped(name, title, **{"pretraining": "triplets", "search": search, **options})


def _smote(name: str, title: str, **options: Any) -> Method:
    return Method(name, title, data="smote", dataset_options=options)


def _robust(name: str, title: str, **options: Any) -> Method:
    return Method(name, f"Oversampling, {title}", **{"data": "oversampled", **options})


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
    # the paper chose its caps, 5 for two classes and 1 for three, on test data
    _capped("constant-cap", "Constant cap", distance=None, search={"beta": (1.0, 5.0, 0.3)}),
    _capped("class-cosine-cap", "Class-average cosine cap"),
    _capped("batch-cosine-cap", "Batch-average cosine cap", centroid="batch"),
    _capped("euclidean-cap", "Euclidean cap", distance="euclidean", beta=10.0, search={"beta": (10.0, 1.0, 100.0)}),
    _cle_smote("cle-smote-v1", "CLE-SMOTE v1", anchors="real"),
)
REBALANCED_HEAD = Method("crt", "cRT: re-balanced head", loss="rebalanced_head")
# what users take instead today
MODERN = (
    Method("logit-adjustment", "Logit adjustment", loss="logit_adjusted", search={"tau": (1.0, 0.5, 2.0)}),
    Method("balanced-softmax", "Balanced softmax", loss="balanced_softmax"),
    Method("ldam-drw", "LDAM-DRW", loss="ldam_drw"),
    REBALANCED_HEAD,
    Method("focal", "Focal loss", loss="focal", search={"gamma": (2.0, 0.5)}),
    Method("borderline-smote", "Borderline-SMOTE", data="borderline-smote"),
    Method("adasyn", "ADASYN", data="adasyn"),
    Method("strong-augmentation", "Oversampling, strong augmentation", data="oversampled", augmentation="strong"),
)
# repairs of SMOTE: a network cannot learn that blends are of the rare class where others are blended, or few are
REPAIRS = (
    _smote("smote-real-share", "SMOTE, half real", real_share=0.5),
    _smote("smote-all", "SMOTE of all classes", blend="all", blend_share=0.5),
    _smote("smote-all-any", "SMOTE of all classes, any partners", blend="all", blend_share=0.5, partners="any"),
)
# images mixed with others, and the label with them
MIXED = (
    Method("mixup", "Mixup", loss="mixup", search={"alpha": (1.0, 0.2)}),
    Method("balanced-mixup", "Balanced mixup", loss="balanced_mixup", alpha=0.2, search={"alpha": (0.2, 0.1, 1.0)}),
    Method("remix", "Remix", loss="remix", search={"alpha": (1.0, 0.2)}),
    Method("cmo", "CMO", loss="cmo", search={"alpha": (1.0, 0.2)}),
    Method(
        "mixup-balanced-softmax",
        "Mixup, balanced softmax",
        loss="mixup_balanced_softmax",
        search={"alpha": (1.0, 0.2)},
    ),
)
# what is taken against wrong labels, all of it with over-sampling
ROBUST = (
    _robust("label-smoothing", "label smoothing", loss="label_smoothing", search={"smoothing": (0.1, 0.3)}),
    _robust("gce", "generalised cross-entropy", loss="gce", search={"q": (0.7, 0.3)}),
    _robust("small-loss", "small-loss trimming", loss="trimmed", search={"trim": (0.2, 0.1, 0.4)}),
    _robust(
        "cap-oversampled",
        "constant cap on the rare class",
        data="over",
        loss="capped",
        capped="oversampled",
        distance=None,
    ),
    _robust(
        "cap-oversampled-warmup",
        "constant cap on the rare class after 3 epochs",
        data="over",
        loss="capped",
        capped="oversampled",
        distance=None,
        warmup_epochs=3,
    ),
)
# optional parts of CLE-SMOTE, each changed alone to learn what it adds; what they share is chosen once, for CLE-SMOTE
VARIANTS = (
    _variant("cle-smote-scale", "CLE-SMOTE, gradient scaled", gradient="scale"),
    _variant("cle-smote-flow", "CLE-SMOTE, gradient through the cap", gradient="flow"),
    _variant("cle-smote-share", "CLE-SMOTE, beta by share", search={"target_share": (0.1, 0.3, 0.5)}),
    _variant("cle-smote-redraw", "CLE-SMOTE, fresh draws", redraw=True),
    _variant("cle-smote-real-share", "CLE-SMOTE, half real", dataset_options={"real_share": 0.5}),
    _variant("cle-smote-stratum", "CLE-SMOTE, centroid of each stratum", centroid="stratum"),
    _variant("cle-smote-online", "CLE-SMOTE, running centroids", centroid="online"),
    _variant("cle-smote-margin", "CLE-SMOTE, triplet margin", search={"margin": (0.2, 1.0, 5.0)}),
    _variant("cle-smote-in-batch", "CLE-SMOTE, triplets in the batch", pretraining="batch_triplets"),
    _variant("cle-smote-supcon", "CLE-SMOTE, supervised contrastive", pretraining="supcon"),
    _variant("cle-smote-warmup", "CLE-SMOTE, two epochs uncapped", warmup_epochs=2),
    _variant("smote-triplets", "SMOTE and triplets, no cap", loss="cross_entropy"),
    Method("smote-redraw", "SMOTE, fresh draws", data="smote", redraw=True, tuned_as="smote"),
)
MAIN_METHODS = (*BASELINES, CLE_SMOTE)
METHODS = Lookup.by_name(
    "method", (*BASELINES, *ABLATION, CLE_SMOTE, UPPER_BOUND, *MODERN, *REPAIRS, *MIXED, *ROBUST, *VARIANTS)
)
