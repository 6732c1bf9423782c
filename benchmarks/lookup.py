"""Tables of named objects: methods, losses, samplings, metrics."""

from collections.abc import Iterable, Mapping
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

    @classmethod
    def by_name(cls, kind: str, entries: Iterable[T]) -> "Lookup[T]":
        """Make a table of objects that have a ``name``.

        Raises:
            ValueError: If two have the same name.
        """
        table: dict[str, T] = {}
        for entry in entries:
            name = entry.name  # type: ignore[attr-defined]
            if table.setdefault(name, entry) is not entry:
                raise ValueError(f"two of kind {kind} have the name {name!r}: {table[name]!r} and {entry!r}.")
        return cls(kind, table)

    def __missing__(self, name: str) -> NoReturn:
        raise ValueError(f"no {self.kind} {name!r}; there are {', '.join(self)}.")
