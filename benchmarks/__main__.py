"""Command line of the experiments."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import torch
from rich.console import Console
from tqdm import tqdm

from benchmarks import report
from benchmarks.datasets import Experiment, digits, image_folder
from benchmarks.methods import METHODS, Method
from benchmarks.results import Results, run_id
from benchmarks.run import Settings, configuration, make_model, pretraining_steps, run, steps_per_epoch
from clesmote_losses.rng import preserved_rng

_DESCRIPTION = """\
Train every method of the CLE-SMOTE paper on an imbalanced task of real images, and compare their AUROC on test images.

Without --data-dir the images are three classes of handwritten digits that come with scikit-learn, and the whole takes about
two minutes on two cores. What is found is printed as a table and written into the folder --out:

  runs.jsonl      one JSON line a run: configuration, learning curve, AUROC, share of synthetic images capped, times
  runs/ID.npz     scores of the test images of a run; for CLE-SMOTE also cross-entropy and cap of every synthetic image
  curves.png      test AUROC by epoch
  gallery-*.png   synthetic images between their two parents with lambda, cross-entropy and cap, most-capped first

A run whose configuration is in runs.jsonl already is not made again; delete the file to make all anew."""

_EXAMPLES = """\
examples:
  python -m benchmarks demo
  python -m benchmarks demo --methods smote cle-smote --seeds 0 1 2 3 4 --epochs 20
  python -m benchmarks demo --data-dir cifar10-6class --classes airplane=5000 automobile=50 --seeds 0 --batch-size 128
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage that argparse puts before it."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted a number of 1 or more, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"wanted a number from 0 to 2**32 - 1, got {text!r}")
    return int(text)


def _class_count(text: str) -> tuple[str, int]:
    name, equals, count = text.rpartition("=")
    if not equals or not name or not count.isdecimal():
        raise argparse.ArgumentTypeError(f"wanted NAME=COUNT, such as automobile=50, got {text!r}")
    return name, int(count)


