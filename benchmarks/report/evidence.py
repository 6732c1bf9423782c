"""Write one page that tests the hypotheses and says what helps in which situation."""

from collections.abc import Iterable
from pathlib import Path

from benchmarks.report.hypotheses import hypothesis_table
from benchmarks.report.situations import situation_tables, trials_of
from benchmarks.training.run import Record
from clesmote_losses.atomic_write import atomic_write


def write_evidence(records: Iterable[Record], folder: Path) -> Path:
    """Write ``evidence.md`` and a CSV file for each of its tables.

    Args:
        records: The lines of runs.
        folder: Where the files are written.

    Returns:
        The page.

    Raises:
        ValueError: If there is no trial of the preset ``correct``.
    """
    trials = trials_of(records)
    if trials.empty:
        raise ValueError("there is no trial of the preset correct to test the hypotheses on.")
    tables = [hypothesis_table(trials), *situation_tables(trials)]
    texts = {f"{table.name}.csv": table.csv() for table in tables}
    texts["evidence.md"] = "\n".join(["# Evidence", "", *(table.markdown() for table in tables)]).rstrip() + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with atomic_write(folder / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return folder / "evidence.md"
