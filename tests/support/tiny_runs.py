"""Runs of a few steps on a small folder of images, by the command line."""

import json

from tests.support.benchmark_images import write_folder

TINY = ["--trials", "2", "--image-size", "16", "--steps", "10", "--epochs", "2", "--batch-size", "8"]


def write_waves(folder):
    """Write a normal class and two kinds of the abnormal one."""
    return write_folder(folder, {"well": 60, "cough": 30, "fever": 30})


def command(data, out, *options):
    """Return the command line that runs one experiment of the suite ``folder`` on ``write_waves``."""
    folders = ["--normal", "well", "--data-dir", str(data), "--out", str(out)]
    return ["run", "folder", *folders, "--experiments", "interclass", *TINY, *options]


def lines(folder):
    """Return the lines of a folder."""
    return [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]


def without_times(record):
    """Return a line without what differs from run to run."""
    return {name: value for name, value in record.items() if name not in ("seconds", "environment")}
