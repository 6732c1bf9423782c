"""The command ``suspects``: which score finds wrong labels among the images of the rare class."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks.command_line import Command, PositiveInt, Seed, option, parse_share
from benchmarks.report.statistics import mean_interval
from benchmarks.suspects.study import PAIRS, Network, make_record, make_run, networks
from benchmarks.sweep.store import Results, open_results
from benchmarks.training.run import Record
from clesmote_losses.atomic_write import atomic_write

_TABLE = "suspects.md"

_DESCRIPTION = """\
Plant wrong labels in a rare class, train a network on them, and rank the images of the class by each candidate for
clesmote_losses.Inspection.suspects(). Precision is the share of wrong labels among the first n images, n the number of
planted ones; chance is their share of the class.

Written into the folder --out: runs.jsonl (one line for each network, pair, share and seed) and suspects.md (means with
95 % intervals over seeds). A cell whose line is there is not made again."""


@dataclass(frozen=True, kw_only=True)
class SuspectsCommand(Command):
    """Options of ``suspects``."""

    summary: ClassVar[str] = "compare scores that find wrong labels in the rare class"
    description: ClassVar[str] = _DESCRIPTION

    cifar10: Path | None = field(
        default=None, metadata=option("root of torchvision's CIFAR10, or train/CLASS/* and test/CLASS/*", metavar="DIR")
    )
    x_rays: Path | None = field(
        default=None, metadata=option("train/CLASS/* and test/CLASS/* of normal, bacteria, virus", metavar="DIR")
    )
    weights: Path | None = field(
        default=None,
        metadata=option(
            "ImageNet weights of tf_efficientnet_lite0; adds the frozen network to the small one", metavar="FILE"
        ),
    )
    networks: tuple[str, ...] = field(default=("frozen", "convnet"), metadata=option("(%(default)s)", metavar="NAME"))
    pairs: tuple[str, ...] = field(default=tuple(PAIRS), metadata=option("rare classes (%(default)s)", metavar="NAME"))
    shares: tuple[Annotated[float, parse_share], ...] = field(
        default=(0.1, 0.3), metadata=option("of wrong labels (0.1 0.3)", metavar="SHARE")
    )
    seeds: tuple[Seed, ...] = field(default=(0, 1, 2, 3, 4), metadata=option("(0 1 2 3 4)", metavar="SEED"))
    threads: PositiveInt = field(default=1, metadata=option("of the CPU (%(default)s)"))
    out: Path = field(default=Path("runs/suspects"), metadata=option("output folder (%(default)s)", metavar="DIR"))

    def prepare(self, console: Console) -> Callable[[], None]:
        """Check the options; return the making of the cells and of the table.

        Raises:
            ValueError: If an option is wrong or missing.
        """
        folders = {"cifar10": self.cifar10, "x-rays": self.x_rays}
        if unknown := [pair for pair in self.pairs if pair not in PAIRS]:
            raise ValueError(f"--pairs {unknown[0]}: there are {', '.join(PAIRS)}.")
        if missing := [pair for pair in self.pairs if folders[PAIRS[pair][0]] is None]:
            raise ValueError(f"--pairs {missing[0]} needs --{PAIRS[missing[0]][0]} DIR.")
        known = networks(self.weights)
        if unknown := [name for name in self.networks if name not in known]:
            raise ValueError(f"--networks {unknown[0]}: there are convnet, and with --weights frozen.")
        results = open_results(self.out)
        return partial(self._make, {name: known[name] for name in self.networks}, folders, results, console)

    def _make(self, known: dict[str, Network], folders: dict[str, Any], results: Results, console: Console) -> None:
        with threadpool_limits(self.threads):
            for (name, network), pair in itertools.product(known.items(), self.pairs):  # images are read once for each
                for seed, share in itertools.product(self.seeds, self.shares):
                    run = make_run(pair, network, folders[PAIRS[pair][0]], share, seed)
                    with results.claim(run.id) as is_left:
                        if is_left:
                            about = {"network": name, "pair": pair, "share": share, "seed": seed}
                            record = make_record(run)
                            results.add({**record, **about})
                            console.print(*about.values(), record["precision"])
        results.reload()
        page = results.path.with_name(_TABLE)
        with atomic_write(page) as unfinished:
            unfinished.write_text(as_page(list(results.records.values())), encoding="utf-8")
        console.print(f"Written: {results.path}, {page}")


def as_page(records: Sequence[Record]) -> str:
    """Return the mean precision of each candidate with its 95 % interval, one column for each network, pair and share."""
    rows = [
        {**{key: record[key] for key in ("network", "pair", "share", "seed")}, "score": name, "precision": value}
        for record in records
        for name, value in {"chance": record["wrong"] / record["images"], **record["precision"]}.items()
    ]
    table = pd.DataFrame(rows)
    parts = []
    for network, of_network in table.groupby("network"):
        cells = of_network.groupby(["score", "pair", "share"])["precision"]
        shown = cells.agg(_mean_and_interval).unstack(["pair", "share"])
        shown.columns = [f"{pair}, {share:.0%}" for pair, share in shown.columns]
        overall = of_network.groupby("score")["precision"].mean().sort_values(ascending=False)
        shown = shown.loc[overall.index]
        shown.insert(0, "mean", overall.map("{:.3f}".format))
        seeds = of_network["seed"].nunique()
        parts.append(f"## {network}, {seeds} seed{'s' * (seeds > 1)}\n\n{shown.to_markdown()}\n")
    return "# Precision among the first n images, n the number of wrong labels\n\n" + "\n".join(parts)


def _mean_and_interval(values: Any) -> str:
    low, high = mean_interval(values.to_list(), 0, 1)
    interval = f" ({low:.2f} to {high:.2f})" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{interval}"
