"""The report: one small file that opens offline and takes no name for its own code."""

import dataclasses
import html
import re
import types
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.over_sampling import SMOTE
from torch.utils.data import TensorDataset

from clesmote_losses import SMOTEDataset
from clesmote_losses.drawing import new_figure
from clesmote_losses.inspection.findings import cap_findings, first_looks
from clesmote_losses.inspection.report import write_report
from tests.support.inspections import NAMES, inspected


class Elements(HTMLParser):
    """Collect tags with attributes, and the text outside of scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text += data


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(inspected(), path, note="After epoch 3 <of 9>.")
    return path.read_text()


def test_names_with_markup_are_text(page):
    elements = Elements(page)
    assert sum(tag == "script" for tag, _ in elements.tags) == 2  # the images of the map, and the code that shows them
    assert NAMES[1] in elements.text
    assert "<b>rare & $x$/" in elements.text
    assert "After epoch 3 <of 9>." in elements.text
    assert NAMES[1] not in page


def test_nothing_is_loaded_from_elsewhere(page):
    for _, attributes in Elements(page).tags:
        for name in ("src", "href", "srcset", "data"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?://", page)


def test_the_first_lines_say_what_the_cap_does_and_where_to_look_first(page):
    start = html.unescape(page[page.index("<h1>") : page.index("<h2>")])
    positions = [start.index(sentence) for sentence in [*cap_findings(inspected()), *first_looks(inspected())]]
    assert positions == sorted(positions)


def test_suspects_come_in_their_order_with_pictures(page):
    text = html.unescape(page)
    suspects = inspected().suspects()
    places = [text.index(f"{i + 1}.\xa0") for i in range(24)]
    assert places == sorted(places)
    files = re.findall(r"\d+\.\xa0.*?(\d{3}\.png)", text)
    assert files == [file[-7:] for file in suspects["file"][:24]]
    pictures = [attributes for tag, attributes in Elements(page).tags if tag == "img"]
    assert sum(a.get("src", "").startswith("data:image/jpeg") for a in pictures) == 24 + 3 * page.count(
        '<section class="blend'
    )


def test_the_history_is_drawn_if_there_is_one(page, tmp_path):
    assert "The loss kept no epochs." in page
    given = []

    def plot(path=None, class_names=None):
        given.append(class_names)
        return new_figure(3, 2)[0]

    history = types.SimpleNamespace(epochs=[{"epoch": 0, "classes": {}}], plot=plot)
    write_report(dataclasses.replace(inspected(), history=history), tmp_path / "report.html")
    assert 'class="history" src="data:image/png;base64,' in (tmp_path / "report.html").read_text()
    assert given[0][1].startswith("<script>")


def test_a_set_without_synthetic_images_has_a_report(tmp_path):
    inspection = inspected()
    plain = SMOTEDataset(
        inspection.train_set.base,
        sampler=SMOTE(sampling_strategy={1: 24}, random_state=0),
        transform=inspection.train_set.transform,
    )
    empty = dataclasses.replace(
        inspection,
        train_set=plain,
        table=inspection.table.head(0),
        synthetic_embeddings=inspection.synthetic_embeddings[:0],
        real=inspection.real.assign(oversampled=False, suspicion=np.nan),
    )
    empty.report(tmp_path / "report.html")
    assert "There are no synthetic images" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_a_report_of_many_large_noisy_images_of_many_classes_is_below_five_megabytes(tmp_path, monkeypatch):
    monkeypatch.setattr("clesmote_losses.inspection.findings._MEASURED", 0)  # it takes longer than the rest
    classes, each = 60, 40
    rng = np.random.default_rng(0)
    labels = torch.arange(classes * each) % classes
    base = TensorDataset(torch.from_numpy(rng.integers(0, 255, (64, 3, 160, 160), dtype=np.uint8))[labels % 64], labels)
    strategy = dict.fromkeys(range(1, classes), 100)
    train_set = SMOTEDataset(
        base, sampler=SMOTE(sampling_strategy=strategy, random_state=0), features=rng.normal(size=(len(labels), 4))
    )
    plan, count = train_set.plan, len(labels)
    loss = rng.uniform(0, 3, len(train_set))
    numbers = {"loss": loss, "cap": 1.5, "distance": 1.0, "nearest_class": 0}
    samples = pd.DataFrame({"index": np.arange(len(train_set)), "class": train_set.labels, **numbers})
    parents = {"base": plan.base, "neighbor": plan.neighbor, "lam": plan.lam}
    of_parents = {f"{name}_{part}": 1.0 for name in ("base", "neighbor") for part in ("loss", "cap")}
    table = samples[count:].reset_index(drop=True).assign(**parents, **of_parents, capped=loss[count:] > 1.5)
    embeddings = rng.normal(size=(len(train_set), 8)).astype(np.float32)
    inspection = dataclasses.replace(
        inspected(),
        train_set=train_set,
        table=table,
        real=samples[:count].assign(
            file=None, oversampled=True, capped_blends=0.5, suspicion=rng.uniform(0, 1, count), likely_class=0
        ),
        real_embeddings=embeddings[:count],
        synthetic_embeddings=embeddings[count:],
        centroids=rng.normal(size=(classes, 8)).astype(np.float32),
        class_names=[f"class {'with a long name ' * 20}{i}" for i in range(classes)],
    )
    inspection.report(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert 500_000 < len(text.encode()) < 5_000_000
    assert "20 more classes are not listed" in text
    points = text.count('<g class="p ')
    assert points == 400
    monkeypatch.setattr("clesmote_losses.inspection.report._LARGEST", len(text.encode()))
    inspection.report(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count('<g class="p ') == 120
