"""The options that every host offers: each is one entry, of which command line, checks, records and messages are made."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, get_args

from clesmote_losses.caps import CAPS
from clesmote_losses.centroids import Mode
from clesmote_losses.errors import Argument, ArgumentError
from clesmote_losses.loss_inputs import Gradient
from clesmote_losses.smote.dataset import Redraw
from clesmote_losses.smote.resampling import SmallClass
from clesmote_losses.smote.samplers import SAMPLERS
from clesmote_losses.triplet_sampling import Sampling

GROUPS = {
    "smote": "stage 1: synthetic samples",
    "cap": "stage 3: the capped loss",
    "triplet": "stage 2: triplet pretraining",
}


class Need(NamedTuple):
    """A condition without which an option has no effect.

    Attributes:
        is_met: Tells of all options together whether the option has an effect.
        reason: Says why it has none; follows the name of the option.
    """

    is_met: Callable[["Options"], bool]
    reason: tuple[str | Argument, ...]


_SAMPLER = Need(
    lambda options: options.smote is not None, ("without ", Argument("smote"), ": the plan is made already.")
)
_CAP = Need(lambda options: options.cap != "none", ("with ", Argument("cap", "none"), ": drop one of the two."))
_DISTANCE = Need(
    lambda options: options.cap != "constant",
    ("with ", Argument("cap", "constant"), ", which needs none: drop one of the two."),
)
_TRIPLETS = Need(lambda options: options.triplet_epochs > 0, ("without ", Argument("triplet_epochs"), "."))


def _option(
    default: Any,
    group: str,
    help_text: str,
    *,
    argument: str | None = None,
    choices: Callable[[], Iterable[str]] | None = None,
    above: float | None = None,
    at_least: float | None = None,
    metavar: str | None = None,
    needs: Sequence[Need] = (),
) -> Any:
    """Declare an option.

    Args:
        default: Its value where none is given; ``None`` for an option of text that is off.
        group: A key of :data:`GROUPS`.
        help_text: What it means.
        argument: The library's argument that it sets, by which an error of the library is said in the words of a host.
        choices: Gives the known values, each time anew: names that are registered later are known too.
        above, at_least: Bound of a number.
        metavar: Stands for the value in a help text.
        needs: Conditions without which it has no effect.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "group": group,
            "help": help_text,
            "argument": argument,
            "choices": choices,
            "above": above,
            "at_least": at_least,
            "metavar": metavar,
            "needs": tuple(needs),
        },
    )


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user asks of the method; each field is declared by :func:`_option`."""

    smote: str | None = _option(
        None,
        "smote",
        "sampler of imbalanced-learn; turns the method on. 'none' turns that of a recorded run off",
        argument="sampler",
        choices=lambda: (*SAMPLERS, "none"),
    )
    smote_k: int = _option(5, "smote", "neighbours", argument="k_neighbors", above=0, metavar="K", needs=[_SAMPLER])
    smote_strategy: str = _option(
        "auto",
        "smote",
        "which classes are raised to what: a word of imbalanced-learn ('minority', 'not majority', ...), a ratio for two "
        "classes (0.5), or CLASS=COUNT,CLASS=COUNT by folder name or index",
        argument="sampling_strategy",
        metavar="S",
        needs=[_SAMPLER],
    )
    smote_seed: int = _option(
        0,
        "smote",
        "seed of the draw; the same on every rank",
        argument="random_state",
        at_least=0,
        metavar="N",
        needs=[_SAMPLER],
    )
    smote_strata: str | None = _option(
        None,
        "smote",
        "balance these groups in place of the classes: CSV of filename,stratum or .npy with one group for each image",
        argument="strata",
        metavar="FILE",
    )
    smote_plan: str | None = _option(
        None, "smote", "load the plan, or compute and save it there", argument="plan", metavar="FILE.safetensors"
    )
    smote_features: str | None = _option(
        None,
        "smote",
        "search neighbours in these rows, not in pixels: .npy of one row for each image",
        argument="features",
        metavar="FILE",
        needs=[_SAMPLER],
    )
    smote_image_size: str | None = _option(
        None,
        "smote",
        "images are compared and blended at this size",
        argument="image_size",
        metavar="HxW",
    )
    smote_small_class: str = _option(
        "error",
        "smote",
        "for a class of K or fewer images",
        argument="small_class",
        choices=lambda: get_args(SmallClass),
        needs=[_SAMPLER],
    )
    smote_redraw: str = _option(
        "never",
        "smote",
        "'epoch': new synthetic samples each epoch",
        argument="redraw",
        choices=lambda: get_args(Redraw),
    )
    smote_cache: float = _option(
        256.0,
        "smote",
        "megabytes of images that each worker keeps decoded",
        argument="cache_mb",
        at_least=0,
        metavar="MB",
    )
    cap: str = _option(
        "cosine",
        "cap",
        "distance that the cap is made of; 'none' trains plainly on the synthetic samples",
        argument="distance",
        choices=lambda: (*CAPS, "constant", "none"),
    )
    cap_beta: float = _option(
        1.0,
        "cap",
        "noise tolerance; with a constant cap the cap itself, in nats",
        argument="beta",
        above=0,
        metavar="B",
        needs=[_CAP],
    )
    cap_gradient: str = _option(
        "stop",
        "cap",
        "gradient of a capped sample",
        argument="gradient",
        choices=lambda: get_args(Gradient),
        needs=[_CAP],
    )
    cap_warmup_epochs: int = _option(
        0, "cap", "first epochs without caps", argument="warmup_epochs", at_least=0, metavar="N", needs=[_CAP]
    )
    centroids: str = _option(
        "epoch",
        "cap",
        "when class centroids are made",
        argument="mode",
        choices=lambda: get_args(Mode),
        needs=[_CAP, _DISTANCE],
    )
    triplet_epochs: int = _option(
        0, "triplet", "passes before the training; 0: none", argument="epochs", at_least=0, metavar="N"
    )
    triplet_lr: float = _option(
        1e-4, "triplet", "learning rate of its AdamW", argument="lr", above=0, metavar="LR", needs=[_TRIPLETS]
    )
    triplet_margin: float = _option(
        0.0,
        "triplet",
        "in the unit of the embedding; the paper has none",
        argument="margin",
        at_least=0,
        metavar="M",
        needs=[_TRIPLETS],
    )
    triplet_sampling: str = _option(
        "dataset",
        "triplet",
        "where positives and negatives come from",
        argument="sampling",
        choices=lambda: get_args(Sampling),
        needs=[_TRIPLETS],
    )
    triplet_checkpoint: str | None = _option(
        None,
        "triplet",
        "written after each pass; a rerun goes on from there",
        argument="checkpoint",
        metavar="FILE",
        needs=[_TRIPLETS],
    )

    @classmethod
    def from_given(cls, given: dict[str, Any], recorded: dict[str, Any] | None = None) -> "Options":
        """Make options of those given, then those of a recorded run, the others at their defaults.

        Raises:
            ArgumentError: If one is unknown or out of range, or given without the option that it needs.
        """
        both = {name: value for name, value in {**(recorded or {}), **given}.items() if value is not None}
        if unknown := sorted(both.keys() - {field.name for field in dataclasses.fields(cls)}):
            raise ArgumentError(unknown[0], f"unknown options of the method: {', '.join(unknown)}.")
        if both.get("smote") == "none":
            raise ArgumentError("smote", Argument("smote", "none"), " turns the method off: drop its other options.")
        options = cls(**both)
        for field in dataclasses.fields(cls):
            _check_range(field, getattr(options, field.name))
        if options.smote is None and options.smote_plan is None:
            raise ArgumentError(
                "smote",
                Argument(min(given, default="smote")),
                " needs synthetic samples: add ",
                Argument("smote", f"{{{','.join(SAMPLERS)}}}"),
                ", or ",
                Argument("smote_plan"),
                " with a file that exists.",
            )
        for field in dataclasses.fields(cls):
            for need in field.metadata["needs"]:
                if given.get(field.name, field.default) != field.default and not need.is_met(options):
                    raise ArgumentError(field.name, Argument(field.name), " has no meaning ", *need.reason)
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
    def distance(self) -> str | None:
        """The distance of the cap, as :class:`CappedSMOTELoss` takes it; ``None`` for a constant cap or none."""
        return None if self.cap in ("constant", "none") else self.cap

    def recorded(self) -> dict[str, Any]:
        """Return every option that has a value, as plain values: what a run keeps of them."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def option_of(name: str, options: type[Options] = Options) -> "dataclasses.Field[Any] | None":
    """Return the option of this name, or else the one that sets the library's argument of this name."""
    fields = dataclasses.fields(options)
    by_name = {field.metadata["argument"]: field for field in fields} | {field.name: field for field in fields}
    return by_name.get(name)


def _check_range(field: "dataclasses.Field[Any]", value: Any) -> None:
    known, above, at_least = (field.metadata[name] for name in ("choices", "above", "at_least"))
    wanted = None
    if known is not None and value is not None and value not in known():
        wanted = f"one of {tuple(known())}"
        value = repr(value)
    elif above is not None and not value > above:
        wanted = "positive" if above == 0 else f"above {above}"
    elif at_least is not None and not value >= at_least:
        wanted = f"{at_least} or more"
    if wanted is not None:
        raise ArgumentError(field.name, Argument(field.name), f" must be {wanted}; got {value}.")
