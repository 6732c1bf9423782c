"""Suites, laid out and run in a few steps by the command line."""

from benchmarks.__main__ import main
from benchmarks.sweep.command import RunCommand
from benchmarks.sweep.store import read_records

TINY = ["--methods", "none", "cle-smote", "--trials", "1", "--no-tuning", "--lr", "1e-3", "--steps", "5", "--epochs", "1",
        "--batch-size", "4"]  # fmt: skip


def experiments_of(suite, data_dir, out, *, image_size=None, **suite_options):
    """Return the experiments of a suite; each is one run of each method."""
    command = RunCommand(
        suite=suite,
        data_dir=data_dir,
        out=out,
        image_size=image_size,
        model="convnet",
        methods=("none", "cle-smote"),
        trials=1,
        tune=False,
        suite_options=suite_options,
    )
    schedule, results, _ = command.lay_out()
    ready, waiting = schedule.ready(results.records)
    assert waiting == 0
    assert len(ready) == 2 * len(schedule.experiments)
    return schedule.experiments


def run_and_report(suite, out, options, experiments):
    """Run two methods on some experiments, and report on them; return the lines."""
    main(["run", suite, *map(str, options), "--out", str(out), *TINY, "--experiments", *experiments])
    records = list(read_records(out).values())
    assert len(records) == 2 * len(experiments)
    assert {record["config"]["experiment"]["name"] for record in records} == set(experiments)
    main(["report", str(out)])
    text = " ".join((out / "report.md").read_text().split())
    assert "Interclass | CLE-SMOTE |" in text
    assert "to each other method" in text
    return records
