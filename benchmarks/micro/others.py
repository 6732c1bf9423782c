"""How much of the processors other processes use: where they want what a measurement wants, even ratios may be wrong."""

import os
import time
from pathlib import Path


class OtherProcesses:
    """Counts from its making on; what the own process and its ended children use is not counted."""

    def __init__(self) -> None:
        self._start = _counts()

    def processors(self) -> float | None:
        """Mean number of processors that others used since then; ``None`` where the system does not tell (all but Linux)."""
        now = _counts()
        if self._start is None or now is None:
            return None
        wall, machine, own = (after - before for after, before in zip(now, self._start, strict=True))
        return max(0.0, round((machine - own) / wall, 2))


def _counts() -> tuple[float, float, float] | None:
    """Seconds: of the wall, those that all processors together were busy, and those of them that are our own."""
    try:
        _, user, nice, system, _, _, irq, softirq, steal, *_ = Path("/proc/stat").read_text().split(maxsplit=9)
    except (OSError, ValueError):
        return None
    busy = sum(map(int, (user, nice, system, irq, softirq, steal))) / os.sysconf("SC_CLK_TCK")
    own = os.times()
    return time.perf_counter(), busy, own.user + own.system + own.children_user + own.children_system
