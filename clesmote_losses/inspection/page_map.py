"""The map of the embeddings as shapes of a page, with the image of each point."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clesmote_losses.inspection.embedding_map import COLORS, OTHER_COLOR, class_colors, map_points
from clesmote_losses.inspection.gallery import choose_blends
from clesmote_losses.inspection.thumbnails import ImageReader, data_uri
from clesmote_losses.inspection.wording import class_name, file_names, loss_in_words, shorten

if TYPE_CHECKING:
    from clesmote_losses.inspection.inspection import Inspection

_WIDTH, _HEIGHT, _MARGIN = 600, 420, 30
_SIZE = 80  # longest side of an image in pixels


def page_map(inspection: "Inspection") -> Callable[[int], dict[str, Any]]:
    """Place the embeddings once, and return a function from a number of points to what the page shows.

    Of more points, those are kept that the report shows elsewhere, and others by chance: a third real images of over-sampled
    classes, a third of the other classes, a third synthetic ones, where there are so many.
    """
    placed = map_points(inspection)
    for axis, length in (("x", _WIDTH), ("y", _HEIGHT)):
        low, high = placed[axis].min(), placed[axis].max()
        share = (placed[axis] - low) / ((high - low) or 1)
        placed[axis] = (_MARGIN + (length - 2 * _MARGIN) * (share if axis == "x" else 1 - share)).round(1)
    images, centroids = placed[placed["kind"] != "centroid"], placed[placed["kind"] == "centroid"]
    colors = class_colors(inspection)
    named = list(colors)[: len(COLORS)]
    legend = [(colors[label], class_name(inspection, label)) for label in named]
    if len(colors) > len(named):
        legend.append((OTHER_COLOR, f"{len(colors) - len(named)} other classes"))

    def draw(count: int) -> dict[str, Any]:
        points = images.loc[_chosen(inspection, images, count)]
        reader = ImageReader(inspection)
        return {
            "width": _WIDTH,
            "height": _HEIGHT,
            "note": _note(len(points), len(images)),
            "points": [
                {**row, "color": colors[row["class"]], "text": text}
                for row, text in zip(points.to_dict("records"), _texts(inspection, points), strict=True)
            ],
            "pictures": [data_uri(reader.thumbnails([index], _SIZE)[0]) for index in points["index"]],
            "centroids": [
                {**row, "color": colors[row["class"]], "name": class_name(inspection, row["class"], 16)}
                for row in centroids[centroids["class"].isin(named)].to_dict("records")
            ],
            "colors": legend,
        }

    return draw


def _note(shown: int, total: int) -> str:
    part = f"{shown} of {total} images" if shown < total else f"All {total} images"
    return (
        f"{part}, placed by the two directions in which their embeddings differ most (PCA): what is near is alike to the network. The "
        "cap is measured in all directions, so two points near here may be far apart there."
    )


def _chosen(inspection: "Inspection", images: Any, count: int) -> list[int]:
    """Choose rows of the map, those last that are to be drawn on top."""
    if len(images) <= count:
        return list(images.index)
    suspects = inspection.suspects()["index"].head(count // 8)
    blends = choose_blends(inspection.table, count // 20, count // 40)
    shown = images["index"].isin([*suspects, *blends["index"], *blends["base"], *blends["neighbor"]])
    oversampled = images["class"].isin(inspection.train_set.oversampled_classes)
    is_real = images["kind"] == "real"
    groups = [images[is_real & ~oversampled], images[is_real & oversampled], images[~is_real]]
    chosen = set(images[shown].index[:count])
    shuffled = [
        group.drop(index=list(chosen), errors="ignore").sample(frac=1, random_state=0).index for group in groups
    ]
    for i in range(max(map(len, shuffled), default=0)):
        for group in shuffled:
            if i < len(group) and len(chosen) < count:
                chosen.add(group[i])
    return sorted(chosen)


def _texts(inspection: "Inspection", points: Any) -> list[str]:
    """Describe each point in a line."""
    real = inspection.real.set_index("index")[["loss", "cap"]]
    table = inspection.table.set_index("index")[["base", "neighbor", "lam", "loss", "cap"]]
    texts = []
    for kind, label, index in zip(points["kind"], points["class"], points["index"], strict=True):
        name = class_name(inspection, label)
        if kind == "real":
            row, (file,) = real.loc[index], file_names(inspection, [index])
            texts.append(f"{shorten(file)}. Real, {name}; loss {row['loss']:.2f}")
        else:
            row = table.loc[index]
            files = file_names(inspection, [int(row["base"]), int(row["neighbor"])])
            parts = f"{1 - row['lam']:.2f} of {shorten(files[0])} + {row['lam']:.2f} of {shorten(files[1])}"
            texts.append(f"{parts}. Synthetic, {name}; {loss_in_words(row['loss'], row['cap'])}")
    return texts
