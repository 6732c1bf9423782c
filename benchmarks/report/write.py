"""``python -m benchmarks report``: write tables and figures of the lines of runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.report.figures import figures_of
from benchmarks.report.groups import Group, groups_of
from benchmarks.report.tables import tables_of
from benchmarks.training.run import Record
from clesmote_losses.atomic_write import atomic_write


def write_report(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write ``report.md``, a CSV file for each table, and figures.

    Args:
        records: The lines of runs.
        folder: Where the files are written.

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
    """Name each group by preset, network and situation, with a number where two have the same."""
    parts = [[group.preset, group.settings["model"], *group.situation] for group in groups]
    names = ["-".join(part).replace("_", "-") for part in parts]
    return [name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)]


def _protocol(group: Group) -> str:
    """Say in a few lines what was run."""
    settings, experiment = group.settings, group.first["config"]["experiment"]
    trials = list(group.trials["record"])
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
    seconds = sum(sum(record["seconds"].values()) for record in (*trials, *group.tuning["record"]))
    environments = pd.DataFrame([record["environment"] for record in trials]).astype(str)
    versions = {name: sorted(set(environments[name])) for name in environments if name not in ("cpus", "threads")}
    tuning = f"{len(group.tuning)} tuning runs"
    if group.preset == "correct" and not group.first["config"].get("learning_rates"):
        tuning = f"nothing tuned: learning rate {settings['lr']:g} and the defaults of each method"
    if group.superseded:
        tuning += f", {group.superseded} trials left out for later ones of the same method, experiment and seed"
    seeds = ", ".join(map(str, sorted(set(group.trials["seed"]))))
    device = ", ".join(versions.pop("device"))
    versions_of = [f"{name} {'/'.join(found)}" for name, found in versions.items()]
    lines = [
        f"- data: {experiment['source']} (digest {experiment['digest']}), {experiment['image_size']}x{experiment['image_size']} pixels",
        f"- network: {settings['model']} {_start(settings)}; {budget}",
        f"- seeds {seeds}; {len(trials)} trials, {tuning}; {_duration(seconds)} in all on {device}",
        f"- versions: {', '.join(versions_of)}",
    ]
    if selection := group.first.get("selection"):
        lines.append(f"- selection: {', '.join(f'{count} {step}' for step, count in selection.items())}")
    for record in group.trials.drop_duplicates("experiment")["record"]:
        drawn = record["config"]["experiment"]
        counts = ", ".join(f"{stratum} {count}" for stratum, count in drawn["counts"].items())
        lines.append(f"- {drawn['name']}: {counts}{_wrong_labels(drawn)}")
    return "\n".join(lines)


def _start(settings: dict[str, Any]) -> str:
    """Say what the weights of the network were at the start."""
    if not settings.get("weights"):
        return "from random weights"
    start = f"from the weights of a file (digest {settings['weights']})"
    return f"{start}, frozen: a new linear head is trained on its features" if settings.get("frozen") else start


def _wrong_labels(experiment: dict[str, Any]) -> str:
    """Say how many training images of an experiment have a wrong label, if any."""
    if not experiment.get("label_noise"):
        return ""
    counts = ", ".join(f"{count} of {stratum}" for stratum, count in experiment["wrong_labels"].items())
    validation = "as noisy" if experiment["noisy_validation"] else "clean"
    return (
        f"; {experiment['label_noise']:.0%} wrong labels in the rare strata ({counts}), validation images {validation}"
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes else f"{seconds:.0f} s"


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
