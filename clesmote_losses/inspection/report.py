"""The report of an inspection: one HTML file that opens without a network."""

import base64
import io
import os
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from clesmote_losses.atomic_write import atomic_write
from clesmote_losses.html_page import html_page
from clesmote_losses.inspection.findings import (
    blame_findings,
    cap_findings,
    detectability_findings,
    first_looks,
    suspect_reasons,
)
from clesmote_losses.inspection.gallery import gallery_rows, gallery_summary
from clesmote_losses.inspection.page_map import page_map
from clesmote_losses.inspection.thumbnails import ImageReader, data_uri
from clesmote_losses.inspection.training_facts import WORDS, class_rows, option_rows, trained
from clesmote_losses.inspection.wording import class_name, file_names, has_copies, shorten

if TYPE_CHECKING:
    from clesmote_losses.inspection.inspection import Inspection

_LARGEST = 5 * 10**6  # bytes of the file
_POINTS = (400, 120, 0)  # of the map, each with its image: the first number with which the file is small enough
_SUSPECTS, _SUSPECT_SIZE = 24, 112
_CLASSES = 40
_TITLE = "Which images to look at, and what the cap does"

_STYLE = """
h3 { font-size: 1rem; margin: 0; } img { image-rendering: auto; } figure { margin: 0; }
figcaption span { display: block; } .verdict { margin-bottom: 0; } .looks { margin-top: 0; font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: .8rem; }
.card { display: grid; grid-template-columns: 7rem 1fr; gap: .7rem; font-size: .85rem; line-height: 1.4; }
.card img, .three img { width: 100%; height: 7rem; object-fit: contain; background: #8882; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(25rem, 100%), 1fr)); gap: 1.2rem; }
.blend { border-left: 4px solid var(--mark); padding-left: .7rem; } .blend.capped { border-left: 4px dashed #d55e00; }
.blend p { margin: 0 0 .4rem; font-size: .85rem; } .three { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .5rem; }
.three figcaption { font-size: .75rem; line-height: 1.3; }
.map { display: grid; grid-template-columns: minmax(0, 1fr) 11rem; gap: 1rem; align-items: start; }
.map > svg { width: 100%; background: #fff; border: 1px solid var(--line); cursor: pointer; }
.chosen { font-size: .85rem; } .chosen img { width: 9rem; max-height: 9rem; object-fit: contain; background: #8882; }
.chosen img[hidden] { display: none; }
.p { --c: currentcolor; fill: none; stroke: var(--c); stroke-width: 1.2; } .p.real { fill: var(--c); fill-opacity: .45; stroke: none; }
.p.capped { stroke-width: 2.2; } .ring { fill: none; stroke: #000; stroke-width: 2; }
.centroid { fill: var(--c, #fff); stroke: #000; }
.map .name { font: 600 15px system-ui, sans-serif; fill: #000; stroke: #fff; stroke-width: 3px; paint-order: stroke; text-anchor: middle; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .85rem; }
.legend i, .legend svg { width: 1em; height: 1em; display: inline-block; margin-right: .4em; vertical-align: -.1em; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.history { max-width: 100%; background: #fff; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; }
@media (max-width: 40rem) { .map { grid-template-columns: minmax(0, 1fr); } }
@media print {
  .card, .blend, tr, dl > * { break-inside: avoid; } .chosen { display: none; } .map { display: block; } .map > svg { max-height: 14cm; }
  .gallery { grid-template-columns: 1fr 1fr; } .cards { grid-template-columns: 1fr 1fr; } .wide { overflow: visible; font-size: 8pt; }
}
"""


def write_report(inspection: "Inspection", path: str | os.PathLike[str], *, note: str = "") -> None:
    """Write one HTML file that says which images to look at first and why, and what the cap does.

    It opens offline, on a phone too, prints, and is smaller than 5 MB. Images are read only for what is shown. The names of
    folders and files of the images shown are in it.

    Args:
        inspection: What :func:`inspect_synthetic` returned.
        path: The file.
        note: A sentence under the title, such as the epoch of the network.

    Raises:
        ImportError: If the inspection has a history and matplotlib is not installed.
        ValueError: If the training set has drawn other synthetic samples since the inspection.
    """
    fixed = _fixed_parts(inspection) | {"note": note}
    draw_map = page_map(inspection)
    for points in _POINTS:
        page = _render(fixed, draw_map, points).encode()
        if len(page) < _LARGEST:
            break
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(page)


def _render(fixed: dict[str, Any], draw_map: Callable[[int], dict[str, Any]], points: int) -> str:
    from jinja2 import Environment  # which torch needs too

    source = resources.files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8")
    template = Environment(autoescape=True, trim_blocks=True).from_string(source)
    return html_page(_TITLE, template.render(fixed, map=draw_map(points)), _STYLE)


def _fixed_parts(inspection: "Inspection") -> dict[str, Any]:
    """Return what the page holds beside the map."""
    rows, more = class_rows(inspection, _CLASSES)
    return {
        "in_short": cap_findings(inspection),
        "looks": first_looks(inspection),
        **_suspects(inspection),
        "gallery_note": gallery_summary(inspection),
        "are_copies": has_copies(inspection),
        "blame": blame_findings(inspection),
        "gallery": [
            {
                **row._asdict(),
                "parts": [(data_uri(image), *texts) for image, texts in zip(row.pictures, row.captions, strict=True)],
            }
            for row in gallery_rows(inspection)
        ],
        "trained": trained(inspection),
        "classes": rows,
        "more_classes": more,
        "has_copies": any(row["copies"] for row in rows),
        "history": _history(inspection),
        "detectability": detectability_findings(inspection),
        "options": option_rows(inspection),
        "words": WORDS,
    }


def _suspects(inspection: "Inspection") -> dict[str, Any]:
    suspects = inspection.suspects()
    shown = suspects.head(_SUSPECTS)
    # one at a time: each picture has its own grey scale
    reader = ImageReader(inspection)
    pictures = [data_uri(reader.thumbnails([index], _SUSPECT_SIZE)[0]) for index in shown["index"]]
    rows = zip(
        pictures,
        file_names(inspection, shown["index"]),
        shown["class"],
        shown["score"],
        suspect_reasons(inspection, shown),
        strict=True,
    )
    note = (
        f"{len(shown)} of {len(suspects)} real images of the over-sampled classes (those with synthetic images). The score is one "
        "less the probability of the label; with many classes it is high for right labels too. A label is doubtful where another class is "
        "more probable. That is a reason to look, not a proof. The network itself was trained on the image, so labels that it has "
        "memorised look right. Inspection.suspects() has the whole list."
    )
    return {
        "suspects_note": note if len(suspects) else "No class is over-sampled.",
        "suspects": [
            {
                "picture": picture,
                "file": shorten(file, 60),
                "class_name": class_name(inspection, label),
                "score": f"{score:.2f}" if np.isfinite(score) else "unknown",
                "reason": reason,
            }
            for picture, file, label, score, reason in rows
        ],
    }


def _history(inspection: "Inspection") -> str:
    """Draw the history of the loss as text that the page can hold; empty if there is none."""
    if inspection.history is None or not inspection.history.epochs:
        return ""
    names = [class_name(inspection, label, 30) for label in range(len(inspection.class_names))]
    buffer = io.BytesIO()
    inspection.history.plot(class_names=names).savefig(buffer, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
