"""How much of the processors others use: where they want what a measurement wants, even ratios may be wrong."""

import os
import time
from pathlib import Path


class OtherProcesses:
    """Counts from when it is made: what the machine does beyond this process and its ended children.

    That is on average, so a short disturbance of a long row does not show. What other guests of the same host take away counts
    too. In a container the numbers are the host's.
    """

    def __init__(self) -> None:
        self._start = _counts()

    def processors(self) -> float | None:
        """Return the mean number of processors that others used since then; ``None`` on systems other than Linux."""
        now = _counts()
        if self._start is None or now is None:
            return None
        wall, machine, own = (after - before for after, before in zip(now, self._start, strict=True))
        # the system counts in steps of 10 ms, so a very short time may give anything
        return round(min(max(machine - own, 0.0) / wall, os.cpu_count() or 1), 2)


def _counts() -> tuple[float, float, float] | None:
    """Read seconds: of the wall, those that all processors together were busy, and those of them that are our own."""
    try:
        _, user, nice, system, _, _, irq, softirq, steal, *_ = Path("/proc/stat").read_text().split(maxsplit=9)
    except OSError:
        return None
    busy = sum(map(int, (user, nice, system, irq, softirq, steal))) / os.sysconf("SC_CLK_TCK")
    own = os.times()
    return time.perf_counter(), busy, own.user + own.system + own.children_user + own.children_system
