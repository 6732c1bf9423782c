import re
from html.parser import HTMLParser

import pytest

from benchmarks.compare.page import Page
from tests.benchmarks.compare.test_verdict import SHARE, TITLES, table


class Reader(HTMLParser):
    """Open and close tags in pairs, and collect the text."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in ("meta", "!doctype"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def page():
    """A page whose names need to be escaped."""
    titles = {**TITLES, "smote": "SMOTE <b> &"}
    results = table({"head": {"balanced_accuracy": 0.2}})
    return Page("x<y", results, SHARE, titles, {"well": 900, "a & b": 30}, ["Made in a test."])


def test_the_page_needs_no_other_file_and_closes_what_it_opens(page):
    text = page.html()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert not [value for name, value in reader.attributes if name in ("src", "href")]
    assert not re.search(r"<script|url\(|@import|https?:", text)
    assert len(text) < 100_000
    assert ("name", "viewport") in reader.attributes


def test_both_files_say_the_verdict_and_every_number_of_the_table(page, tmp_path):
    files = page.write(tmp_path)
    assert [path.name for path in files] == ["report.md", "report.html"]
    markdown, html = (path.read_text(encoding="utf-8") for path in files)
    reader = Reader()
    reader.feed(html)
    text = "\n".join(reader.text)
    for sentence in (*page.verdict, "Made in a test.", "Images: well 900, a & b 30."):
        assert sentence in text
        assert sentence in markdown
    assert page.verdict[0].startswith("The head helps")
    means = page.results.groupby("method")["auprc"].mean()
    for method, mean in means.items():
        assert f"{mean:.3f}" in text, method
        assert f"{mean:.3f}" in markdown, method
    assert "SMOTE <b> &" in text


def test_plain_training_has_no_difference_to_itself(page):
    rows = dict(page.cells())
    assert [gap for _, gap in rows["The none"]] == [""] * 4
    gap = rows["The head"][2][1]
    assert re.fullmatch(r"\+0\.\d{3} \[\+0\.\d{3}, \+0\.\d{3}\] p (< )?\.\d{3}", gap)
    assert " p " not in rows["The head"][1][1]  # AUPRC is not judged


def test_intervals_stay_on_their_scale(page):
    places = [float(x) for x in re.findall(r"(?:left|width):([\d.]+)%", page.html())]
    assert len(places) > 20
    assert all(0 <= place <= 100 for place in places)
