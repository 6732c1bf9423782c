"""Runs of the two scripts in ``timm_scripts`` through ``clesmote-timm``, on a small folder of real images."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from clesmote_losses.hosts.timm import main

SCRIPTS = Path(__file__).parent / "timm_scripts"
KINDS = ["task", "old"]
try:
    from timm.task import ClassificationTask

    KIND = "task" if hasattr(ClassificationTask, "get_task_state") else "old"
except ImportError:
    KIND = "old"  # for tests that do not depend on the kind: this timm has no tasks
SMOTE = ["--smote", "smote", "--cap-beta", "0.5"]
COUNTS = {"one": 24, "two": 12, "three": 8}  # in training: 28 synthetic ones make it 72

_RUN_SCRIPTS = """
import json, runpy, sys
for arguments in json.loads(sys.argv[1]):
    sys.argv, sys.path[0] = arguments, arguments[0].rpartition("/")[0]
    runpy.run_path(arguments[0], run_name="__main__")
"""


def image_folder(folder: Path) -> Path:
    """Handwritten digits 1, 2 and 3 as files, ``train/NAME`` of unequal number and ``validation/NAME`` of six."""
    digits = load_digits()
    for digit, (name, count) in enumerate(COUNTS.items(), start=1):
        images = digits.images[digits.target == digit]
        for split, part in (("train", images[:count]), ("validation", images[-6:])):
            (folder / split / name).mkdir(parents=True)
            for i, image in enumerate(part):
                picture = Image.fromarray((image * 15.9).astype("uint8")).convert("RGB").resize((32, 32))
                picture.save(folder / split / name / f"{name}{i:02}.png")
    return folder


def skip_unless_timm_has(kind: str) -> None:
    if kind not in (KIND, "old"):
        pytest.skip("this timm has no tasks that hold state")


def run(
    kind: str, data: Path, output: Path, flags: Sequence[str], *arguments: str, script: Path | None = None
) -> list[dict[str, float]]:
    """Train in this process, with the script of that kind or a variant of it; the rows of summary.csv."""
    skip_unless_timm_has(kind)
    before = list(sys.path), list(sys.argv), set(sys.modules)
    try:
        main([*flags, *command(kind, data, output, script), *arguments])
    finally:
        sys.path[:], sys.argv[:] = before[:2]
        for name in set(sys.modules) - before[2]:
            if name in ("variant", "script_arguments", *(f"{kind}_train" for kind in KINDS)):
                del sys.modules[name]
    return summary(output)


def run_alone(data: Path, outputs: dict[str, Path], *arguments: str) -> dict[str, list[dict[str, float]]]:
    """Run the script of each kind in ``outputs`` in one new process that knows nothing of the method; the rows by kind."""
    commands = json.dumps([[*command(kind, data, output), *arguments] for kind, output in outputs.items()])
    subprocess.run([sys.executable, "-c", _RUN_SCRIPTS, commands], check=True, env=one_thread())
    return {kind: summary(output) for kind, output in outputs.items()}


def command(kind: str, data: Path, output: Path, script: Path | None = None) -> list[str]:
    return [str(script or SCRIPTS / f"{kind}_train.py"), "--data-dir", str(data), "--output", str(output)]


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def summary(output: Path) -> list[dict[str, Any]]:
    with open(output / "run" / "summary.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def losses(rows: list[dict[str, float]]) -> list[float]:
    return [row["train_loss"] for row in rows]


def variant(folder: Path, kind: str, old: str, new: str) -> Path:
    """Write a derivative of a script, and what it imports beside it."""
    text = (SCRIPTS / f"{kind}_train.py").read_text()
    assert old in text
    (folder / "variant.py").write_text(text.replace(old, new))
    shutil.copy(SCRIPTS / "script_arguments.py", folder)
    return folder / "variant.py"
