"""Suspects in order, and as a file."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clesmote_losses import Inspection
from tests.support.colored_blobs import colors, smote


def inspection() -> Inspection:
    """Five images of classes 0 and 1, made up; class 1 is raised."""
    real = pd.DataFrame(
        {
            "index": [3, 5, 8, 9, 11],
            "file": ["a", "b", "c", "d", "e"],
            "class": [0, 1, 1, 1, 1],
            "loss": [9.0, 0.1, 0.3, 0.2, 0.0],
            "cap": 1.0,
            "distance": [0.1, 0.2, 0.3, 0.4, 0.5],
            "nearest_class": [1, 0, 0, -1, 0],
            "oversampled": [False, True, True, True, True],
            "capped_blends": [np.nan, 0.0, 1.0, 0.5, 0.0],
            "suspicion": [np.nan, 0.7, 0.2, 0.7, np.nan],
            "likely_class": [-1, 0, 1, 0, -1],
        }
    )
    empty = np.empty((0, 2), np.float32)
    return Inspection(
        table=pd.DataFrame(), real=real, real_embeddings=empty, synthetic_embeddings=empty, centroids=empty, doubt_accuracy=None,
        class_names=["red", "blue"], beta=1.0, distance="cosine", loss_options={}, network="", train_set=smote(colors()), transform=None,
        history=None,
    )  # fmt: skip


def test_the_most_doubtful_comes_first_and_of_equals_the_one_with_the_larger_loss() -> None:
    suspects = inspection().suspects()
    assert suspects["index"].tolist() == [9, 5, 8, 11]
    assert suspects["score"].tolist()[:3] == [0.7, 0.7, 0.2]
    assert set(suspects["class_name"]) == {"blue"}
    assert suspects["nearest_class_name"].tolist() == ["", "red", "red", "red"]
    assert suspects["likely_class_name"].tolist() == ["red", "red", "blue", ""]
    assert suspects.columns[:5].tolist() == ["index", "file", "class", "class_name", "score"]


def test_the_table_is_written_and_read_again(tmp_path: Path) -> None:
    suspects = inspection().suspects()
    suspects.to_csv(tmp_path / "suspects.csv", index=False)
    read = pd.read_csv(tmp_path / "suspects.csv", keep_default_na=False, na_values={"score": ""})
    pd.testing.assert_frame_equal(read, suspects, check_dtype=False)


@pytest.mark.parametrize("method", ["gallery", "embedding_map", "report"])
def test_pages_are_made_by_the_functions_of_their_modules(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {"gallery": "draw_gallery", "embedding_map": "draw_embedding_map", "report": "write_report"}[method]
    calls = []
    module = import_module(f"clesmote_losses.inspection.{method}")
    monkeypatch.setattr(module, name, lambda *arguments, **options: calls.append((*arguments, options)))
    made, options = inspection(), {"method": "umap"} if method == "embedding_map" else {}
    getattr(made, method)(tmp_path / "page", **options)
    assert calls == [(made, tmp_path / "page", options)]
