"""Figures: what is drawn where, and how it looks."""

import numpy as np
import pytest
from matplotlib.cbook import is_math_text
from PIL import Image

from benchmarks.methods.registry import METHODS
from benchmarks.report import figures
from benchmarks.report.groups import groups_of
from benchmarks.report.write import write_report
from tests.support.run_lines import VALUE, line, seventeen


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, each with its axes. They are not rendered."""
    kept, new_figure = [], figures.new_figure
    monkeypatch.setattr(
        figures, "new_figure", lambda *given, **options: kept.append(new_figure(*given, **options)) or kept[-1]
    )
    monkeypatch.setattr(figures, "save", lambda figure, path: path.touch())
    return kept


def test_methods_in_a_panel_differ_in_colour_dashes_and_marker(drawn, tmp_path):
    records = [line(name, seed) for name in METHODS for seed in range(2)]
    files = write_report(records, tmp_path)
    assert {path.name for path in files if path.suffix == ".png"} == {
        "figure-4-correct-convnet-binary.png", "figure-5-correct-convnet-binary.png", "more-correct-convnet-binary.png",
        "differences-correct-convnet.png",
    }  # fmt: skip
    shown = set()
    for _, axes in drawn[:3]:
        for place in axes.flat:
            for look in ("get_color", "get_linestyle", "get_marker"):
                looks = [
                    getattr(curve, look)() if look != "get_linestyle" else str(curve._dash_pattern)
                    for curve in place.get_lines()
                ]
                assert len(set(looks)) == len(looks), (place.get_title(), look, looks)
            shown |= {curve.get_label() for curve in place.get_lines()}
    assert shown == {method.title for method in METHODS.values()}


@pytest.mark.parametrize("kind", [None, "interclass"])
def test_a_method_that_no_panel_names_is_drawn_too(kind, monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(figures, "learning_curves", lambda panels, *_: drawn.append(panels) or tmp_path)
    monkeypatch.setattr(figures, "save", lambda *_: None)
    records = [line(name, kind=kind, experiment=kind or "binary") for name in ("smote", "focal")]
    records[1]["config"]["method"]["name"] = "of-tomorrow"
    figures.figures_of(groups_of(records)[0], tmp_path, "slug")
    (panels,) = drawn
    assert {title: list(lines) for title, lines in panels.items()} == {"Other methods": ["smote", "of-tomorrow"]}


def test_dollar_signs_of_a_title_begin_no_formula(drawn, tmp_path):
    figures.learning_curves({"": {"smote": [line("smote")]}}, "test", "a$b, c$d", tmp_path / "curves.png")
    ((figure, _),) = drawn
    assert not is_math_text(figure.get_suptitle())


def test_rows_of_the_forest_stand_at_their_names(drawn, tmp_path):
    records = [
        r
        for r in seventeen()
        if not (r["config"]["experiment"]["kind"] == "interclass" and r["config"]["method"]["name"] == "none")
    ]
    write_report(records, tmp_path)
    _, axes = drawn[-1]
    panel = next(place for place in axes.flat if place.get_title() == "Interclass")
    names = [label.get_text() for label in axes[0, 0].get_yticklabels()]
    dots = {
        names[round(curve.get_ydata()[0])]: curve.get_xdata()[0]
        for curve in panel.get_lines()
        if len(curve.get_xdata()) == 1
    }
    assert dots == {
        METHODS[name].title: pytest.approx(VALUE["cle-smote"] - VALUE[name])
        for name in ("oversampling", "weighted", "smote")
    }


def test_figures_are_drawn_and_small(tmp_path):
    files = [path for path in write_report(seventeen(), tmp_path) if path.suffix == ".png"]
    assert [path.name for path in files] == ["figure-3-correct-convnet.png", "differences-correct-convnet.png"]
    for path in files:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        assert min(pixels.shape) > 250
        assert 0.005 < (pixels < 200).mean() < 0.9
        assert path.stat().st_size < 300_000