def _parser() -> argparse.ArgumentParser:
    defaults = Settings()
    parser = _Parser(prog="python -m benchmarks", description="Experiments on real images.")
    demo = parser.add_subparsers(dest="command", required=True).add_parser(
        "demo",
        help="compare the paper's methods on a small task",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), metavar="DIR", help="output folder (runs/demo)")
    demo.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder with train/CLASS/* and test/CLASS/*, in place of the digits",
    )
    demo.add_argument(
        "--classes",
        type=_class_count,
        nargs="+",
        metavar="NAME=COUNT",
        help="classes that take part, and training images of each (a folder: all; digits: 3=80 8=6 9=6)",
    )
    demo.add_argument("--seeds", type=_seed, nargs="+", default=[0, 1, 2], metavar="SEED", help="one run each (0 1 2)")
    demo.add_argument(
        "--methods", nargs="+", default=list(METHODS), metavar="METHOD", help=f"some of {', '.join(METHODS)} (all)"
    )
    demo.add_argument(
        "--model", default=defaults.model, help=f"timm's name of the network, untrained ({defaults.model})"
    )
    demo.add_argument(
        "--image-size", type=_positive, default=32, metavar="PIXELS", help="images are resized to it, squashed (32)"
    )
    demo.add_argument(
        "--epochs",
        type=_positive,
        default=defaults.epochs,
        help=f"each as long for every method: once through the classes, were all as large as the largest ({defaults.epochs})",
    )
    demo.add_argument("--batch-size", type=_positive, default=defaults.batch_size, help=f"({defaults.batch_size})")
    demo.add_argument(
        "--threads",
        type=_positive,
        default=1,
        help="of torch on the CPU; more than 1 pays for larger images and networks, on cores nobody else uses (1)",
    )
    return parser


def _prepared(arguments: argparse.Namespace) -> tuple[Experiment, list[Method], Settings, Results]:
    """All that can go wrong by a wrong option goes wrong here, before anything is trained."""
    if unknown := [name for name in arguments.methods if name not in METHODS]:
        raise ValueError(f"no method {unknown[0]!r}; there are {', '.join(METHODS)}.")
    counts = None if arguments.classes is None else dict(arguments.classes)
    if counts is not None and len(counts) < len(arguments.classes):
        raise ValueError("--classes names a class twice.")
    if arguments.batch_size < 2:
        raise ValueError("--batch-size must be 2 or more: batch normalisation needs more than one image.")
    methods = [METHODS[name] for name in dict.fromkeys(arguments.methods)]
    settings = Settings(model=arguments.model, epochs=arguments.epochs, batch_size=arguments.batch_size)
    try:
        results = Results(arguments.out)
    except OSError as error:
        raise ValueError(f"--out {arguments.out} cannot be written to: {error.strerror}.") from error
    if arguments.data_dir is None:
        experiment = digits(counts, image_size=arguments.image_size)
    else:
        experiment = image_folder(arguments.data_dir, counts, image_size=arguments.image_size)
    with preserved_rng():
        make_model(settings, experiment)
    return experiment, methods, settings, results


def _announce(console: Console, experiment: Experiment, methods: list[Method], settings: Settings) -> None:
    """State the task and the rules, before there is any result."""
    described = experiment.description
    width = max(map(len, experiment.classes))
    console.print(f"{experiment.name}, images of {experiment.image_size}x{experiment.image_size}", style="bold")
    for name, count, tested in zip(experiment.classes, experiment.counts, described["test_counts"], strict=True):
        ratio = max(experiment.counts) / count
        console.print(f"  {name:{width}}  {count:6} for training (1 : {ratio:.3g})  {tested:6} for testing")
    steps = steps_per_epoch(experiment, settings)
    console.print(
        f"Every method: {settings.model} from random weights, {settings.epochs} epochs of {steps} steps of {settings.batch_size} "
        f"images, AdamW, learning rate {settings.lr:g} falling to 0, random shifts. These are fixed, not searched for."
    )
    for method in methods:
        if method.pretraining_epochs:
            console.print(
                f"{method.title}: {pretraining_steps(experiment, method, settings)} steps of triplets come on top of these; "
                f"beta = {method.beta:g}, fixed; how much it caps is in the table."
            )
        if method.data == "balanced":
            fewer = experiment.balanced_count < max(experiment.counts)
            console.print(
                f"{method.title}: {experiment.balanced_count} real images of each class"
                + (", because there are no more of one: this is no upper bound here." if fewer else ".")
            )
    console.print(
        "A seed draws the training images, the weights, the order and the shifts; methods of one seed share the first two. The "
        "test images are looked at after each epoch and change nothing."
    )


def _demo(
    experiment: Experiment, methods: list[Method], settings: Settings, results: Results, seeds: Sequence[int]
) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
    _announce(console, experiment, methods, settings)
    planned = {}
    for seed in dict.fromkeys(seeds):  # seed by seed: what is broken off can be compared all the same
        for method in methods:
            planned[run_id(configuration(experiment.description, method, settings, seed))] = method, seed
    missing = {identity: plan for identity, plan in planned.items() if not results.has(identity)}
    if len(missing) < len(planned):
        console.print(
            f"{len(planned) - len(missing)} of {len(planned)} runs are in {results.path} already and are kept."
        )
    steps = [
        settings.epochs * steps_per_epoch(experiment, settings) + pretraining_steps(experiment, method, settings)
        for method, _ in missing.values()
    ]
    on_screen = sys.stderr.isatty()
    pause = 0.1 if on_screen else 10  # seconds; a log file keeps every state of the bar
    with tqdm(total=sum(steps), unit="step", disable=not missing, mininterval=pause, dynamic_ncols=on_screen) as bar:
        for method, seed in missing.values():
            bar.set_description(f"{method.name}, seed {seed}")
            results.add(*run(experiment, method, settings, seed, on_steps=bar.update, show_pretraining=on_screen))
    records = [results.records[identity] for identity in planned]
    console.print(report.auroc_table(methods, records))
    pictures = [results.path.with_name("curves.png")]
    report.learning_curves(methods, records, pictures[0])
    for method in methods:
        if method.loss == "capped":
            capped = [identity for identity, (planned_method, _) in planned.items() if planned_method == method]
            pictures.append(results.path.with_name(f"gallery-{method.name}.png"))
            archives = [results.arrays(identity) for identity in capped]
            report.gallery([results.records[identity] for identity in capped], archives, pictures[-1])
    console.print(f"Written: {', '.join(map(str, [results.path, *pictures]))}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; a mistake of the user ends it with a line on stderr and exit code 2."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        prepared = _prepared(arguments)
    except ValueError as error:
        parser.error(str(error))
    threads = torch.get_num_threads()
    torch.set_num_threads(arguments.threads)
    try:
        _demo(*prepared, arguments.seeds)
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
