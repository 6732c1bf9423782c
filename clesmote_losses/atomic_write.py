"""Write a file in one piece: readers see the old file or the complete new one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the same folder, and move it to ``path`` on success.

    Args:
        path: File to write; one that exists is replaced only if the body succeeds.

    Yields:
        Path to write to.

    Raises:
        FileNotFoundError: If the folder of ``path`` does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path.name}: {path.parent} is not a folder. Create it first.")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        os.chmod(unfinished, 0o666 & ~_umask())  # safetensors writes files that only their owner may read
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)  # the umask can only be read by setting it
    os.umask(mask)
    return mask
