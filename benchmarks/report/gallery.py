"""Draw synthetic images beside their parents, with loss and cap; those nearest to their cap, or above it, come first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from benchmarks.methods.capped import losses_and_embeddings
from benchmarks.methods.networks import CONVNET, ConvNet, embedding_layer
from benchmarks.report.drawing import new_figure, save
from benchmarks.report.groups import title_of
from benchmarks.training.run import Record
from benchmarks.training.training_images import TrainingData
from clesmote_losses import ClassCentroidTracker, cosine_cap, decode_target

Arrays = dict[str, NDArray[Any]]
_KEPT = 10  # synthetic images kept with their parents
_GALLERY_ROWS, _GALLERY_BLOCKS = 5, 2  # blocks of three images side by side


def score_synthetic_images(model: nn.Module, data: TrainingData, beta: float, num_classes: int) -> Arrays:
    """Compute cross-entropy and cap of every synthetic image, and keep the images that use most of their cap.

    The trained network is in evaluation mode and sees the images without augmentation, so the result depends neither on chance
    nor on the other images of a batch.

    Returns:
        ``synthetic_loss`` and ``synthetic_cap``, shape ``(N,)``, and of the images that are shown ``shown`` (index),
        ``shown_lam``, ``shown_label``, ``shown_base``, ``shown_synthetic`` and ``shown_neighbor``.
    """
    dataset = data.dataset
    assert dataset is not None
    labels, is_synthetic = decode_target(data.target)
    places = is_synthetic.nonzero()[:, 0]
    with ClassCentroidTracker(model, num_classes, classifier=_layer(model)) as tracker:
        tracker.refresh(data.real_batches(by_stratum=False))
        losses, embeddings = losses_and_embeddings(model, data, tracker, places)
        assert tracker.centroids is not None
        cap = cosine_cap(embeddings, labels[places], tracker.centroids, beta).cpu().numpy()
    loss = losses.cpu().numpy()
    shown = np.argsort(-loss / cap, kind="stable")[:_KEPT]
    plan = dataset.plan
    rows = np.flatnonzero(plan.is_synthetic)[shown]
    return {
        "synthetic_loss": loss,
        "synthetic_cap": cap,
        "shown": shown,
        "shown_lam": plan.lam[rows],
        "shown_label": plan.label[rows],
        "shown_base": np.stack([dataset.raw_image(int(i)) for i in plan.base[rows]]),
        "shown_synthetic": np.stack([dataset[int(places[i])][0] for i in shown]),
        "shown_neighbor": np.stack([dataset.raw_image(int(i)) for i in plan.neighbor[rows]]),
    }


def _layer(model: nn.Module) -> str | None:
    return embedding_layer(CONVNET if isinstance(model, ConvNet) else "")


def draw_gallery(records: Sequence[Record], archives: Sequence[dict[str, NDArray[Any]]], path: Path) -> None:
    """Draw synthetic images between their parents into a PNG file; those that use most of their cap come first.

    Args:
        records: Runs of one method with a capped loss.
        archives: What :func:`score_synthetic_images` gave for each run.
        path: The file.
    """
    usage = [(archive["synthetic_loss"] / archive["synthetic_cap"])[archive["shown"]] for archive in archives]
    ranked = sorted((-share, run, row) for run, shares in enumerate(usage) for row, share in enumerate(shares))
    chosen = ranked[: _GALLERY_ROWS * _GALLERY_BLOCKS]
    widths = {"width_ratios": [1.05, 1, 1, 1] * _GALLERY_BLOCKS}
    size = 10.5, 1.1 + 1.4 * _GALLERY_ROWS
    figure, axes = new_figure(*size, _GALLERY_ROWS, 4 * _GALLERY_BLOCKS, gridspec_kw=widths)
    for axis in axes.flat:
        axis.set_axis_off()
    for i, (_, run, row) in enumerate(chosen):
        archive, config = archives[run], records[run]["config"]
        line, block = divmod(i, _GALLERY_BLOCKS)
        text, *images = axes[line, 4 * block : 4 * block + 4]
        image = archive["shown"][row]
        lines = (
            f"class {_short(list(config['experiment']['classes'])[archive['shown_label'][row]])}",
            f"λ = {archive['shown_lam'][row]:.2f}",
            f"CE = {archive['synthetic_loss'][image]:.3g}",
            f"cap = {archive['synthetic_cap'][image]:.3g}",
            f"seed {config['seed']}",
        )
        text.text(0.96, 0.5, "\n".join(lines), ha="right", va="center", fontsize=10, transform=text.transAxes)
        for axis, name in zip(images, ("base", "synthetic", "neighbor"), strict=True):
            axis.imshow(archive[f"shown_{name}"][row], interpolation="nearest")
            if line == 0:
                axis.set_title(name, fontsize=10)
    total = sum(len(archive["synthetic_loss"]) for archive in archives)
    capped = sum(int((archive["synthetic_loss"] > archive["synthetic_cap"]).sum()) for archive in archives)
    if capped:
        found = f"{capped} of {total} synthetic images are over their cap after training; most-capped first"
    else:
        found = f"None of {total} synthetic images is over its cap after training; those nearest to it first"
    method = records[0]["config"]["method"]
    title = f"{title_of(method['name'])}, beta = {method.get('beta', 1):g}, {len(records)} run(s)"
    figure.suptitle(
        f"{task_of(records[0])}; {title}\n{found} (by CE / cap).\n"
        "synthetic = (1 - λ) base + λ neighbor; CE and cap of the trained network in nats, without augmentation",
        fontsize=11,
    )
    save(figure, path)


def task_of(record: Record) -> str:
    """Describe data and counts of a run for a title."""
    experiment = record["config"]["experiment"]
    counts = ", ".join(f"{_short(name)}={count}" for name, count in experiment["counts"].items())
    return f"{experiment['source']}, training images {counts}"


def _short(name: str, length: int = 14) -> str:
    name = name.replace("$", r"\$")  # two of them would begin a formula
    return name if len(name) <= length else name[: length - 1] + "…"
