"""``python -m benchmarks report``: tables and figures from the lines of runs alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report.figures import figures_of
from benchmarks.report.groups import Group, groups_of
from benchmarks.report.tables import tables_of
from benchmarks.training.run import Record
from clesmote_losses.atomic_write import atomic_write


def write_report(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write ``report.md``, a CSV file for each table, and figures.

    Args:
        records: The lines of runs.
        folder: Where to.

    Returns:
        The files.

    Raises:
        ValueError: If there is no trial.
    """
    groups = groups_of(records)
    if not groups:
        raise ValueError("there is no trial to report on. python -m benchmarks run makes some.")
    files: list[Path] = []
    text = ["# Results", ""]
    for group, slug in zip(groups, _slugs(groups), strict=True):
        text += [f"## {slug}", "", _protocol(group), ""]
        for table in tables_of(group):
            path = folder / f"{slug}-{table.name.replace(' ', '-')}.csv"
            _write(path, table.csv())
            files.append(path)
            text.append(table.markdown())
        for path in figures_of(group, folder, slug):
            files.append(path)
            text.append(f"![{path.stem}]({path.name})")
        text.append("")
    report = folder / "report.md"
    _write(report, "\n".join(text).rstrip() + "\n")
    return [report, *files]


def _slugs(groups: Sequence[Group]) -> list[str]:
    """A short name for each group: preset and network, and a number where these are not enough."""
    names = [f"{group.preset}-{group.settings['model']}".replace("_", "-") for group in groups]
    return [name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)]


def _protocol(group: Group) -> str:
    """What was run, in a few lines."""
    settings = group.settings
    experiment = group.trials[0]["config"]["experiment"]
    if group.preset == "correct":
        budget = (
            f"{settings['steps']} optimizer steps of {settings['batch_size']} images for every method, those of a pretraining among "
            f"them (a step of triplets reads three images for each anchor); AdamW, cosine schedule, augmentation `{settings['augmentation']}`"
        )
    else:
        budget = (
            f"{settings['epochs']} epochs of steps of {settings['batch_size']} images over what the method trains on; SGD; "
            "nothing held out"
        )
    seconds = sum(sum(record["seconds"].values()) for record in (*group.trials, *group.tuning))
    environments = [record["environment"] for record in group.trials]
    versions = {
        name: sorted({str(environment[name]) for environment in environments})
        for name in environments[0]
        if name not in ("cpus", "threads")
    }
    tuning = f"{len(group.tuning)} tuning runs"
    if group.preset == "correct" and not group.trials[0]["config"].get("learning_rates"):
        tuning = f"nothing tuned: learning rate {settings['lr']:g} and the defaults of each method"
    if group.superseded:
        tuning += f", {group.superseded} trials left out for later ones of the same method, experiment and seed"
    lines = [
        f"- data: {experiment['source']} (digest {experiment['digest']}), {experiment['image_size']}x{experiment['image_size']} pixels",
        f"- network: {settings['model']} from random weights; {budget}",
        f"- seeds {', '.join(map(str, group.seeds))}; {len(group.trials)} trials, {tuning}; "
        f"{_hours(seconds)} in all on {', '.join(versions.pop('device'))}",
        f"- versions: {', '.join(f'{name} {chr(47).join(found)}' for name, found in versions.items())}",
        *_counts(group),
    ]
    return "\n".join(lines)


def _counts(group: Group) -> list[str]:
    lines = []
    if selection := group.trials[0].get("selection"):
        lines.append(f"- selection: {', '.join(f'{count} {step}' for step, count in selection.items())}")
    for name in group.experiments:
        record = next(record for record in group.trials if record["config"]["experiment"]["name"] == name)
        counts: dict[str, Any] = record["config"]["experiment"]["counts"]
        lines.append(f"- {name}: {', '.join(f'{stratum} {count}' for stratum, count in counts.items())}")
    return lines


def _hours(seconds: float) -> str:
    minutes = int(np.rint(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes else f"{seconds:.0f} s"


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as unfinished:
        unfinished.write_text(text)
