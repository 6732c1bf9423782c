"""Where embeddings are placed, and how they are told apart."""

import dataclasses
import sys
import types

import numpy as np
import pytest
from PIL import Image

from clesmote_losses.inspection.embedding_map import COLORS, OTHER_COLOR, class_colors, draw_embedding_map, map_points
from tests.support.inspections import inspected


def test_every_embedding_and_centroid_is_placed_once():
    inspection = inspected()
    points = map_points(inspection)
    capped = int(inspection.table["capped"].sum())
    counts = points["kind"].value_counts().to_dict()
    assert counts == {"real": 84, "capped": capped, "trusted": 36 - capped, "centroid": 2}
    of_images = points[points["kind"] != "centroid"]
    assert sorted(of_images["index"]) == list(range(120))
    capped_indices = set(inspection.table.loc[inspection.table["capped"], "index"])
    assert set(points.loc[points["kind"] == "capped", "index"]) == capped_indices


def test_pca_keeps_distances_in_a_plane_and_puts_a_centroid_in_the_middle_of_its_class():
    rng = np.random.default_rng(0)
    inspection = inspected()
    axes = np.linalg.qr(rng.normal(size=(10, 2)))[0].T.astype(np.float32)  # a plane in ten dimensions
    real, synthetic = (rng.normal(size=(n, 2)).astype(np.float32) * [5, 2] @ axes for n in (84, 36))
    labels = inspection.real["class"].to_numpy()
    centroids = np.stack([real[labels == label].mean(0) for label in (0, 1)])
    flat = dataclasses.replace(inspection, real_embeddings=real, synthetic_embeddings=synthetic, centroids=centroids)
    points = map_points(flat)
    plane, all_rows = points[["x", "y"]].to_numpy(), np.concatenate([real, synthetic, centroids])
    between = np.linalg.norm(all_rows[:, None] - all_rows, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(plane[:, None] - plane, axis=-1), between, atol=1e-3)
    for label in (0, 1):
        own = points[(points["kind"] == "real") & (points["class"] == label)][["x", "y"]].mean()
        centroid = points[(points["kind"] == "centroid") & (points["class"] == label)][["x", "y"]].iloc[0]
        np.testing.assert_allclose(own, centroid, atol=1e-3)


def test_embeddings_that_are_not_finite_and_unknown_centroids_are_left_out():
    inspection = inspected()
    broken = inspection.real_embeddings.copy()
    broken[3, 0], broken[5, 1] = np.nan, np.inf
    centroids = inspection.centroids.copy()
    centroids[1] = np.nan
    found = map_points(dataclasses.replace(inspection, real_embeddings=broken, centroids=centroids))
    left_out = set(range(84)) - set(found.loc[found["kind"] == "real", "index"])
    assert left_out == {3, 5}
    assert (found["kind"] == "centroid").sum() == 1


def test_raised_classes_have_the_first_colours_and_past_the_sixth_class_all_are_grey():
    inspection = inspected()
    assert list(class_colors(inspection)) == [1, 0]
    many = dataclasses.replace(inspection, real=inspection.real.assign(**{"class": np.arange(84) % 9}))
    colors = class_colors(many)
    assert colors[1] == COLORS[0]
    assert list(colors.values()) == [*COLORS, *[OTHER_COLOR] * 3]


def test_umap_is_used_if_it_is_installed_and_named_if_it_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match="pip install umap-learn"):
        map_points(inspected(), "umap")
    with pytest.raises(ValueError, match="method must be one of"):
        map_points(inspected(), "tsne")

    class UMAP:
        def __init__(self, **options):
            assert options == {"n_neighbors": 15, "n_jobs": 1, "random_state": 0}

        def fit_transform(self, embeddings):
            return embeddings[:, [4, 2]]

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))
    placed = map_points(inspected(), "umap")
    np.testing.assert_array_equal(placed["x"][:84], inspected().real_embeddings[:, 4])


def test_the_picture_shows_points(tmp_path):
    inspected().embedding_map(tmp_path / "map.png")
    draw_embedding_map(inspected(), tmp_path / "map.pdf")
    with Image.open(tmp_path / "map.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    shown = {tuple(color) for color in np.unique(pixels, axis=0).tolist()}
    assert {(0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)} <= shown
    assert (tmp_path / "map.pdf").read_bytes().startswith(b"%PDF")
