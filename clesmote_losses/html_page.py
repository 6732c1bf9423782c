"""One HTML page that needs no other file: readable on a phone, on a desk and in print."""

from html import escape

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --mark: #2563a8; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.verdict li:first-child { font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
td, th { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
td:first-child, th:first-child { text-align: left; }
@media print { :root { color-scheme: light; } body { max-width: none; font-size: 10pt; } h2 { break-after: avoid; } }
"""


def html_page(title: str, body: str, style: str = "") -> str:
    """Return a page.

    Args:
        title: Plain text; it is escaped.
        body: HTML, escaped already.
        style: CSS of this page, after that of all pages.
    """
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            body,
            "</body></html>",
        ]
    )
