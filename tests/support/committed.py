"""What is committed beside what the committed measurements give now."""

from collections.abc import Iterable
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def assert_committed(files: Iterable[Path], folder: Path) -> None:
    """Each file has a namesake in the folder, and each of text the same bytes: another matplotlib draws other pixels."""
    for path in files:
        assert (folder / path.name).exists(), path.name
        if path.suffix != ".png":
            assert path.read_bytes() == (folder / path.name).read_bytes(), path.name
