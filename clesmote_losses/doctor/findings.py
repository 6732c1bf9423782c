"""What a check of a data set found, in words and as plain values."""

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
_ORDER: tuple[Severity, ...] = ("error", "warning", "note")
_SHOWN = 3  # lines of evidence in the text
_WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        severity: ``"error"``: training would fail, or its result would be wrong. ``"warning"``: look at it before training.
            ``"note"``: good to know.
        topic: Short name, such as ``"duplicates"``.
        message: What is the case.
        evidence: File names, counts; all of them.
        remedy: What to do; empty if nothing need be done.
    """

    severity: Severity
    topic: str
    message: str
    evidence: tuple[str, ...] = ()
    remedy: str = ""

    def __str__(self) -> str:
        more = len(self.evidence) - _SHOWN
        lines = [_wrapped(f"{self.severity.upper():8}{self.message}", " " * 8)]
        lines += [f"          {line}" for line in self.evidence[: _SHOWN if more > 1 else None]]
        lines += [f"          ... and {more:,} more"] if more > 1 else []
        lines += [_wrapped(f"        Do: {self.remedy}", " " * 12)] if self.remedy else []
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Report:
    """What a check found, errors first; ``str()`` says it in words.

    Attributes:
        counts: For each class, by name: the number of images in each part, and of training samples after balancing.
        findings: Errors, then warnings, then notes.
    """

    counts: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]

    def __post_init__(self) -> None:
        ordered = sorted(self.findings, key=lambda finding: _ORDER.index(finding.severity))
        object.__setattr__(self, "findings", tuple(ordered))

    def with_severity(self, severity: Severity) -> list[Finding]:
        """Return the findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON keeps."""
        return {
            "counts": {name: dict(counts) for name, counts in self.counts.items()},
            "number_of": {severity: len(self.with_severity(severity)) for severity in _ORDER},
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }

    def __str__(self) -> str:
        numbers = [counted(len(self.with_severity(severity)), severity) for severity in _ORDER]
        serious = [finding for finding in self.findings if finding.severity != "note"]
        if serious:
            last = f"{', '.join(numbers)}. Start with the first one, then run this again."
        else:
            last = f"Nothing stands in the way of training ({numbers[-1]})."
        return "\n\n".join([*([_table(self.counts)] if self.counts else []), *map(str, self.findings), last])


def counted(number: int, name: str) -> str:
    """Return a number with a noun, ``"1 image"`` or ``"2 images"``."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _wrapped(text: str, indent: str) -> str:
    first, *code = text.splitlines()  # lines after the first are code to copy
    filled = textwrap.fill(first, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join([filled, *(indent + line for line in code)])


def _table(counts: Mapping[str, Mapping[str, int]]) -> str:
    columns = list(next(iter(counts.values())))
    rows = [["class", *columns]]
    rows += [[name, *(f"{of_class[column]:,}" for column in columns)] for name, of_class in counts.items()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
