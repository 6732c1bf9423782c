"""Errors that name the argument to change, so that a host can write them in its own words; warnings at the user's line."""

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Argument(NamedTuple):
    """An argument of the library, as a message names it.

    Attributes:
        name: Name of the argument, such as ``"small_class"``.
        value: Value to pass, as written in Python; empty if the message names none.
    """

    name: str
    value: str = ""


class ArgumentError(ValueError):
    """A ``ValueError`` that knows which argument to change.

    Args:
        argument: Name of the argument.
        parts: Parts of the message, in order: text, and the arguments that it names.

    Example:
        >>> error = ArgumentError("k_neighbors", "too few images: pass ", Argument("small_class", '"duplicate"'), ".")
        >>> str(error), error.argument
        ('too few images: pass small_class="duplicate".', 'k_neighbors')
        >>> error.message(lambda argument: f"--{argument.name} {argument.value}")
        'too few images: pass --small_class "duplicate".'
    """

    def __init__(self, argument: str, *parts: str | Argument) -> None:
        super().__init__(argument, *parts)  # all of them, so that the error can be pickled
        self.argument, self.parts = argument, parts

    def message(self, write: Callable[[Argument], str]) -> str:
        """Return the message; ``write`` turns each argument that it names into text."""
        return "".join(part if isinstance(part, str) else write(part) for part in self.parts)

    def __str__(self) -> str:
        return self.message(lambda argument: f"{argument.name}={argument.value}" if argument.value else argument.name)


@contextmanager
def prefixed(where: str) -> Iterator[None]:
    """Say where a ``TypeError`` or ``ValueError`` arose, in front of its message.

    Example:
        >>> with prefixed("image 3"):
        ...     raise ValueError("it holds NaN.")
        Traceback (most recent call last):
            ...
        ValueError: image 3: it holds NaN.
    """
    try:
        yield
    except ArgumentError as error:
        raise ArgumentError(error.argument, f"{where}: ", *error.parts) from error
    except (TypeError, ValueError) as error:
        raise (TypeError if isinstance(error, TypeError) else ValueError)(f"{where}: {error}") from error


def check_choice(argument: str, value: object, known: Iterable[object]) -> None:
    """Raise an :class:`ArgumentError` that lists the known values, unless ``value`` is one of them.

    Example:
        >>> check_choice("reduction", "avg", ("none", "mean", "sum"))
        Traceback (most recent call last):
            ...
        clesmote_losses.errors.ArgumentError: reduction must be one of ('none', 'mean', 'sum'); got 'avg'.
    """
    known = tuple(known)
    if value not in known:
        raise ArgumentError(argument, Argument(argument), f" must be one of {known}; got {value!r}.")


def check_numbers(**values: object) -> None:
    """Raise ``TypeError`` unless each value is a number; a configuration file often gives text.

    Example:
        >>> check_numbers(margin=1.0, beta="1e-3")
        Traceback (most recent call last):
            ...
        TypeError: beta must be a number; got str '1e-3'. Pass float('1e-3'): YAML reads 1e-3, without a dot, as text.
    """
    for name, value in values.items():
        if not hasattr(value, "__float__"):
            is_text = isinstance(value, str)
            remedy = f" Pass float({value!r}): YAML reads 1e-3, without a dot, as text." if is_text else ""
            raise TypeError(f"{name} must be a number; got {type(value).__name__} {shortened(repr(value))}.{remedy}")


def shortened(value: object) -> str:
    """Return a value as one line of text of at most 200 characters: a message need not hold a whole image.

    Example:
        >>> shortened("a\\n" * 5), len(shortened("a" * 999))
        ('a a a a a', 200)
    """
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def warn_user(message: str) -> None:
    """Warn at the user's line that led here: outside this package and torch, whatever host called."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(("clesmote_losses", "torch.")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
