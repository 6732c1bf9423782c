"""A comparison in its output folder: the options it belongs to, the making of its runs, and its report."""

import json
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from benchmarks.compare.comparison import Comparison
from benchmarks.compare.folder import describe_groups
from benchmarks.compare.page import Page
from benchmarks.compare.scores import measure
from benchmarks.compare.splits import FOLDS
from benchmarks.compare.verdict import PLAIN
from benchmarks.methods.registry import METHODS
from benchmarks.sweep.estimate import duration
from benchmarks.sweep.store import Results
from benchmarks.sweep.workers import progress_bar, work
from clesmote_losses.atomic_write import atomic_write

_OPTIONS = "compare.json"
_SAME = 1e-6  # difference of probabilities


def keep_options(comparison: Comparison, results: Results) -> None:
    """Write down what the runs of the folder are about, or check that they are about the same.

    Raises:
        ValueError: If the folder has runs of other options.
    """
    options: dict[str, Any] = {
        "images": comparison.source.digest,
        "methods": {name: METHODS[name].chosen() for name in comparison.methods},
        "lr": comparison.lrs,
        "seed": comparison.seed,
        **comparison.settings.plain(),
    }
    options = json.loads(json.dumps(options))
    path = results.path.with_name(_OPTIONS)
    if results.records:
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{path.parent} holds runs of another command ({path.name}: {error}). Choose another folder: --out."
            ) from error
        if other := [name for name in {**kept, **options} if kept.get(name) != options.get(name)]:
            raise ValueError(
                f"{path.parent} holds a comparison with other {' and '.join(other)}. Repeat its own command to continue it, "
                "or choose another folder: --out."
            )
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(options, indent=1), encoding="utf-8")


def make_runs(comparison: Comparison, results: Results, device: torch.device, console: Console) -> None:
    """Make the runs, and write the report of the splits that are whole, also after an interruption."""
    steps = comparison.settings.steps

    def steps_left(planned: int) -> int:
        return steps * max((planned + comparison.tuning_splits) * len(comparison.methods) - len(results.records), 0)

    try:
        with progress_bar(steps_left(comparison.planned_splits(results.records))) as bar:

            def begin_split(number: int, planned: int) -> None:
                bar.set_description(f"split {number} of {planned}")
                bar.total = bar.n + steps_left(planned)

            comparison.on_split = begin_split
            work(comparison, results, device, save_weights=False, on_steps=bar.update)
    finally:
        results.reload()
        if len(comparison.whole_splits(results.records)) > 1:
            page = _page(comparison, results)
            files = page.write(results.path.parent)
            console.print("", *(f"- {sentence}" for sentence in page.verdict), sep="\n")
            console.print(f"Written: {', '.join(map(str, files))}")


def _page(comparison: Comparison, results: Results) -> Page:
    """Make the page of all whole splits."""
    splits = comparison.whole_splits(results.records)
    rows, dead = [], []
    for number, of_methods in enumerate(splits):
        for method, record in of_methods.items():
            arrays = results.arrays(record["id"])
            rows.append({"split": number, "method": method, **measure(arrays)})
            if np.ptp(arrays["test_scores"], axis=0).max() < _SAME:
                dead.append(METHODS[method].title)
    experiments = [record["config"]["experiment"] for of_methods in splits for record in of_methods.values()]
    tested, trained = (
        sum(sum(counts) for counts in found)
        for found in (
            [experiment["test_counts"]["test"] for experiment in experiments],
            [experiment["counts"].values() for experiment in experiments],
        )
    )
    settings, first = comparison.settings, splits[0][PLAIN]
    seconds = sum(sum(record["seconds"].values()) for record in results.records.values())
    sizes = "; ".join(
        f"{part} {', '.join(map(str, counts))}"
        for part, counts in (
            ("training", first["config"]["experiment"]["counts"].values()),
            ("validation", first["config"]["experiment"]["validation_counts"].values()),
            ("test", first["config"]["experiment"]["test_counts"]["test"]),
        )
    )
    titles = {name: METHODS[name].title for name in comparison.methods}
    chosen = comparison.learning_rates(results.records) or {}
    rates = ", ".join(f"{titles[name]} {lr:g}" for name, lr in chosen.items())
    start = "from random weights" if settings.weights is None else f"from {settings.weights.path.name}"
    start += ", frozen but for a new linear classifier" if settings.frozen else ""
    facts = [
        f"{len(splits)} splits, folds of repeated stratified {FOLDS}-fold splits. Every method on the same splits. "
        f"Images of each class in the first split: {sizes}.",
        *describe_groups(comparison.source),
        f"Network: {settings.model} {start}, {comparison.source.image_size}x{comparison.source.image_size} pixels; {settings.steps} steps of "
        f"{settings.batch_size} images for every method; AdamW, cosine schedule, augmentation {settings.augmentation}; the last epoch counts.",
        f"Learning rate of each method, its best on the validation images of the first split: {rates}. Otherwise the defaults "
        "of the methods; nothing else is tuned.",
        f"{describe_seconds(seconds)} on {first['environment']['device']}; seed {comparison.seed}; torch {first['environment']['torch']}, "
        f"clesmote-losses {first['environment']['clesmote-losses']}.",
    ]
    if dead:
        names = ", ".join(f"{title} {dead.count(title)}" for title in dict.fromkeys(dead))
        facts.append(
            f"{len(dead)} of {len(rows)} runs have learnt nothing: all images have the same score ({names}). Try a lower --lr."
        )
    return Page(
        comparison.source.name, pd.DataFrame(rows), tested / trained, titles, comparison.source.available, facts
    )


def describe_seconds(seconds: float) -> str:
    """Write a time of seconds, minutes or hours."""
    return duration(seconds) if seconds >= 120 else f"{seconds:.0f} s"
