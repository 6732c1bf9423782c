"""The method's flags for timm's ``train.py``, and which flags of ``train.py`` it cannot go with."""

import argparse
import dataclasses
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

from clesmote_losses.capped_loss import Gradient
from clesmote_losses.centroids import Mode
from clesmote_losses.smote.dataset import Redraw
from clesmote_losses.smote.resampling import SmallClass
from clesmote_losses.triplet_sampling import Sampling

TRIED = "train.py of timm 1.0.15, 1.0.20, 1.0.25, 1.0.28 and 1.0.29.dev0, legacy_train.py of 1.0.29.dev0"
Sampler = Literal["smote", "borderline", "adasyn"]
Cap = Literal["cosine", "euclidean", "constant", "none"]
_CHOICES = {
    "smote": (*get_args(Sampler), "none"),
    "smote_small_class": get_args(SmallClass),
    "smote_redraw": get_args(Redraw),
    "cap": get_args(Cap),
    "cap_gradient": get_args(Gradient),
    "centroids": get_args(Mode),
    "triplet_sampling": get_args(Sampling),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What the flags say; each field is the flag of its name."""

    smote: Sampler | None = None
    smote_k: int = 5
    smote_strategy: str = "auto"
    smote_seed: int = 0
    smote_strata: str | None = None
    smote_plan: str | None = None
    smote_features: str | None = None
    smote_image_size: str | None = None
    smote_small_class: SmallClass = "error"
    smote_redraw: Redraw = "never"
    smote_cache: float = 128.0
    cap: Cap = "cosine"
    cap_beta: float = 1.0
    cap_gradient: Gradient = "stop"
    cap_warmup_epochs: int = 0
    centroids: Mode = "epoch"
    triplet_epochs: int = 0
    triplet_lr: float = 1e-4
    triplet_margin: float = 0.0
    triplet_sampling: Sampling = "dataset"
    triplet_checkpoint: str | None = None

    @classmethod
    def from_given(cls, given: dict[str, Any], recorded: dict[str, Any] | None = None) -> "Options":
        """The given flags, then those of a recorded run, the others at their defaults.

        Raises:
            ValueError: If one is unknown, or given without the flag that it belongs to.
        """
        both = {name: value for name, value in {**(recorded or {}), **given}.items() if value is not None}
        unknown = sorted(both.keys() - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise ValueError(f"unknown options of the method: {', '.join(unknown)}. clesmote-timm --help lists them.")
        for name, known in _CHOICES.items():
            if name in both and both[name] not in known:
                raise ValueError(f"{_flag(name)} must be one of {known}; got {both[name]!r}.")
        options, default = cls(**both), cls()
        for name in ("smote_k", "cap_beta", "triplet_lr"):
            if not getattr(options, name) > 0:
                raise ValueError(f"{_flag(name)} must be positive; got {getattr(options, name)}.")
        for name in ("smote_seed", "smote_cache", "cap_warmup_epochs", "triplet_epochs", "triplet_margin"):
            if not getattr(options, name) >= 0:
                raise ValueError(f"{_flag(name)} must be 0 or more; got {getattr(options, name)}.")

        def useless(*prefixes: str) -> str | None:
            """The first flag that was given to another value than its default for nothing."""
            names = (n for n in sorted(given) if n.startswith(prefixes) and given[n] != getattr(default, n))
            return next(map(_flag, names), None)

        if both.get("smote") == "none":
            raise ValueError("--smote none turns the method off: drop its other flags.")
        if options.smote is None and options.smote_plan is None:
            raise ValueError(
                f"{_flag(min(given, default='smote'))} needs synthetic samples: add --smote {{{','.join(get_args(Sampler))}}}, or "
                "--smote-plan with a file that exists."
            )
        search = ("smote_k", "smote_strategy", "smote_seed", "smote_features", "smote_small_class")
        if options.smote is None and (flag := useless(*search)):
            raise ValueError(f"{flag} has no meaning without --smote: the plan is made already.")
        if options.cap == "none" and (flag := useless("cap_", "centroids")):
            raise ValueError(f"{flag} has no meaning with --cap none: drop one of the two.")
        if options.cap == "constant" and options.cap_gradient == "flow":
            raise ValueError("--cap-gradient flow is the gradient of the cap, and --cap constant has none.")
        if options.cap == "constant" and (flag := useless("centroids")):
            raise ValueError(f"{flag} has no meaning with --cap constant, which needs none: drop one of the two.")
        if not options.triplet_epochs and (flag := useless("triplet_")):
            raise ValueError(f"{flag} has no meaning without --triplet-epochs.")
        return options

    @property
    def distance(self) -> str | None:
        """As :class:`CappedSMOTELoss` takes it."""
        return self.cap if self.cap == "cosine" or self.cap == "euclidean" else None

    def recorded(self) -> dict[str, Any]:
        """Every option that has a value: what args.yaml and the checkpoints keep."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def flag_parser() -> argparse.ArgumentParser:
    """The command line: flags of the method, then the script, then what belongs to the script."""
    parser = argparse.ArgumentParser(
        prog="clesmote-timm",
        usage="clesmote-timm [FLAGS OF THE METHOD] path/to/train.py [FLAGS OF TRAIN.PY]",
        description="Runs timm's train.py, or your own derivative of it, with CLE-SMOTE. Without a flag of the method the script "
        "runs as alone.",
        epilog=f"Tried with {TRIED}.",
        argument_default=argparse.SUPPRESS,  # only what was given, so that a recorded run fills in the rest
        allow_abbrev=False,
    )
    default = Options()

    def add(group: Any, name: str, text: str, **options: Any) -> None:
        value = getattr(default, name)
        shown = "" if value is None else f" (default: {value})"
        group.add_argument(_flag(name), help=text + shown, choices=_CHOICES.get(name), **options)

    smote = parser.add_argument_group("stage 1: synthetic samples")
    add(smote, "smote", "sampler of imbalanced-learn; turns the method on. 'none' turns that of a recorded run off")
    add(smote, "smote_k", "neighbours", type=int, metavar="K")
    add(
        smote,
        "smote_strategy",
        "which classes are raised to what: a word of imbalanced-learn ('minority', 'not majority', ...), a ratio for two "
        "classes (0.5), or CLASS=COUNT,CLASS=COUNT by folder name or index",
        metavar="S",
    )
    add(smote, "smote_seed", "of the draw; the same on every rank", type=int, metavar="N")
    add(
        smote,
        "smote_strata",
        "balance these groups in place of the classes: CSV of filename,stratum or .npy with one group for each image",
        metavar="FILE",
    )
    add(smote, "smote_plan", "load the plan, or compute and save it there", metavar="FILE.safetensors")
    add(
        smote,
        "smote_features",
        "search neighbours in these rows, not in pixels: .npy of one row for each image",
        metavar="FILE",
    )
    add(smote, "smote_image_size", "images are compared and blended at this size", metavar="N or HxW")
    add(smote, "smote_small_class", "for a class of K or fewer images")
    add(smote, "smote_redraw", "'epoch': new synthetic samples each epoch")
    add(smote, "smote_cache", "megabytes of images that each worker keeps decoded", type=float, metavar="MB")

    cap = parser.add_argument_group("stage 3: the capped loss")
    add(cap, "cap", "distance that the cap is made of; 'none' trains plainly on the synthetic samples")
    add(cap, "cap_beta", "noise tolerance; with --cap constant the cap itself, in nats", type=float, metavar="B")
    add(cap, "cap_gradient", "of a capped sample")
    add(cap, "cap_warmup_epochs", "first epochs without caps", type=int, metavar="N")
    add(cap, "centroids", "when class centroids are made")

    triplet = parser.add_argument_group("stage 2: triplet pretraining")
    add(triplet, "triplet_epochs", "passes before the training; 0: none", type=int, metavar="N")
    add(triplet, "triplet_lr", "learning rate of its AdamW", type=float, metavar="LR")
    add(triplet, "triplet_margin", "in the unit of the embedding; the paper has none", type=float, metavar="M")
    add(triplet, "triplet_sampling", "where positives and negatives come from")
    add(triplet, "triplet_checkpoint", "written after each pass; a rerun goes on from there", metavar="FILE")

    parser.add_argument("script", help="path to train.py")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of train.py")
    return parser


def misplaced_flag(arguments: Sequence[str], source: str) -> str | None:
    """The first flag of the method among those of the script, unless the script's text has one of that name too."""
    ours = {_flag(field.name) for field in dataclasses.fields(Options)}
    names = (argument.split("=")[0] for argument in arguments)
    return next((name for name in names if name in ours and name not in source), None)


def check_script_arguments(args: argparse.Namespace, options: Options) -> None:
    """Refuse what the method cannot go with.

    Args:
        args: What ``train.py`` parsed; of a flag that a version does not have nothing is asked.
        options: Of the method.

    Raises:
        ValueError: Naming the flag to drop.
    """

    def given(name: str) -> Any:
        return getattr(args, name, None)

    soft = "mixes the targets of two images, so a sample is neither real nor synthetic"
    splits = "puts several views of an image into one batch under one target"
    kind = str(given("dataset") or "").split("/")[0]
    refused = [
        ("--mixup", given("mixup"), soft),
        ("--cutmix", given("cutmix"), soft),
        ("--cutmix-minmax", given("cutmix_minmax"), soft),
        ("--aug-splits", given("aug_splits"), splits),
        ("--jsd-loss", given("jsd_loss"), splits),
        ("--bce-loss", given("bce_loss"), "is another loss than the cross-entropy that Eq. 2 caps"),
        ("--kd-model-name", given("kd_model_name"), "adds a loss on synthetic images that no cap bounds"),
        ("--naflex-loader", given("naflex_loader"), "reads images into patches of its own, past the training set"),
        ("--torchscript", given("torchscript"), "lets no hook listen to the classifier"),
        (
            f"--dataset {given('dataset')}",
            kind == "hfds",
            "does not tell its labels without reading its images, and an image folder does",
        ),
        (
            f"--dataset {given('dataset')}",
            kind in ("wds", "tfds", "hfids"),
            "is read as a stream; a blend needs two images by index",
        ),
        (
            "--use-multi-epochs-loader",
            given("use_multi_epochs_loader") and options.smote_redraw == "epoch",
            "reads ahead into the next epoch, before --smote-redraw epoch has drawn its samples",
        ),
    ]
    for flag, is_on, reason in refused:
        if is_on:
            raise ValueError(f"{flag} {reason}: drop it, or the flags of the method.")


_WORDS = {  # of the library, and what is typed in their place
    r"image_size=\(height, width\)": "--smote-image-size HxW",
    r'small_class="(\w+)"': r"--smote-small-class \1",
    r"fewer k_neighbors": "a smaller --smote-k",
    r"k_neighbors=(\d+)": r"--smote-k \1",
    r'redraw="epoch" with plan= needs sampler= too': "--smote-redraw epoch with --smote-plan needs --smote too",
    r"options than those of the sampler": "flags",
    r"Pass one of the two, or make the plan anew": "Drop the flags that differ, or let another --smote-plan file be made",
    r"Make it anew, or load the plan that belongs to this data set": "Name another --smote-plan file, or delete this one",
}


@contextmanager
def told_in_flags(*more: type[BaseException]) -> Iterator[None]:
    """End the program with the message of an error alone, in the words of the command line."""
    try:
        yield
    except (TypeError, ValueError, *more) as error:  # type: ignore[misc]  # mypy 2.4 takes the tuple for a value
        message = str(error)
        for words, typed in _WORDS.items():
            message = re.sub(words, typed, message)
        raise SystemExit(f"clesmote-timm: error: {message}") from error
