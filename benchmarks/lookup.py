"""Tables of named objects: methods, losses, samplings, metrics."""

from collections.abc import Mapping
from typing import NoReturn, TypeVar

T = TypeVar("T")


class Lookup(dict[str, T]):
    """A dictionary that names its keys when a key is wrong.

    Args:
        kind: What the entries are, for the error message.
        entries: The objects by name. More may be added at run time.

    Example:
        >>> Lookup("loss", {"focal": 1, "capped": 2})["focl"]
        Traceback (most recent call last):
        ValueError: no loss 'focl'; there are focal, capped.
    """

    def __init__(self, kind: str, entries: Mapping[str, T]) -> None:
        super().__init__(entries)
        self.kind = kind

    def __missing__(self, name: str) -> NoReturn:
        raise ValueError(f"no {self.kind} {name!r}; there are {', '.join(self)}.")
