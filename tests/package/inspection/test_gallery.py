"""Which blends are shown, and what is said of them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from matplotlib.figure import Figure
from PIL import Image

from clesmote_losses.inspection.gallery import choose_blends, draw_gallery, gallery_rows, gallery_summary
from tests.support.inspections import NAMES, inspected


@pytest.fixture
def table():
    """Return a thousand blends of a hundred parents, a third of them capped."""
    rng = np.random.default_rng(0)
    loss = rng.uniform(0, 3, 1000)
    parents = rng.integers(0, 100, (2, 1000))
    return pd.DataFrame(
        {"base": parents[0], "neighbor": parents[1], "lam": rng.uniform(0, 1, 1000), "loss": loss, "cap": 2.0}
    ).assign(capped=loss > 2)


def test_no_parent_is_shown_twice_and_the_most_capped_come_first(table):
    table.loc[[5, 17], ["loss", "cap"]] = [50.0, 1.0]
    table.loc[[5, 17], ["base", "neighbor"]] = [[1, 2], [2, 3]]  # they share a parent
    table["capped"] = table["loss"] > table["cap"]
    chosen = choose_blends(table, 12, 4)
    assert len(chosen) == 16
    assert chosen.index[0] == 5
    assert 17 not in chosen.index
    parents = [{row.base, row.neighbor} for row in chosen.itertuples()]
    assert sum(map(len, parents)) == len(set.union(*parents))
    usage = (chosen["loss"] / chosen["cap"])[:12]
    assert usage.is_monotonic_decreasing
    left = table.drop(chosen.index)
    unused = left[~left["base"].isin(set.union(*parents)) & ~left["neighbor"].isin(set.union(*parents))]
    assert (unused["loss"] / unused["cap"]).max() <= usage.min()


def test_those_that_were_trusted_are_the_most_evenly_mixed(table):
    trusted = choose_blends(table, 12, 4).iloc[12:]
    assert not trusted["capped"].any()
    assert (trusted["lam"] - 0.5).abs().max() < 0.1


def test_the_same_number_of_both_is_not_taken_for_one(table):
    assert choose_blends(table, 4, 4)["capped"].tolist() == [True] * 4 + [False] * 4


def test_of_few_parents_some_are_left_for_the_trusted(table):
    few = table.assign(base=table["base"] % 12, neighbor=table["neighbor"] % 12)
    is_capped = choose_blends(few, 12, 4)["capped"].tolist()
    assert is_capped[:4] == [True] * 4
    assert set(is_capped[4:]) == {False}


def test_of_few_parents_there_are_few_blends():
    rows = {"base": 0, "neighbor": [0, 1, 1], "lam": 0.5, "loss": [0.1, 3.0, np.nan], "cap": 1.0}
    table = pd.DataFrame(rows).assign(capped=[False, True, False])
    assert choose_blends(table, 12, 4).index.tolist() == [2]  # a loss that is no number is the worst


def with_parents(base_loss, neighbor_loss, capped=True):
    """Return the inspection with other losses of the parents, beside caps of 1."""
    inspection = inspected()
    table = inspection.table.assign(
        base_loss=base_loss, neighbor_loss=neighbor_loss, base_cap=1.0, neighbor_cap=1.0, capped=capped
    )
    return dataclasses.replace(inspection, table=table)


@pytest.mark.parametrize(
    ("losses", "advice"),
    [
        ((0.5, 0.5), "Both parents are within their caps: the blend is bad, not a parent."),
        ((2.0, 0.5), ": the parent is over its cap too."),
        ((2.0, 2.0), ": the parents are over their caps too."),
    ],
)
def test_the_words_say_whether_the_blend_is_bad_or_a_parent_is(losses, advice):
    inspection = with_parents(*losses)
    row = gallery_rows(inspection, 1, 0)[0]
    assert row.advice.endswith(advice)
    assert row.advice.count(".png") == sum(loss > 1 for loss in losses)
    assert row.title.endswith(": not trusted")
    assert f"{losses[0]:.2f}" in row.captions[0][1]
    assert gallery_rows(with_parents(*losses, capped=False), 1, 0)[0].advice.startswith("Within its cap")


def test_each_row_has_three_pictures_with_file_lambda_loss_and_cap():
    inspection = inspected()
    rows = gallery_rows(inspection, 3, 1)
    chosen = choose_blends(inspection.table, 3, 1).to_dict("records")
    assert [row.capped for row in rows] == [True] * 3 + [False]
    for row, of in zip(rows, chosen, strict=True):
        (base, base_loss), (blend, loss), (neighbor, _) = row.captions
        assert base.endswith(f"{of['base']:03}.png")
        assert neighbor.endswith(f"{of['neighbor']:03}.png")
        assert blend.startswith(f"λ {of['lam']:.2f}: ")
        assert f"loss {of['loss']:.2f}" in loss
        assert f"of {of['cap']:.2f}" in loss
        assert f"of {of['base_cap']:.2f}" in base_loss
        assert [picture.size for picture in row.pictures] == [(8, 8)] * 3


def test_the_summary_says_when_nothing_is_capped_or_synthetic():
    inspection = inspected()
    half = len(inspection.table) // 2
    assert gallery_summary(inspection).startswith(f"{half} of 36 synthetic images (50 %) are over their cap")
    none = dataclasses.replace(inspection, table=inspection.table.assign(capped=False))
    assert gallery_summary(none).startswith("None of 36 synthetic images is over its cap")
    empty = dataclasses.replace(inspection, table=inspection.table.head(0))
    assert gallery_summary(empty) == "There are no synthetic images."


@pytest.mark.parametrize("name", ["gallery.png", "gallery.pdf"])
def test_the_picture_is_written_with_names_that_are_no_formulas(name, tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **style: titles.append(text))
    inspected().gallery(tmp_path / name)
    assert titles[0].startswith(gallery_summary(inspected()))
    start = (tmp_path / name).read_bytes()[:4]
    assert start == (b"\x89PNG" if name.endswith("png") else b"%PDF")
    if name.endswith("png"):
        with Image.open(tmp_path / name) as image:
            assert 0.02 < (np.asarray(image.convert("L")) < 200).mean() < 0.9


def test_a_set_without_synthetic_images_has_an_empty_gallery(tmp_path):
    empty = dataclasses.replace(inspected(), table=inspected().table.head(0))
    assert gallery_rows(empty) == []
    draw_gallery(empty, tmp_path / "gallery.png")


def test_the_class_is_named_in_the_title():
    assert gallery_rows(inspected(), 1, 0)[0].title.startswith(NAMES[1])


def test_copies_are_shown_once_and_called_copies(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **style: titles.append(text))
    copies = inspected(RandomOverSampler)
    rows = gallery_rows(copies)
    files = [row.captions[0][0] for row in rows]
    assert len(set(files)) == len(files) > 4
    assert {(len(row.pictures), len(row.captions)) for row in rows} == {(1, 1)}
    assert {row.advice for row in rows if row.capped} == {
        f"Look at {file}: this is a copy of it." for row, file in zip(rows, files, strict=True) if row.capped
    }
    copies.gallery(tmp_path / "gallery.png")
    assert "plain copies of real images; loss and cap" in titles[0]
    copies.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Each is a copy of a real image" in page
    gallery = page[page.index("which are copies</h2>") : page.index("<h2>Map of")]
    assert not any(word in gallery for word in ("blend of", "λ", "parent"))
