"""Blends beside their two parents: those first that the loss does not trust, then some that it does."""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clesmote_losses.drawing import new_figure, plain_text, save
from clesmote_losses.inspection.thumbnails import ImageReader
from clesmote_losses.inspection.wording import class_name, file_names, has_copies, loss_in_words, nats, percent, shorten

if TYPE_CHECKING:
    from PIL.Image import Image

    from clesmote_losses.inspection.inspection import Inspection

_BLOCKS = 2  # blends side by side in the figure
_PARTS = ("first parent (base)", "blend", "second parent (neighbor)")


class GalleryRow(NamedTuple):
    """A blend between its parents, or a copy, in words and pictures.

    Attributes:
        title: Class and verdict on the blend.
        advice: What to look at: the blend or a parent.
        capped: Whether the loss of the blend is over its cap.
        pictures: First parent, blend, second parent; of a copy the one image.
        captions: Of each picture: its file or what it is, and a line on loss and cap.
    """

    title: str
    advice: str
    capped: bool
    pictures: "list[Image]"
    captions: list[tuple[str, str]]


def choose_blends(table: Any, capped: int, trusted: int) -> Any:
    """Choose rows of an inspection's table, at most one for each parent.

    Args:
        table: :attr:`Inspection.table`.
        capped: Number of blends that use most of their cap, the first first; those over it are capped. With few parents fewer.
        trusted: Number of blends after these that are within their cap, the most evenly mixed first.
    """
    usage = np.nan_to_num((table["loss"] / table["cap"]).to_numpy(), nan=np.inf)
    evenness = (table["lam"] - 0.5).abs().to_numpy()
    used: set[int] = set()
    chosen: list[int] = []
    parents = list(zip(table["base"].tolist(), table["neighbor"].tolist(), strict=True))
    capped = min(capped, max(1, len(set().union(*parents)) // 3))  # few parents: leave some for the trusted
    trusted_rows = np.flatnonzero(~table["capped"].to_numpy(dtype=bool))
    most_even = trusted_rows[np.argsort(evenness[trusted_rows], kind="stable")]
    for order, count in ((np.argsort(-usage, kind="stable"), capped), (most_even, trusted)):
        end = len(chosen) + count
        for row in order.tolist():
            if len(chosen) < end and used.isdisjoint(parents[row]):
                chosen.append(row)
                used.update(parents[row])
    return table.iloc[chosen]


def gallery_rows(inspection: "Inspection", capped: int = 12, trusted: int = 4, size: int = 144) -> list[GalleryRow]:
    """Read and describe the blends of the gallery.

    Args:
        inspection: What is shown.
        capped, trusted: As in :func:`choose_blends`.
        size: Longest side of a picture, in pixels.
    """
    reader, are_copies = ImageReader(inspection), has_copies(inspection)
    rows = []
    for row in choose_blends(inspection.table, capped, trusted).to_dict("records"):
        indices = [row["base"], row["index"], row["neighbor"]]
        files = file_names(inspection, [row["base"], row["neighbor"]])
        losses = [loss_in_words(row[f"{part}loss"], row[f"{part}cap"]) for part in ("base_", "", "neighbor_")]
        names = [shorten(files[0]), f"λ {row['lam']:.2f}: {100 * row['lam']:.0f} % of the second", shorten(files[1])]
        if are_copies:
            indices, losses, names = indices[:1], losses[1:2], names[:1]
        verdict = "not trusted" if row["capped"] else "trusted"
        rows.append(
            GalleryRow(
                title=f"{class_name(inspection, row['class'])}: {verdict}",
                advice=_advice(row, files, are_copies),
                capped=bool(row["capped"]),
                pictures=reader.thumbnails(indices, size),
                captions=list(zip(names, losses, strict=True)),
            )
        )
    return rows


def _advice(row: dict[str, Any], files: list[str], is_copy: bool) -> str:
    """Say whether the blend is bad or a parent is."""
    if not row["capped"]:
        return "Within its cap: it trains the network as a real image does."
    if is_copy:
        return f"Look at {shorten(files[0])}: this is a copy of it."
    parts = ("base", "neighbor")
    bad = [file for file, part in zip(files, parts, strict=True) if row[f"{part}_loss"] > row[f"{part}_cap"]]
    if not bad:
        return "Both parents are within their caps: the blend is bad, not a parent."
    verb = "parent is over its cap" if len(set(bad)) == 1 else "parents are over their caps"
    return f"Look at {' and '.join(shorten(file) for file in dict.fromkeys(bad))}: the {verb} too."


def gallery_summary(inspection: "Inspection") -> str:
    """Say in a sentence what the gallery shows."""
    table = inspection.table
    if not len(table):
        return "There are no synthetic images."
    capped = int(table["capped"].sum())
    if not capped:
        return f"None of {len(table)} synthetic images is over its cap; those nearest to it first."
    return f"{capped} of {len(table)} synthetic images ({percent(capped / len(table))}) are over their cap; the most capped first."


def draw_gallery(inspection: "Inspection", path: str | os.PathLike[str]) -> None:
    """Draw blends between their parents, with loss, cap and lambda: the most capped first, then some that were trusted.

    No parent is in two blends. Losses of the parents tell whether a blend is bad or a parent is.

    Args:
        inspection: What :func:`inspect_synthetic` returned.
        path: The picture; its ending names the kind (``.png``, ``.pdf``, ``.svg``).

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the training set has drawn other synthetic samples since the inspection.
    """
    rows = gallery_rows(inspection, capped=8)
    lines = max(1, -(-len(rows) // _BLOCKS))
    spaces = [1, 1, 1, 0.12] * (_BLOCKS - 1) + [1, 1, 1]
    figure, axes = new_figure(
        6.6 * _BLOCKS, 0.7 + 2.75 * lines, lines, len(spaces), gridspec_kw={"width_ratios": spaces}
    )
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    for i, row in enumerate(rows):
        line, block = divmod(i, _BLOCKS)
        first = len(row.pictures) == 1  # a copy is in the middle
        for part, (picture, (name, loss)) in enumerate(zip(row.pictures, row.captions, strict=True), first):
            axis = axes[line, 4 * block + part]
            axis.imshow(np.asarray(picture), interpolation="nearest")
            axis.set_title(plain_text(row.title if part == 1 else _PARTS[part]), fontsize=9)
            axis.set_xlabel(plain_text(f"{shorten(name, 28)}\n{loss}".replace(", ", ",\n")), fontsize=8)
    made = "plain copies of real images" if has_copies(inspection) else "blend = (1 - λ) base + λ neighbor"
    figure.suptitle(
        f"{gallery_summary(inspection)}\n{made}; loss and cap in nats, beta {nats(inspection.beta)}",
        fontsize=10,
    )
    save(figure, path)
