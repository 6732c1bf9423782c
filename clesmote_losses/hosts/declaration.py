"""How an option is declared: one entry with its meaning, its range and the part of the library that takes it."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from clesmote_losses.errors import Argument, ArgumentError, check_choice

GROUPS = {
    "smote": "stage 1: synthetic samples",
    "cap": "stage 3: the capped loss",
    "loss": "class balance in the loss, with and without a cap",
    "triplet": "stage 2: triplet pretraining",
    "head": "after training",
}
PARTS = ("sampler", "dataset", "tracker", "loss", "pretrainer", "fit")  # of the library, that the recipe makes or calls


class Need(NamedTuple):
    """A condition without which an option has no effect, and what a message says after "has no effect"."""

    is_met: Callable[[Any], bool]
    reason: tuple[str | Argument, ...]


def option(
    default: Any,
    group: str,
    help_text: str,
    *,
    argument: str | None = None,
    choices: Callable[[], Iterable[str]] | None = None,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    metavar: str | None = None,
    needs: Sequence[Need] = (),
) -> Any:
    """Declare an option, as a field of :class:`~clesmote_losses.hosts.options.Options` or of a dataclass derived from it.

    Args:
        default: Value if none is given; ``None`` for an option of text that is off.
        group: A key of :data:`GROUPS`.
        help_text: Meaning, for the help of a command line.
        argument: Argument of the library that the option sets. An error that names it is written with the option's name.
            With a part of the library before a dot, as in ``"loss.gradient"``, the value is passed on as it is; the parts are
            those of :data:`PARTS`. Without a dot the recipe converts it.
        choices: Returns the allowed values. It is called at each use, so names that are registered later are allowed too.
        above, at_least, at_most: Lower bound of a number, excluded or included, and upper bound, included.
        metavar: Placeholder of the value in a help text.
        needs: Conditions without which the option has no effect.

    Raises:
        ArgumentError: If there is no such group or part.
    """
    check_choice("group", group, GROUPS)
    part, _, argument = (argument or "").rpartition(".")
    check_choice("part", part, ("", *PARTS))
    meaning = {"group": group, "help": help_text, "part": part, "argument": argument, "metavar": metavar}
    conditions = {"choices": choices, "above": above, "at_least": at_least, "at_most": at_most, "needs": tuple(needs)}
    return dataclasses.field(default=default, metadata=meaning | conditions)


def check_range(field: "dataclasses.Field[Any]", value: Any) -> None:
    """Raise ``ArgumentError`` if the value of an option is none of its choices, or out of its range."""
    names = ("choices", "above", "at_least", "at_most")
    choices, above, at_least, at_most = (field.metadata[name] for name in names)
    if value is None:
        return
    if choices is not None:
        check_choice(field.name, value, choices())
    wanted = None
    if above is not None and not value > above:
        wanted = "positive" if above == 0 else f"above {above}"
    elif at_least is not None and not value >= at_least:
        wanted = f"{at_least} or more"
    elif at_most is not None and not value <= at_most:
        wanted = f"{at_most} or less"
    if wanted is not None:
        raise ArgumentError(field.name, Argument(field.name), f" must be {wanted}; got {value}.")
