"""All embeddings in a plane: real images, blends that are trusted or capped, and the centroids of the classes."""

import os
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.drawing import new_figure, plain_text, save
from clesmote_losses.errors import check_choice
from clesmote_losses.inspection.wording import class_name

if TYPE_CHECKING:
    from pandas import DataFrame

    from clesmote_losses.inspection.inspection import Inspection

Method = Literal["pca", "umap"]

# of Okabe and Ito, told apart by the colour-blind and by a grey printer; kinds differ in shape, not colour
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
OTHER_COLOR = "#8C8C8C"
KINDS = {"real": "real", "trusted": "synthetic, trusted", "capped": "synthetic, over its cap"}
_MARKERS = {"real": "o", "trusted": "^", "capped": "x"}
_MOST = 20_000  # points of a picture
_FITTED = 20_000  # points that the plane is fitted to


def map_points(inspection: "Inspection", method: Method = "pca") -> "DataFrame":
    """Place every embedding and every known centroid in a plane.

    Args:
        inspection: What :func:`inspect_synthetic` returned.
        method: ``"pca"``: the two directions of greatest variance. ``"umap"``: neighbours stay near; distances between groups
            mean little. It needs umap-learn.

    Returns:
        Columns ``x``, ``y``, ``kind`` (``"real"``, ``"trusted"``, ``"capped"`` or ``"centroid"``), ``class`` and ``index`` in
        the training set (-1 for a centroid). Embeddings that are not finite are left out.

    Raises:
        ImportError: If umap-learn is wanted and not installed.
        ValueError: If ``method`` is unknown.
    """
    import pandas as pd

    check_choice("method", method, get_args(Method))
    known = np.flatnonzero(inspection.known)
    real, table = inspection.real, inspection.table
    points = pd.concat(
        [
            pd.DataFrame({"kind": "real", "class": real["class"], "index": real["index"]}),
            pd.DataFrame(
                {
                    "kind": np.where(table["capped"].to_numpy(dtype=bool), "capped", "trusted"),
                    "class": table["class"],
                    "index": table["index"],
                }
            ),
            pd.DataFrame({"kind": "centroid", "class": known, "index": -1}),
        ],
        ignore_index=True,
    )
    parts = [inspection.real_embeddings, inspection.synthetic_embeddings, inspection.centroids[known]]
    width = inspection.centroids.shape[1]
    embeddings = np.concatenate([part.reshape(len(part), width) for part in parts]).astype(np.float32)
    finite = np.isfinite(embeddings).all(1)
    points, embeddings = points[finite].reset_index(drop=True), embeddings[finite]
    plane = _pca(embeddings) if method == "pca" else _umap(embeddings)
    return points.assign(x=plane[:, 0], y=plane[:, 1])


def _pca(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA

    if len(embeddings) < 2 or embeddings.shape[1] < 2:
        first = embeddings[:, :1] if embeddings.size else np.zeros((len(embeddings), 1))
        return np.hstack([first, np.zeros_like(first)]).astype(np.float64)
    chosen = np.random.default_rng(0).permutation(len(embeddings))[:_FITTED]
    plane: NDArray[np.float64] = PCA(2, random_state=0).fit(embeddings[chosen]).transform(embeddings)
    return plane


def _umap(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    try:
        from umap import UMAP
    except ImportError as error:
        raise ImportError('method="umap" needs UMAP: pip install umap-learn. "pca" needs nothing more.') from error
    plane: NDArray[np.float64] = UMAP(n_neighbors=min(15, len(embeddings) - 1), n_jobs=1, random_state=0).fit_transform(
        embeddings
    )
    return plane


def class_colors(inspection: "Inspection") -> dict[int, str]:
    """Return the colour of each class: first those with synthetic images, then the largest; grey for those past the sixth."""
    synthetic = inspection.table["class"].value_counts(sort=True)
    real = inspection.real["class"].value_counts(sort=True)
    order = dict.fromkeys([*map(int, synthetic.index), *map(int, real.index)])
    return {label: COLORS[i] if i < len(COLORS) else OTHER_COLOR for i, label in enumerate(order)}


def draw_embedding_map(inspection: "Inspection", path: str | os.PathLike[str], *, method: Method = "pca") -> None:
    """Draw the embeddings of real and synthetic images, those over their cap marked, and the centroid of each class.

    Classes differ in colour (also for the colour-blind), kinds in shape (also in grey). Of more than 20,000 points some are
    left out by chance.

    Args:
        inspection: What :func:`inspect_synthetic` returned.
        path: The picture; its ending names the kind (``.png``, ``.pdf``, ``.svg``).
        method: As in :func:`map_points`.

    Raises:
        ImportError: If matplotlib, or umap-learn for ``"umap"``, is not installed.
        ValueError: If ``method`` is unknown.
    """
    points = map_points(inspection, method)
    images, centroids = points[points["kind"] != "centroid"], points[points["kind"] == "centroid"]
    images = images.sample(min(len(images), _MOST), random_state=0)
    colors = class_colors(inspection)
    figure, [[axis]] = new_figure(9, 6.5)
    size = float(np.clip(12_000 / max(len(images), 1), 6, 40))
    for kind in KINDS:
        for label, color in colors.items():
            chosen = images[(images["kind"] == kind) & (images["class"] == label)]
            style: dict[str, Any] = {"marker": _MARKERS[kind], "s": size, "linewidths": 0.9, "rasterized": True}
            style |= {"color": color} if kind != "trusted" else {"facecolors": "none", "edgecolors": color}
            axis.scatter(chosen["x"], chosen["y"], alpha=0.45 if kind == "real" else 0.9, **style)
    named = list(colors)[: len(COLORS)]
    shown = centroids[centroids["class"].isin(named)]
    axis.scatter(shown["x"], shown["y"], marker="*", s=320, edgecolors="black", c=[colors[c] for c in shown["class"]])
    _add_legend(axis, inspection, colors)
    title = {"pca": "PCA, the two directions of greatest variance", "umap": "UMAP"}[method]
    axis.set_title(f"Embeddings of the training set ({title})", fontsize=11)
    axis.set_xticks([])
    axis.set_yticks([])
    save(figure, path)


def _add_legend(axis: Any, inspection: "Inspection", colors: dict[int, str]) -> None:
    from matplotlib.lines import Line2D

    def handle(marker: str, color: str, text: str, **style: Any) -> Any:
        return Line2D([], [], marker=marker, color=color, linestyle="", label=plain_text(text), **style)

    handles = [handle("s", color, class_name(inspection, c, 30)) for c, color in list(colors.items())[: len(COLORS)]]
    if len(colors) > len(COLORS):
        handles.append(handle("s", OTHER_COLOR, f"{len(colors) - len(COLORS)} other classes"))
    for kind, text in KINDS.items():
        style = {"markerfacecolor": "none"} if kind == "trusted" else {}
        handles.append(handle(_MARKERS[kind], "black", text, **style))
    handles.append(handle("*", "black", "centroid of a class", markerfacecolor="white", markersize=13))
    axis.legend(handles=handles, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
