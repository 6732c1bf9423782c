"""The report of a comparison: verdict, table and method, as Markdown and as one HTML file that needs no other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.compare.scores import MEASURES
from benchmarks.compare.verdict import JUDGED, PLAIN, differences, verdict
from clesmote_losses.atomic_write import atomic_write
from clesmote_losses.html_page import html_page

_STYLE = """
td span { white-space: nowrap; display: block; font-size: .85em; opacity: .75; }
.row { margin: .7rem 0; } .row p { margin: 0; font-size: .9rem; }
.axis { position: relative; height: 1rem; border-bottom: 1px solid var(--line); }
.axis i { position: absolute; top: .4rem; height: .2rem; background: var(--mark); }
.axis b { position: absolute; top: .15rem; width: .7rem; height: .7rem; margin-left: -.35rem; border-radius: 50%; background: var(--mark); }
.axis s { position: absolute; top: 0; bottom: 0; width: 0; border-left: 2px solid var(--line); }
"""


@dataclass(frozen=True)
class Page:
    """What a report says.

    Attributes:
        name: Name of the data.
        results: One row for each run; see :func:`benchmarks.compare.verdict.differences`.
        test_share: Number of test images over that of training images.
        titles: Title of each method, in the order of the table.
        counts: Images of each class.
        facts: How the comparison was made, one sentence each.
    """

    name: str
    results: pd.DataFrame
    test_share: float
    titles: Mapping[str, str]
    counts: Mapping[str, int]
    facts: Sequence[str]

    @property
    def verdict(self) -> list[str]:
        """Return the sentences of the verdict."""
        return verdict(self.results, self.test_share, self.titles)

    def write(self, folder: Path) -> list[Path]:
        """Write ``report.md`` and ``report.html``, and return their paths."""
        files = {folder / "report.md": self.markdown(), folder / "report.html": self.html()}
        for path, text in files.items():
            with atomic_write(path) as unfinished:
                unfinished.write_text(text, encoding="utf-8")
        return list(files)

    def cells(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return for each method its title, and for each measure the mean and the difference with its interval."""
        means = self.results.groupby("method").mean(numeric_only=True)
        found = differences(self.results, self.test_share).set_index(["method", "measure"])
        rows = []
        for method, title in self.titles.items():
            row = []
            for measure in MEASURES:
                gap = ""
                if method != PLAIN:
                    of = found.loc[(method, measure)]
                    gap = f"{of['mean']:+.3f} [{of['low']:+.3f}, {of['high']:+.3f}]"
                    gap += f" p {_p(of['p'])}" if measure in JUDGED else ""
                row.append((f"{means.loc[method, measure]:.3f}", gap))
            rows.append((title, row))
        return rows

    def markdown(self) -> str:
        """Write the report as Markdown."""
        table = pd.DataFrame(
            [[title, *(" ".join(filter(None, cell)) for cell in row)] for title, row in self.cells()],
            columns=["Method", *MEASURES.values()],
        )
        columns = ["left", *["right"] * len(MEASURES)]
        return "\n".join(
            [
                f"# {self._heading}",
                "",
                *(f"- {sentence}" for sentence in self.verdict),
                "",
                table.to_markdown(index=False, disable_numparse=True, colalign=columns),
                "",
                *self._notes(),
                "",
                "## How it was made",
                "",
                *(f"- {fact}" for fact in self._facts()),
                "",
            ]
        )

    def html(self) -> str:
        """Write the report as one page, readable on a phone too."""
        head = "".join(f"<th>{escape(title)}</th>" for title in MEASURES.values())
        body = "".join(
            f"<tr><td>{escape(title)}</td>{''.join(f'<td>{mean}<span>{gap}</span></td>' for mean, gap in row)}</tr>"
            for title, row in self.cells()
        )
        parts = [
            _list(self.verdict, "verdict"),
            f'<div class="wide"><table><tr><th>Method</th>{head}</tr>{body}</table></div>',
            *(f"<p>{escape(note)}</p>" for note in self._notes()),
            *self._intervals(),
            "<h2>How it was made</h2>",
            _list(self._facts(), "facts"),
        ]
        return html_page(self._heading, "\n".join(parts), _STYLE)

    @property
    def _heading(self) -> str:
        return f"Does any of it help on {self.name}?"

    def _notes(self) -> list[str]:
        tests = len(self.titles) - 1
        return [
            "Each cell: mean over the splits; difference to plain training in the same splits, with its 95 % interval. p of AUROC "
            f"is corrected (Holm) for {tests} methods, p of balanced accuracy for {tests} methods and the threshold. An interval is for one "
            "comparison, so it may leave out 0 where p is above .05: the verdict follows p."
        ]

    def _facts(self) -> list[str]:
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return [
            f"Images: {counts}.",
            *self.facts,
            "Splits share training images. The variance of the differences is corrected for that (Nadeau and Bengio 2003), with "
            f"test images / training images = {self.test_share:.2f}.",
            "Threshold: one offset for each class and one temperature, fitted on the validation images so that every class counts "
            "alike; the same for every method. For calibrated scores it is division by the class frequencies.",
            "AUROC and AUPRC: of the rarer class for two classes, else the mean over one class against the rest.",
        ]

    def _intervals(self) -> list[str]:
        """Draw the differences in the judged measures, each measure on one scale."""
        found = differences(self.results, self.test_share)
        found = found[found["method"].isin(list(self.titles))]
        parts = []
        for measure, title in JUDGED.items():
            rows = found[found["measure"] == measure]
            if rows.empty:
                continue
            # intervals of few splits are wide: what leaves the scale is cut
            reach = max(2.5 * float(np.abs(rows["mean"]).max()), float((rows["high"] - rows["low"]).median()), 1e-3)
            parts.append(f"<h2>Difference to plain training in {escape(title)}</h2>")
            for row in rows.to_dict("records"):
                low, mean, high = (
                    100 * min(max(0.5 + row[name] / reach / 2, 0), 1) for name in ("low", "mean", "high")
                )
                parts.append(
                    f'<div class="row"><p>{escape(self.titles[row["method"]])}: {row["mean"]:+.3f} '
                    f'[{row["low"]:+.3f}, {row["high"]:+.3f}]</p><div class="axis"><s style="left:50%"></s>'
                    f'<i style="left:{low:.1f}%;width:{high - low:.1f}%"></i><b style="left:{mean:.1f}%"></b></div></div>'
                )
            parts.append(f"<p>The line in the middle is no difference; the ends are -{reach:.3f} and +{reach:.3f}.</p>")
        return parts


def _list(sentences: Sequence[str], name: str) -> str:
    return f'<ul class="{name}">{"".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)}</ul>'


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}".lstrip("0") if value < 1 else "1"
