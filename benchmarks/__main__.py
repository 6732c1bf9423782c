"""Command line of the benchmark: ``python -m benchmarks compare|demo|list|run|report|evidence|micro|suspects``."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from rich.console import Console

from benchmarks.command_line import AboveZero, Command, Parser, add_options, option, read_options
from benchmarks.compare.command import CompareCommand
from benchmarks.micro.command import checked_rows, described_rows, run_micro
from benchmarks.report.evidence import write_evidence
from benchmarks.report.write import write_report
from benchmarks.suspects.command import SuspectsCommand
from benchmarks.sweep.command import RunCommand
from benchmarks.sweep.demo import DemoCommand
from benchmarks.sweep.listing import ListCommand
from benchmarks.sweep.store import read_records
from benchmarks.sweep.workers import RunsFailedError


@dataclass(frozen=True, kw_only=True)
class ReportCommand(Command):
    """Options of ``report``."""

    summary: ClassVar[str] = "make tables and figures of the runs in a folder"

    folder: Path = field(
        metadata=option(
            "where runs.jsonl lies, and other .jsonl files of runs; the report joins them",
            is_positional=True,
            metavar="DIR",
        )
    )

    def prepare(self, console: Console) -> Callable[[], None]:
        """Read the lines of the folder; return the writing of the report."""
        records = list(read_records(self.folder).values())

        def write() -> None:
            console.print(f"Written: {', '.join(map(str, write_report(records, self.folder)))}")

        return write


@dataclass(frozen=True, kw_only=True)
class EvidenceCommand(Command):
    """Options of ``evidence``."""

    summary: ClassVar[str] = "test the hypotheses of HYPOTHESES.md on the runs of several folders"

    folders: tuple[Path, ...] = field(
        metadata=option("where .jsonl files of runs lie", is_positional=True, metavar="DIR")
    )
    out: Path = field(default=Path("runs/evidence"), metadata=option("output folder (%(default)s)", metavar="DIR"))

    def prepare(self, console: Console) -> Callable[[], None]:
        """Read the lines of the folders; return the writing of the page."""
        records = {name: record for folder in self.folders for name, record in read_records(folder).items()}
        return lambda: console.print(f"Written: {write_evidence(records.values(), self.out)}")


@dataclass(frozen=True, kw_only=True)
class MicroCommand(Command):
    """Options of ``micro``."""

    summary: ClassVar[str] = "measure time and memory of each part beside a peer"
    epilog: ClassVar[str] = f"rows:\n{described_rows()}"

    rows: tuple[str, ...] = field(
        default=(), metadata=option("rows to measure (all that can run here)", is_positional=True, metavar="NAME")
    )
    out: Path = field(default=Path("runs/micro"), metadata=option("output folder (%(default)s)", metavar="DIR"))
    check: AboveZero | None = field(
        default=None, metadata=option("end with 1 if a result is over so many times its target", metavar="FACTOR")
    )

    def prepare(self, console: Console) -> Callable[[], None]:
        """Check the rows and the folder; return the measuring."""
        return partial(run_micro, checked_rows(self.rows, self.out), self.out, console, check=self.check)


COMMANDS: dict[str, type[Command]] = {
    "compare": CompareCommand,
    "demo": DemoCommand,
    "list": ListCommand,
    "run": RunCommand,
    "report": ReportCommand,
    "evidence": EvidenceCommand,
    "micro": MicroCommand,
    "suspects": SuspectsCommand,
}


def _make_parser() -> Parser:
    parser = Parser(prog="python -m benchmarks", description="Experiments on real images.")
    parsers = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        added = parsers.add_parser(
            name,
            help=command.summary,
            description=command.description,
            epilog=command.epilog,
        )
        add_options(added, command)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command.

    A mistake of the user ends it with a line on stderr and exit code 2; what fails later ends it with 1.
    """
    parser = _make_parser()
    values = parser.parse_args(argv)
    command = read_options(COMMANDS[values.command], values)
    console = Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
    try:
        action = command.prepare(console)
    except ValueError as error:
        parser.error(str(error))
    threads = torch.get_num_threads()
    torch.set_num_threads(getattr(command, "threads", threads))
    try:
        action()
    except KeyboardInterrupt:
        if isinstance(command, MicroCommand):
            sys.exit("Interrupted. Finished rows are kept.")
        sys.exit("Interrupted. Finished runs are kept; the same command continues.")
    except (OSError, RunsFailedError) as error:
        sys.exit(f"{parser.prog}: error: {error}")
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
