"""What importing the library, and the help of its command, make one wait for."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.micro.measure import Benchmark, Measurement, Target

_IMPORT = "import time, torch; start = time.perf_counter(); import clesmote_losses; print(time.perf_counter() - start)"
# an installed package is compiled once, not at each import
_ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}


def startup(turns: int = 2) -> Iterator[Measurement]:
    """Time importing clesmote_losses, and the help of its timm host, in fresh interpreters."""
    turns_taken = [
        (
            float(_run("-c", _IMPORT)),
            _seconds("-m", "clesmote_losses.hosts.timm", "--help"),
            _seconds("-c", "import timm"),
        )
        for _ in range(turns + 1)
    ]
    imported, helped, timm = map(list, zip(*turns_taken[1:], strict=True))  # the first fills the disk's cache
    case = "import clesmote_losses"
    yield Measurement(case, "time beyond import torch", "s", {"clesmote_losses": imported}, Target(0.06))
    beyond = [ours - theirs for ours, theirs in zip(helped, timm, strict=True)]
    case = "python -m clesmote_losses.hosts.timm --help"
    yield Measurement(case, "time", "s", {"--help": helped, "import timm": timm})
    yield Measurement(case, "time beyond import timm", "s", {"--help": beyond}, Target(1))


def _seconds(*arguments: str) -> float:
    start = time.perf_counter()
    _run(*arguments)
    return time.perf_counter() - start


def _run(*arguments: str) -> bytes:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=_ENVIRONMENT).stdout


BENCHMARKS = (Benchmark("startup", startup),)
