"""Offer the options of the method as flags, and refuse flags of timm's ``train.py`` that the method excludes."""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_args, get_type_hints

from clesmote_losses.errors import Argument, ArgumentError
from clesmote_losses.hosts.declaration import GROUPS
from clesmote_losses.hosts.options import Options, option_of

TESTED = "train.py of timm 1.0.15, 1.0.20, 1.0.25, 1.0.28 and 1.0.29.dev0, legacy_train.py of 1.0.29.dev0"

_OF_THE_SCRIPT = ("num_classes",)  # arguments of errors that are flags of train.py


def flag_parser(options: type[Options] = Options) -> argparse.ArgumentParser:
    """Make the parser of the command line: flags of the method, the script, arguments of the script."""
    parser = argparse.ArgumentParser(
        prog="clesmote-timm",
        usage="clesmote-timm [FLAGS OF THE METHOD] path/to/train.py [FLAGS OF TRAIN.PY]",
        description="Run timm's train.py, or your own derivative of it, with CLE-SMOTE. Without a flag of the method the script "
        "runs unchanged.",
        epilog=f"Tested with {TESTED}.",
        argument_default=argparse.SUPPRESS,  # only what was given, so that a recorded run fills in the rest
        allow_abbrev=False,
    )
    hints = get_type_hints(options)
    groups = {name: parser.add_argument_group(title) for name, title in GROUPS.items()}
    for field in dataclasses.fields(options):
        group, default, choices = groups[field.metadata["group"]], field.default, field.metadata["choices"]
        if hints[field.name] is bool:
            group.add_argument(_flag(field.name), help=field.metadata["help"], action="store_true")
            continue
        group.add_argument(
            _flag(field.name),
            help=field.metadata["help"] + ("" if default is None else f" (default: {default})"),
            type=(get_args(hints[field.name]) or (hints[field.name],))[0],  # of "float | None", float
            choices=None if choices is None else tuple(choices()),
            metavar=field.metadata["metavar"],
        )
    parser.add_argument("script", help="path to train.py")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of train.py")
    return parser


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def write_as_flag(argument: Argument, options: type[Options] = Options) -> str:
    """Write an argument as on the command line: as a flag of the method if there is one, else as a flag of the script."""
    option = option_of(argument.name, options)
    if option is None:
        name = _flag(argument.name) if argument.name in _OF_THE_SCRIPT else argument.name
        return f"{name}={argument.value}" if argument.value else name
    value = argument.value.strip("\"'")
    if value.startswith("("):  # the command line has no tuples
        value = option.metadata["metavar"] or value
    return f"{_flag(option.name)} {value}".strip()


@contextmanager
def errors_as_flags(*more: type[BaseException], options: type[Options] = Options) -> Iterator[None]:
    """End the program with the message of an error, without a traceback, and with flags instead of the library's arguments.

    Args:
        more: Types of errors besides ``TypeError`` and ``ValueError``. All others keep their traceback.
        options: Options that have a flag.

    Raises:
        SystemExit: In place of the error.
    """
    try:
        yield
    except (TypeError, ValueError, *more) as error:  # type: ignore[misc]  # mypy 2.4 takes the tuple for a value
        message = str(error)
        if isinstance(error, ArgumentError):
            message = error.message(lambda argument: write_as_flag(argument, options))
            flag = write_as_flag(Argument(error.argument), options)
            message = message if flag in message else f"{flag}: {message}"
        raise SystemExit(f"clesmote-timm: error: {message}") from error


def misplaced_flag(arguments: Sequence[str], source: str) -> str | None:
    """Find the first flag of the method among the script's arguments; a flag that the script's source names is its own."""
    ours = {_flag(field.name) for field in dataclasses.fields(Options)}
    names = (argument.split("=")[0] for argument in arguments)
    return next((name for name in names if name in ours and name not in source), None)


def check_script_arguments(args: argparse.Namespace, options: Options) -> None:
    """Refuse flags of the script that the method cannot be combined with.

    Args:
        args: Parsed arguments of ``train.py``; it may lack some, since timm's versions differ.
        options: Options of the method.

    Raises:
        ValueError: If there is such a flag; the message names it.
    """

    def given(name: str) -> Any:
        return getattr(args, name, None)

    soft = "mixes the targets of two images, so a sample is neither real nor synthetic"
    splits = "puts several views of an image into one batch under one target"
    reasons = {
        "mixup": soft,
        "cutmix": soft,
        "cutmix_minmax": soft,
        "aug_splits": splits,
        "jsd_loss": splits,
        "kd_model_name": "adds a loss on synthetic images that no cap bounds",
        "naflex_loader": "reads its own patches and bypasses the training set",
        "torchscript": "does not allow a hook on the classifier",
    }
    refused = [(_flag(name), reason) for name, reason in reasons.items() if given(name)]
    if given("bce_loss") and options.cap != "none":
        refused.append(("--bce-loss", "replaces the cross-entropy that Eq. 2 caps (--cap none keeps it)"))
    dataset, kind = f"--dataset {given('dataset')}", str(given("dataset") or "").split("/")[0]
    if kind == "hfds":
        refused.append((dataset, "gives no labels without reading all images; an image folder does"))
    if kind in ("wds", "tfds", "hfids"):
        refused.append((dataset, "is read as a stream, but a synthetic sample needs two images by index"))
    if given("use_multi_epochs_loader") and options.smote_redraw == "epoch":
        reason = "reads ahead into the next epoch, before --smote-redraw epoch has drawn its samples"
        refused.append(("--use-multi-epochs-loader", reason))
    if refused:
        flag, reason = refused[0]
        raise ValueError(f"{flag} {reason}: drop it, or the flags of the method.")
