"""Figures in memory, and equal files of equal pictures."""

import sys

import pytest
from PIL import Image

from clesmote_losses.drawing import new_figure, plain_text, save


def test_axes_come_in_rows_and_columns_and_equal_pictures_are_equal_files(tmp_path):
    for name in ("one.png", "two.png"):
        figure, axes = new_figure(4, 3, 2, 1)
        assert axes.shape == (2, 1)
        axes[0, 0].plot([0, 1], [1, 0])
        save(figure, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert image.size == (440, 330)
        assert "Software" not in image.info


def test_the_ending_names_the_kind_of_file(tmp_path):
    figure, _ = new_figure(2, 2)
    for name, start in (("a.pdf", b"%PDF"), ("a.SVG", b"<?xml"), ("a.png", b"\x89PNG"), ("a", b"\x89PNG")):
        save(figure, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "clesmote-losses\[report\]"'):
        new_figure(2, 2)


def test_a_dollar_sign_is_drawn_as_it_is_and_begins_no_formula(tmp_path):
    figure, axes = new_figure(2, 2)
    title = axes[0, 0].set_title(plain_text(r"US$ and A$ \no"))
    save(figure, tmp_path / "a.png")
    assert not title.get_text().replace(r"\$", "").count("$")
