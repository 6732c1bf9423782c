"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give another name in the same folder to write to, and rename it to ``path`` if the body ends well."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} is no folder, so {path.name} cannot be written there: make it first.")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        os.chmod(unfinished, 0o666 & ~_umask())  # safetensors makes files that nobody else may read
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)  # it cannot be read without being set
    os.umask(mask)
    return mask
