"""Errors that name the arguments to change, so that a host can say them in the words of its own command line."""

from collections.abc import Callable
from typing import NamedTuple


class Argument(NamedTuple):
    """An argument of the library that a message names.

    Attributes:
        name: Of the argument, such as ``"small_class"``.
        value: To pass, as it is written in Python; empty where the message names no value.
    """

    name: str
    value: str = ""


class ArgumentError(ValueError):
    """A ``ValueError`` that knows which argument is to be changed.

    Args:
        argument: Name of the argument.
        parts: Of the message, in order: text, and the arguments that it names.

    Example:
        >>> error = ArgumentError("k_neighbors", "too few images: pass ", Argument("small_class", '"duplicate"'), ".")
        >>> str(error), error.argument
        ('too few images: pass small_class="duplicate".', 'k_neighbors')
        >>> error.message(lambda argument: f"--{argument.name} {argument.value}")
        'too few images: pass --small_class "duplicate".'
    """

    def __init__(self, argument: str, *parts: str | Argument) -> None:
        super().__init__(argument, *parts)  # all of them, or the error could not be pickled
        self.argument, self.parts = argument, parts

    def message(self, write: Callable[[Argument], str]) -> str:
        """Give the message, with each argument that it names as ``write`` writes it."""
        return "".join(part if isinstance(part, str) else write(part) for part in self.parts)

    def __str__(self) -> str:
        return self.message(lambda argument: f"{argument.name}={argument.value}" if argument.value else argument.name)
