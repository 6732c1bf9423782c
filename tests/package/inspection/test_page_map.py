"""The map of a page: its points, and which of many are kept."""

import base64
import io

import numpy as np
from PIL import Image

from clesmote_losses.inspection.gallery import choose_blends
from clesmote_losses.inspection.page_map import page_map
from tests.support.inspections import NAMES, inspected


def test_every_point_is_inside_and_has_its_image_and_its_words():
    inspection = inspected()
    shown = page_map(inspection)(1000)
    assert len(shown["points"]) == len(shown["pictures"]) == 120
    assert all(0 <= p["x"] <= shown["width"] and 0 <= p["y"] <= shown["height"] for p in shown["points"])
    assert shown["note"].startswith("All 120 images")
    for point, picture in zip(shown["points"], shown["pictures"], strict=True):
        assert Image.open(io.BytesIO(base64.b64decode(picture.split(",")[1]))).size == (8, 8)
        assert NAMES[point["class"]] in point["text"]
        assert ("Synthetic" in point["text"]) == (point["kind"] != "real")
    row = inspection.table.iloc[0]
    (text,) = (point["text"] for point in shown["points"] if point["index"] == row["index"])
    assert f"{row['lam']:.2f} of " in text
    assert f"loss {row['loss']:.2f}" in text


def test_of_many_points_those_that_the_report_shows_are_kept_and_every_group_has_some():
    inspection = inspected()
    shown = page_map(inspection)(60)
    indices = {point["index"] for point in shown["points"]}
    assert len(indices) == len(shown["points"]) == 60
    assert shown["note"].startswith("60 of 120 images")
    assert set(inspection.suspects()["index"][:7]) <= indices
    assert set(choose_blends(inspection.table, 3, 1)["index"]) <= indices
    groups = [(point["kind"] == "real", point["class"]) for point in shown["points"]]
    assert min(groups.count(group) for group in [(True, 0), (True, 1), (False, 1)]) >= 10
    assert page_map(inspection)(60)["points"] == shown["points"]


def test_no_point_is_fine_and_up_is_up():
    drawing = page_map(inspected())
    assert drawing(0)["points"] == []
    points = drawing(1000)["points"]
    assert np.ptp([point["y"] for point in points]) > 300
