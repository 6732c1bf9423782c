"""The command ``clesmote-doctor``: check a folder of images before training."""

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from clesmote_losses.doctor.checkup import check
from clesmote_losses.doctor.findings import Finding, Report
from clesmote_losses.doctor.folder import VALIDATION_NAMES, find_parts, open_folder
from clesmote_losses.smote.samplers import SAMPLERS, make_sampler


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the folder of a command line, and print what was found.

    Args:
        arguments: Command line without the program's name; by default that of the process.

    Raises:
        SystemExit: 0 if there is no error (with ``--strict``: and no warning), 1 if there is one, 2 if the command line is
            wrong.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.model is not None:
        _check_model(parser, given.model)
    try:
        train_folder, held_out_folder = find_parts(given.data, given.validation)
        train, findings = open_folder(train_folder)
        held_out = None
        if held_out_folder is not None:
            held_out, more = open_folder(held_out_folder)
            findings += more
            findings += _unread(given.data, train_folder, held_out_folder)
        report = check(
            train,
            held_out,
            None if given.groups is None else str(given.groups),
            sampler=make_sampler(given.sampler, given.k_neighbors),
            beta=given.beta,
            model=given.model,
            batch_size=given.batch_size,
            num_workers=given.num_workers,
        )
    except (ImportError, TypeError, ValueError) as error:
        parser.error(str(error))
    report = Report(report.counts, (*findings, *report.findings))
    if given.json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=2) + "\n")
    else:
        looked_at = f"training {train_folder}, validation {held_out_folder or 'none'}"
        sys.stdout.write(f"clesmote-doctor: {looked_at}\n\n{report}\n")
    is_bad = report.with_severity("error") or (given.strict and report.with_severity("warning"))
    raise SystemExit(1 if is_bad else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="clesmote-doctor",
        description="Check a folder of images before training: duplicates (also between training and validation), patients on both "
        "sides, unreadable files, small or missing classes, sizes, modes, tags, and what SMOTE would cost. Copies that are mirrored, cropped or rotated are not looked for. No file is changed.",
        epilog="Exit code: 0 without errors, 1 if there is an error (with --strict: or a warning), 2 if the command line is wrong.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="folder of class folders, or one with train/ and validation/ (or val/, "
        "valid/, eval/, test/: the first of them)",
    )
    parser.add_argument("--validation", type=Path, metavar="DIR", help="folder of class folders to validate on")
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="FILE.csv",
        help="the patient of each image: CSV with the columns filename and group",
    )
    parser.add_argument("--model", metavar="NAME", help="model of timm that will be trained")
    parser.add_argument("--sampler", choices=tuple(SAMPLERS), default="smote", help="(default: %(default)s)")
    parser.add_argument(
        "--k-neighbors", type=int, default=5, metavar="K", help="neighbours of SMOTE (default: %(default)s)"
    )
    parser.add_argument("--beta", type=float, default=1.0, help="noise tolerance of the loss (default: %(default)s)")
    parser.add_argument(
        "--batch-size", type=int, default=64, metavar="N", help="samples of a step (default: %(default)s)"
    )
    parser.add_argument(
        "--num-workers", type=int, metavar="N", help="processes that read files (default: one for each core)"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 for a warning too")
    parser.add_argument("--json", action="store_true", help="print JSON, with the evidence in full")
    return parser


def _unread(data: Path, *read: Path) -> list[Finding]:
    """Say which other parts there are that were not looked at."""
    others = [child for child in sorted(data.iterdir()) if child.name.lower() in VALIDATION_NAMES and child not in read]
    if read[0] == data or not others:  # they are classes
        return []
    lines = tuple(f"{other.name}/" for other in others)
    remedy = f"run this again with --validation {others[0]}."
    return [Finding("note", "validation", "Not looked at: other folders to evaluate on.", lines, remedy)]


def _check_model(parser: argparse.ArgumentParser, name: str) -> None:
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=3)
        parser.error(f"timm has no model {name!r}.{f' Near it: {chr(44).join(near)}.' if near else ''}")
