"""Options of a command: a dataclass declares them, and argparse is filled from it.

Each field with the metadata of :func:`option` is an option of the command line: name, type and default are those of the
field. An annotation such as :data:`PositiveInt` says how the text is read, a ``Literal`` lists the choices, a tuple takes
one value or more, and a ``bool`` is a switch.
"""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import chain
from pathlib import Path
from textwrap import wrap
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from rich.console import Console


def parse_positive(text: str) -> int:
    """Read an integer of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted a number of 1 or more, got {text!r}")
    return int(text)


def parse_above_zero(text: str) -> float:
    """Read a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"wanted a finite number above 0, got {text!r}")
    return value


def parse_share(text: str) -> float:
    """Read a number from 0 on that is below 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"wanted a share, from 0 on and below 1, got {text!r}")
    return value


def parse_seed(text: str) -> int:
    """Read a seed that both numpy and torch accept."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"wanted a number from 0 to 2**32 - 1, got {text!r}")
    return int(text)


def parse_class_count(text: str) -> tuple[str, int]:
    """Read ``NAME=COUNT``."""
    name, equals, count = text.rpartition("=")
    if not equals or not name or not count.isdecimal():
        raise argparse.ArgumentTypeError(f"wanted NAME=COUNT, such as automobile=50, got {text!r}")
    return name, int(count)


PositiveInt = Annotated[int, parse_positive]
AboveZero = Annotated[float, parse_above_zero]
Share = Annotated[float, parse_share]
Seed = Annotated[int, parse_seed]
ClassCount = Annotated[tuple[str, int], parse_class_count]


@dataclass(frozen=True)
class Option:
    """Describe one option of the command line.

    Attributes:
        name: Name of the field that declares it.
        kind: Annotation of the field.
        default: Value if the option is not given; ``MISSING`` if it must be.
        metadata: What :func:`option` was given.
    """

    name: str
    kind: Any
    default: Any
    metadata: Mapping[str, Any]

    @property
    def flag(self) -> str:
        """Return the name on the command line, such as ``--data-dir``."""
        return self.metadata["flag"] or f"--{self.name.replace('_', '-')}"

    def add_to(self, parser: argparse._ActionsContainer) -> None:
        """Add the option to a parser."""
        is_required, is_positional = self.default is MISSING, self.metadata["is_positional"]
        arguments = {name: self.metadata[name] for name in ("help", "metavar", "choices") if self.metadata[name]}
        if not is_required:
            arguments["default"] = self.default
        if self.kind is bool:
            off = "store_false" if self.metadata["flag"] else argparse.BooleanOptionalAction
            arguments["action"] = off if self.default else "store_true"
        else:
            kind, is_many = _value_kind(self.kind)
            arguments = _reading_of(kind) | arguments
            if is_many:
                arguments["nargs"] = "*" if is_positional else "+"
            elif is_positional and not is_required:
                arguments["nargs"] = "?"
        if is_positional:
            parser.add_argument(self.name, **arguments)
        else:
            parser.add_argument(self.flag, dest=self.name, required=is_required, **arguments)


def option(
    help: str,
    *,
    flag: str | None = None,
    is_positional: bool = False,
    metavar: str | None = None,
    choices: Iterable[str] | None = None,
) -> Mapping[str, Any]:
    """Return metadata that make a field of a dataclass an option of the command line.

    A field without a default is required.

    Args:
        help: Text of ``--help``; ``%(default)s`` and ``%(choices)s`` stand for these.
        flag: Name on the command line, if it is not that of the field; ``--no-...`` turns off a ``bool`` that is ``True``.
        is_positional: The value has a place and no name.
        metavar: Name of the value in the help.
        choices: Permitted values. They are read when a command is parsed, so a registry may grow until then.
    """
    return {"help": help, "flag": flag, "is_positional": is_positional, "metavar": metavar, "choices": choices}


def further_options(declared: Callable[[], Sequence[Option]]) -> Mapping[str, Any]:
    """Return metadata of a field that holds, by name, the values of options that are declared elsewhere.

    Options that were not given, or given as their default, are left out.

    Args:
        declared: Called when a command is parsed; returns the options.
    """
    return {"further": declared}


def options_of(declaration: type[Any]) -> list[Option]:
    """Return the options that a dataclass declares, in the order of its fields."""
    kinds = get_type_hints(declaration, include_extras=True)
    return [
        Option(item.name, kinds[item.name], item.default, item.metadata)
        for item in fields(declaration)
        if "help" in item.metadata
    ]


class Command(ABC):
    """Options of a command, and what it does. Subclasses are dataclasses.

    Attributes:
        summary: One line for the list of commands.
        description: Text of the help before the options.
        epilog: Text of the help after the options.
    """

    summary: ClassVar[str]
    description: ClassVar[str | None] = None
    epilog: ClassVar[str | None] = None

    @abstractmethod
    def prepare(self, console: Console) -> Callable[[], None]:
        """Check the options and return what remains to be done.

        Raises:
            ValueError: If an option is wrong.
        """


AnyCommand = TypeVar("AnyCommand", bound=Command)


def add_options(parser: argparse.ArgumentParser, command: type[Command]) -> None:
    """Add all options of a command to its parser."""
    for declared in (*options_of(command), *chain.from_iterable(_further_of(command).values())):
        declared.add_to(parser)


def read_options(command: type[AnyCommand], values: argparse.Namespace) -> AnyCommand:
    """Make the command of the values that argparse has read."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(values).items()}
    arguments = {declared.name: given[declared.name] for declared in options_of(command)}
    for name, further in _further_of(command).items():
        arguments[name] = {d.name: given[d.name] for d in further if given[d.name] != d.default}
    return command(**arguments)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrap(text, width, break_on_hyphens=False)  # cle-smote is a name to copy


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_HelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and one line, without the usage that argparse prints before it."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def _further_of(command: type[Any]) -> dict[str, Sequence[Option]]:
    return {item.name: item.metadata["further"]() for item in fields(command) if "further" in item.metadata}


def _value_kind(annotation: Any) -> tuple[Any, bool]:
    """Return the kind of one value, and whether there may be several."""
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (kind for kind in get_args(annotation) if kind is not NoneType)
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0], True
    return annotation, False


def _reading_of(kind: Any) -> dict[str, Any]:
    """Return the arguments of argparse that read a value of a kind."""
    if get_origin(kind) is Annotated:
        return {"type": kind.__metadata__[0]}
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind)}
    return {"type": Path} if kind is Path else {}
