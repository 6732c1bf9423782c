"""Command line of the benchmark: ``python -m benchmarks demo|list|run|report|micro``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import NoReturn

import torch
from rich.console import Console

from benchmarks.arguments import above_zero, positive
from benchmarks.micro.command import checked_rows, described_rows, run_micro
from benchmarks.report.write import write_report
from benchmarks.sweep.demo import add_arguments, prepared, run_demo
from benchmarks.sweep.listing import show_list
from benchmarks.sweep.options import LEARNING_RATES, RunOptions
from benchmarks.sweep.schedule import Schedule
from benchmarks.sweep.store import Results, read_records
from benchmarks.sweep.suites import SUITES, DataOptions
from benchmarks.sweep.workers import RunsFailedError, progress_bar, work, work_in_processes
from benchmarks.training.augmentation import AUGMENTATIONS


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage that argparse puts before it."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m benchmarks", description="Experiments on real images.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_arguments(commands.add_parser("demo", help="compare the paper's methods on a small task"))
    shown = commands.add_parser("list", help="show suites, experiments and methods")
    shown.add_argument("suite", nargs="?", choices=list(SUITES), metavar="SUITE", help="(all)")
    shown.add_argument("--data-dir", type=Path, metavar="DIR", help="count the images of each experiment on these data")
    shown.add_argument("--normal", metavar="CLASS", help="folder, medmnist: the class that all others are told from")
    run = commands.add_parser(
        "run", help="make the runs of a suite", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run.add_argument("suite", choices=list(SUITES), metavar="SUITE", help=", ".join(SUITES))
    run.add_argument("--preset", choices=("correct", "as_published"), default="correct", help="(correct)")
    run.add_argument("--methods", nargs="+", metavar="METHOD", help="(those of the suite; see list)")
    run.add_argument("--experiments", nargs="+", metavar="NAME", help="(all of the suite; see list)")
    run.add_argument("--trials", type=positive, default=5, help="runs with the seeds 0, 1, ... of each (5)")
    run.add_argument("--model", help="convnet, or timm's name of a network, untrained (the suite's)")
    run.add_argument(
        "--image-size", type=positive, metavar="PIXELS", help="images are resized to it, squashed (the suite's)"
    )
    run.add_argument("--steps", type=positive, help="optimizer steps of a run, whatever the method (the suite's)")
    run.add_argument("--epochs", type=positive, help="parts of these steps, each ending with a test (the suite's)")
    run.add_argument("--batch-size", type=positive, help="(the suite's)")
    run.add_argument("--augmentation", choices=list(AUGMENTATIONS), help="of the training images (the suite's)")
    run.add_argument(
        "--lr",
        type=above_zero,
        nargs="+",
        help=f"learning rates to choose from ({' '.join(map(str, LEARNING_RATES))})",
    )
    run.add_argument(
        "--no-tuning", dest="tune", action="store_false", help="first learning rate, defaults of the methods"
    )
    run.add_argument(
        "--no-validation", dest="validate", action="store_false", help="train on all images; the last epoch counts"
    )
    run.add_argument("--data-dir", type=Path, required=True, metavar="DIR", help="the data; see list")
    run.add_argument("--normal", metavar="CLASS", help="folder, medmnist: the class that all others are told from")
    run.add_argument("--external", type=Path, metavar="DIR", help="chexpert: folder of ChestX-ray14, to test on it too")
    run.add_argument("--device", default="auto", help="(auto: the GPU if there is one)")
    run.add_argument("--amp", action="store_true", help="train under autocast to bfloat16")
    run.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=True, help="memory layout (yes)")
    run.add_argument("--threads", type=positive, default=1, help="of torch on the CPU, for each job (1)")
    run.add_argument("--jobs", type=positive, default=1, help="runs at the same time (1)")
    run.add_argument("--save-weights", action="store_true", help="keep the network of each run as .safetensors")
    run.add_argument("--out", type=Path, metavar="DIR", help="output folder (runs/SUITE)")
    report = commands.add_parser("report", help="make tables and figures of the runs in a folder")
    report.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="where runs.jsonl lies, and other .jsonl files of runs; the report joins them",
    )
    micro = commands.add_parser(
        "micro",
        help="measure time and memory of each part beside a peer",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"rows:\n{described_rows()}",
    )
    micro.add_argument("rows", nargs="*", metavar="NAME", help="rows to measure (all that can run here)")
    micro.add_argument("--out", type=Path, default=Path("runs/micro"), metavar="DIR", help="output folder (runs/micro)")
    micro.add_argument(
        "--check", type=above_zero, metavar="FACTOR", help="end with 1 if a result is over so many times its target"
    )
    return parser


def _run(options: RunOptions, schedule: Schedule, results: Results, device: torch.device, console: Console) -> None:
    ready, waiting = schedule.ready(results.records)
    missing = [run for run in ready if not results.has(run.id, with_weights=options.save_weights)]
    if len(missing) < len(ready):
        console.print(f"{len(ready) - len(missing)} runs are in {results.path} already and are kept.")
    for step, count in schedule.source.flow.items():
        console.print(f"  {count:7} {step}")
    for experiment in schedule.experiments:
        if experiment.note and (schedule.chosen is None or experiment.name in schedule.chosen):
            console.print(f"{experiment.name}: {experiment.note}")
    known = sum(run.steps for run in missing)
    steps = known + waiting * known // max(len(missing), 1)  # those to come are like those that are known
    console.print(f"{len(missing) + waiting} runs to make, on {device}, {options.jobs} at a time.")
    if options.jobs > 1:
        work_in_processes(options, options.jobs, steps)
    else:
        with progress_bar(steps) as bar:
            work(schedule, results, device, save_weights=options.save_weights, on_steps=bar.update)
    console.print(f"Written: {results.path}")


def _report(folder: Path, console: Console) -> None:
    console.print(f"Written: {', '.join(map(str, write_report(list(read_records(folder).values()), folder)))}")


def _prepared(arguments: argparse.Namespace, console: Console) -> Callable[[], None]:
    """What is to be done. All that can go wrong by a wrong option goes wrong here."""
    match arguments.command:
        case "demo":
            return partial(run_demo, *prepared(arguments))
        case "run":
            values = {field.name: getattr(arguments, field.name) for field in fields(RunOptions)}
            options = RunOptions(**{**values, "out": arguments.out or Path("runs") / arguments.suite})
            return partial(_run, options, *options.prepare(), console)
        case "report":
            read_records(arguments.folder)
            return partial(_report, arguments.folder, console)
        case "micro":
            rows = checked_rows(arguments.rows, arguments.out)
            return partial(run_micro, rows, arguments.out, console, check=arguments.check)
        case _:
            if arguments.data_dir is None:
                return partial(show_list, [arguments.suite] if arguments.suite else [], None, console)
            if arguments.suite is None:
                raise ValueError("--data-dir needs SUITE: which suite are the data for?")
            suite = SUITES[arguments.suite]
            source = suite.load(DataOptions(arguments.data_dir, suite.image_size, arguments.normal))
            source.split  # noqa: B018 -- it fails here if it fails
            return partial(show_list, [arguments.suite], source, console)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command.

    A mistake of the user ends it with a line on stderr and exit code 2, what goes wrong later with 1.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    console = Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
    try:
        action = _prepared(arguments, console)
    except ValueError as error:
        parser.error(str(error))
    threads = torch.get_num_threads()
    torch.set_num_threads(getattr(arguments, "threads", threads))
    try:
        action()
    except KeyboardInterrupt:
        if arguments.command == "micro":
            sys.exit("Broken off. Rows that were finished are kept.")
        sys.exit("Broken off. What was done is kept; the same command goes on from there.")
    except (OSError, RunsFailedError) as error:
        sys.exit(f"{parser.prog}: error: {error}")
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
