"""The picture of a history: what is drawn, that lines differ without colour, and that the legend covers nothing."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clesmote_losses import CappedSMOTELoss
from clesmote_losses.history import LossHistory

KEYS = ("share_capped", "mean_cap", "loss_synthetic", "loss_real")


def history(classes: int, epochs: int = 3, raised: int | None = None) -> LossHistory:
    """Class 0 has no synthetic sample, and of the others the higher ones are capped more."""
    found = LossHistory()
    for epoch in range(epochs):
        numbers = {}
        for label in range(classes):
            values = [label / classes, 1.0 + label, 2.0 + label + epoch, 1.0 + epoch]
            is_oversampled = 0 < label <= (classes if raised is None else raised)
            known = values if is_oversampled else [None, None, None, values[-1]]
            numbers[label] = {"synthetic": 5 * is_oversampled, "real": 3, **dict(zip(KEYS, known, strict=True))}
        found.epochs.append({"epoch": epoch, "classes": numbers})
    return found


def lines(figure: Any) -> list[dict[str, list[float]]]:
    return [{line.get_label(): list(line.get_ydata()) for line in axes.lines} for axes in figure.axes]


def legend(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_panel_has_a_line_of_the_numbers_of_each_raised_class() -> None:
    shown = history(4, raised=2)
    figure = shown.plot(class_names=["cat", "dog", "_owl $", "emu"])
    assert legend(figure) == ["dog", r"owl \$"]
    for key, panel in zip(KEYS, lines(figure), strict=True):
        assert panel == {str(label): [row["classes"][label][key] for row in shown.epochs] for label in (1, 2)}
    assert legend(shown.plot(class_names={1: "dog"})) == ["dog", "class 2"]


@pytest.mark.parametrize("names", [["cat", "dog"], "a cat"])
def test_too_few_names_are_refused(names: Any) -> None:
    with pytest.raises(ValueError, match=r"class_names must hold 3 names, one for each class; got"):
        history(3).plot(class_names=names)


def test_without_synthetic_samples_all_classes_are_drawn_and_empty_panels_say_so() -> None:
    figure = history(3, epochs=1, raised=0).plot()
    assert legend(figure) == ["class 0", "class 1", "class 2"]
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["none"]] * 3 + [[]]
    assert [tick for tick in figure.axes[3].get_xticks() if tick % 1] == []
    assert figure.axes[2].get_ylim() == figure.axes[3].get_ylim()  # losses of synthetic and of real samples compare


def test_a_class_that_misses_an_epoch_leaves_a_gap() -> None:
    shown = history(3)
    del shown.epochs[1]["classes"][2]
    values = lines(shown.plot())[0]["2"]
    assert [math.isnan(value) for value in values] == [False, True, False]


def test_of_many_classes_the_most_capped_have_a_colour_and_the_legend_names_no_other() -> None:
    figure = history(101).plot()
    assert legend(figure) == [*(f"class {label}" for label in range(94, 101)), "93 other classes"]
    for axes in figure.axes:
        colours = [line.get_color() for line in axes.lines]
        assert (len(colours), len(set(colours))) == (100, 8)


@pytest.mark.parametrize(("classes", "names"), [(3, "a name of more than thirty-two letters, {}"), (101, None)])
def test_lines_differ_without_colour_and_the_legend_covers_no_panel(
    classes: int, names: str | None, tmp_path: Path
) -> None:
    shown = history(classes, epochs=40)
    figure = shown.plot(tmp_path / "history.png", None if names is None else [names.format(i) for i in range(classes)])
    with Image.open(tmp_path / "history.png") as image:
        assert image.width > 800
    lowest = min(axes.get_tightbbox().y0 for axes in figure.axes)
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.y0 < box.y1 <= lowest + 1
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    looks = [(line.get_marker(), str(line._dash_pattern)) for line in figure.axes[0].lines[:7]]
    for parts in zip(*looks, strict=True):
        assert len(set(parts)) == len(looks)


def test_a_picture_that_fails_leaves_the_last_one_and_equal_histories_are_equal_files(
    tmp_path: Path, monkeypatch: Any
) -> None:
    for name in ("one.png", "two.png"):
        history(3).plot(tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert "Software" not in image.info

    def interrupted(_: Any, file: Any, **options: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("no space")

    before = (tmp_path / "one.png").read_bytes()
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", interrupted)
    with pytest.raises(OSError, match="no space"):
        history(3).plot(tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes() == before


def test_a_history_without_an_epoch_and_a_machine_without_matplotlib_are_told_what_to_do(monkeypatch: Any) -> None:
    with pytest.raises(ValueError, match=r"no epoch yet: call end_epoch\(criterion\)"):
        CappedSMOTELoss(distance=None).history.plot()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "clesmote-losses\[report\]"'):
        history(3).plot()
