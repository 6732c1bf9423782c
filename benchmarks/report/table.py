"""A table, as Markdown and as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of text under headings.

    Attributes:
        name: Of the CSV file.
        title: Above it.
        headings: Of the columns.
        rows: As many cells each.
        note: Below it.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """As Markdown, the first column to the left, the others to the right."""
        lines = [f"**{self.title}**", "", _line(self.headings), _line([":--", *["--:"] * (len(self.headings) - 1)])]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, "", self.note, ""] if self.note else [*lines, ""])

    def csv(self) -> str:
        """As comma-separated values."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.headings, *self.rows])
        return text.getvalue()


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
