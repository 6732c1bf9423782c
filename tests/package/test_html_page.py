"""The frame of a page."""

from clesmote_losses.html_page import html_page


def test_the_title_is_text_and_the_body_is_markup():
    page = html_page("<i>title</i> & more", "<p>body</p>", "p { color: red; }")
    assert page.startswith("<!doctype html>")
    assert page.count("&lt;i&gt;title&lt;/i&gt; &amp; more") == 2  # in the head and in the heading
    assert "<p>body</p>" in page
    assert page.index("color-scheme") < page.index("p { color: red; }") < page.index("<body>")
