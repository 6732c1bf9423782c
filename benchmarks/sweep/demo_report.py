"""The report at the end of the demo: what the network of one run makes of its synthetic images."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.methods.networks import CONVNET, ConvNet, embedding_layer
from benchmarks.training.run import Record, Run
from benchmarks.training.training_images import TrainingData
from clesmote_losses import ClassCentroidTracker, inspect_synthetic
from clesmote_losses.inspection.report import write_report


def report_files(folder: Path, method: str) -> list[Path]:
    """Return the paths of report and gallery of a method."""
    return [folder / f"report-{method}.html", folder / f"gallery-{method}.png"]


def inspect_run(run: Run, folder: Path | None, model: nn.Module, data: TrainingData) -> dict[str, NDArray[Any]]:
    """Compute loss and cap of every synthetic image of a run with a capped loss, and write report and gallery.

    The trained network is in evaluation mode and sees the images without augmentation, so the result does not depend on chance.

    Args:
        run: The run.
        folder: Where report and gallery are written; ``None`` writes none.
        model: Its trained network.
        data: Its training set.

    Returns:
        ``synthetic_loss`` and ``synthetic_cap`` in nats, shape ``(S,)``.
    """
    assert data.dataset is not None
    layer = embedding_layer(CONVNET if isinstance(model, ConvNet) else "")

    def as_input(image: NDArray[np.uint8]) -> Tensor:
        return data.to_input(torch.from_numpy(image).permute(2, 0, 1)[None])[0]

    with ClassCentroidTracker(model, len(run.experiment.classes), classifier=layer) as tracker:
        found = inspect_synthetic(
            model,
            data.dataset,
            tracker=tracker,
            beta=run.method.beta,
            distance=run.method.distance,
            transform=as_input,
            class_names=list(run.experiment.classes),
        )
    if folder is not None:
        report, gallery = report_files(folder, run.method.name)
        write_report(found, report, note=f"{task_of({'config': run.config})}; {run.method.title}, seed {run.seed}.")
        found.gallery(gallery)
    return {f"synthetic_{name}": found.table[name].to_numpy(dtype=np.float64) for name in ("loss", "cap")}


def task_of(record: Record) -> str:
    """Describe data and counts of a run for a title."""
    experiment = record["config"]["experiment"]
    counts = ", ".join(f"{_short(name)}={count}" for name, count in experiment["counts"].items())
    return f"{experiment['source']}, training images {counts}"


def _short(name: str, length: int = 14) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
