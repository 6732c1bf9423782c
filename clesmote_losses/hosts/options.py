"""The options of every host. Each is one entry, from which command line, checks, records and error messages are made."""

import dataclasses
from collections.abc import Callable
from typing import Any, get_args

from clesmote_losses.capped_loss import Capped
from clesmote_losses.caps import CAPS
from clesmote_losses.centroids import Mode
from clesmote_losses.errors import Argument, ArgumentError, check_choice
from clesmote_losses.hosts import needs
from clesmote_losses.hosts.declaration import Need, check_range, option
from clesmote_losses.loss_inputs import Gradient
from clesmote_losses.rebalanced_head import Kind
from clesmote_losses.smote.dataset import Redraw
from clesmote_losses.smote.draw_options import Blend, Partners
from clesmote_losses.smote.resampling import SmallClass
from clesmote_losses.smote.samplers import SAMPLERS
from clesmote_losses.triplet_sampling import Sampling

_WITHOUT_DISTANCE = ("constant", "none")


def _options_with(group: str, *given: Need) -> Callable[..., Any]:
    """Return :func:`option` for options of a group that have these needs, unless an option lists its own."""
    return lambda default, help_text, **rest: option(default, group, help_text, **{"needs": given, **rest})


_smote, _sampled = _options_with("smote"), _options_with("smote", needs.SAMPLER)
_cap, _triplet = _options_with("cap", needs.CAP), _options_with("triplet", needs.TRIPLETS)


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user asks of the method; each field is declared by :func:`option`."""

    smote: str | None = _smote(
        None,
        "sampler of imbalanced-learn; turns the method on. 'none' turns it off in a recorded run",
        argument="sampler",
        choices=lambda: (*SAMPLERS, "none"),
    )
    smote_k: int = _sampled(
        5, "number of neighbours", argument="k_neighbors", above=0, metavar="K", needs=[needs.SAMPLER, needs.SEARCH]
    )
    smote_strategy: str = _sampled(
        "auto",
        "which classes are over-sampled, and to what size: a word of imbalanced-learn ('minority', 'not majority', ...), "
        "a ratio for two classes (0.5), or CLASS=COUNT,CLASS=COUNT by folder name or index",
        argument="sampling_strategy",
        metavar="S",
    )
    smote_seed: int = _sampled(
        0,
        "random seed of the synthetic samples, the same on every rank",
        argument="sampler.random_state",
        at_least=0,
        metavar="N",
    )
    smote_strata: str | None = _smote(
        None,
        "balance these groups instead of the classes: CSV of filename,stratum, or .npy with one group per image",
        argument="strata",
        metavar="FILE",
    )
    smote_groups: str | None = _smote(
        None,
        "blend no two images of one group, such as a patient: CSV of filename,group, or .npy with one group per image",
        argument="groups",
        metavar="FILE",
    )
    smote_plan: str | None = _smote(
        None, "load the plan, or compute it and save it there", argument="plan", metavar="FILE.safetensors"
    )
    smote_features: str | None = _sampled(
        None,
        "search neighbours in these rows instead of in pixels: .npy with one row per image",
        argument="features",
        metavar="FILE",
        needs=[needs.SAMPLER, needs.SEARCH],
    )
    smote_image_size: str | None = _smote(
        None, "size at which images are compared and blended", argument="image_size", metavar="HxW"
    )
    smote_small_class: str = _sampled(
        "error",
        "what to do with a class of K or fewer images: stop, use the neighbours it has, or copy its images",
        argument="dataset.small_class",
        choices=lambda: get_args(SmallClass),
    )
    smote_real_share: float | None = _sampled(
        None,
        "at least this share of each over-sampled class stays real: copies in the place of synthetic samples",
        argument="dataset.real_share",
        at_least=0,
        at_most=1,
        metavar="S",
        needs=[needs.SAMPLER, needs.BLENDS, needs.OVERSAMPLED],
    )
    smote_blend: str = _sampled(
        "oversampled",
        "classes with synthetic samples; 'all' adds them to every class, so that they mark none, and the set grows",
        argument="dataset.blend",
        choices=lambda: get_args(Blend),
        needs=[needs.SAMPLER, needs.SMOTE],
    )
    smote_blend_share: float | None = _sampled(
        None,
        "share of each class that is synthetic with --smote-blend all, below 1 (default: 0.5)",
        argument="dataset.blend_share",
        above=0,
        at_most=1,
        metavar="S",
        needs=[needs.SAMPLER, needs.ALL],
    )
    smote_partners: str = _sampled(
        "nearest",
        "'any' blends any two images of a class, without a search for neighbours",
        argument="dataset.partners",
        choices=lambda: get_args(Partners),
        needs=[needs.SAMPLER, needs.SMOTE],
    )
    smote_redraw: str = _smote(
        "never",
        "'epoch' draws new synthetic samples in each epoch",
        argument="dataset.redraw",
        choices=lambda: get_args(Redraw),
    )
    smote_cache: float = _smote(
        256.0,
        "megabytes of decoded images that each worker keeps",
        argument="dataset.cache_mb",
        at_least=0,
        metavar="MB",
    )
    smote_report: bool = _smote(
        False,
        "write report-best.html (which synthetic images were not trusted, which real ones are doubtful) and suspects-best.csv into the "
        "folder of the run at each best checkpoint, and report.html and suspects.csv at the end; needs clesmote-losses[report]",
    )
    cap: str = option(
        "cosine",
        "cap",
        "distance that gives the cap; 'constant' is one cap for all samples, 'none' is plain SMOTE",
        argument="distance",
        choices=lambda: (*CAPS, *_WITHOUT_DISTANCE),
    )
    cap_beta: float = _cap(
        1.0, "noise tolerance; with a constant cap, the cap itself in nats", argument="beta", above=0, metavar="B"
    )
    cap_on: str = _cap(
        "synthetic",
        "samples that have a cap: synthetic ones, or all of the over-sampled classes, real ones too",
        argument="loss.capped",
        choices=lambda: get_args(Capped),
    )
    cap_gradient: str = _cap(
        "stop",
        "gradient of a sample whose loss is above its cap",
        argument="loss.gradient",
        choices=lambda: get_args(Gradient),
    )
    cap_warmup_epochs: int = _cap(
        0, "number of first epochs without caps", argument="loss.warmup_epochs", at_least=0, metavar="N"
    )
    centroids: str = _cap(
        "epoch",
        "when class centroids are computed",
        argument="tracker.mode",
        choices=lambda: get_args(Mode),
        needs=[needs.CAP, needs.DISTANCE],
    )
    class_weights: str = option(
        "none",
        "loss",
        "class weights from the counts of real and synthetic samples: inverse frequency, or effective number of samples",
        choices=lambda: ("none", "inverse", "effective"),
    )
    logit_adjustment: float = option(
        0.0,
        "loss",
        "add TAU times the log prior of the training set, real and synthetic samples, to the logits in training",
        at_least=0,
        metavar="TAU",
    )
    triplet_epochs: int = option(0, "triplet", "passes before training", argument="fit.epochs", at_least=0, metavar="N")
    triplet_lr: float = _triplet(1e-4, "learning rate (AdamW)", argument="fit.lr", above=0, metavar="LR")
    triplet_margin: float = _triplet(
        0.0,
        "margin, in the unit of the embedding; the paper has none",
        argument="pretrainer.margin",
        at_least=0,
        metavar="M",
    )
    triplet_sampling: str = _triplet(
        "dataset",
        "where positives and negatives come from",
        argument="pretrainer.sampling",
        choices=lambda: get_args(Sampling),
    )
    triplet_checkpoint: str | None = _triplet(
        None, "checkpoint written after each pass; a rerun continues from it", argument="fit.checkpoint", metavar="FILE"
    )
    rebalance_head: str | None = option(
        None,
        "head",
        "fit the classifier of the best checkpoint again, balanced, and write model_best_rebalanced.pth.tar; alone, without "
        "--smote, training is the script's own",
        argument="kind",
        choices=lambda: get_args(Kind),
    )

    @classmethod
    def from_given(cls, given: dict[str, Any], recorded: dict[str, Any] | None = None) -> "Options":
        """Make options from those given, else from those of a recorded run, else from the defaults.

        Raises:
            ArgumentError: If an option is unknown, out of range, or given without the option that it needs.
        """
        both = {name: value for name, value in {**(recorded or {}), **given}.items() if value is not None}
        if unknown := sorted(both.keys() - {field.name for field in dataclasses.fields(cls)}):
            raise ArgumentError(unknown[0], f"unknown options of the method: {', '.join(unknown)}.")
        if both.get("smote") == "none":
            raise ArgumentError("smote", Argument("smote", "none"), " turns the method off: drop its other options.")
        options = cls(**both)
        for field in dataclasses.fields(cls):
            check_range(field, getattr(options, field.name))
        changed = {field.name for field in dataclasses.fields(cls) if getattr(options, field.name) != field.default}
        if not options.makes_samples and changed != {"rebalance_head"}:
            raise ArgumentError(
                "smote",
                Argument(min(given.keys() - {"rebalance_head"}, default="smote")),
                " needs synthetic samples: add ",
                Argument("smote", f"{{{','.join(SAMPLERS)}}}"),
                ", or ",
                Argument("smote_plan"),
                " with a file that exists.",
            )
        for field in dataclasses.fields(cls):
            for need in field.metadata["needs"]:
                if given.get(field.name, field.default) != field.default and not need.is_met(options):
                    raise ArgumentError(field.name, Argument(field.name), " has no effect ", *need.reason)
        if options.cap == "constant" and options.cap_gradient == "flow":
            raise ArgumentError(
                "cap_gradient",
                Argument("cap_gradient", "flow"),
                " is the gradient of the cap, and ",
                Argument("cap", "constant"),
                " has none.",
            )
        return options

    @property
    def makes_samples(self) -> bool:
        """Whether there are synthetic samples; else only the classifier is fitted again after training."""
        return self.smote is not None or self.smote_plan is not None

    @property
    def distance(self) -> str | None:
        """The distance of the cap, as :class:`CappedSMOTELoss` takes it; ``None`` for a constant cap or none.

        Raises:
            ArgumentError: If the cap is unknown.
        """
        check_choice("cap", self.cap, (*CAPS, *_WITHOUT_DISTANCE))
        return None if self.cap in _WITHOUT_DISTANCE else self.cap

    def arguments(self, part: str) -> dict[str, Any]:
        """Return what a part of the library is given, by argument; options without a value are left out."""
        fields = (field for field in dataclasses.fields(self) if field.metadata["part"] == part)
        values = {field.metadata["argument"]: getattr(self, field.name) for field in fields}
        return {argument: value for argument, value in values.items() if value is not None}

    def recorded(self) -> dict[str, Any]:
        """Return the options that have a value, as plain values that a run can save."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def option_of(name: str, options: type[Options] = Options) -> "dataclasses.Field[Any] | None":
    """Return the option of this name, or else the option that sets the library's argument of this name, if any."""
    fields = dataclasses.fields(options)
    by_name = {field.metadata["argument"]: field for field in fields} | {field.name: field for field in fields}
    return by_name.get(name)
