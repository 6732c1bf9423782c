"""Measuring beside a peer: contestants take turns, so that what slows the machine slows all of them."""

import inspect
import math
import sys
import time
import timeit
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.stats import quantile_test

Work = Callable[[], object]
Outcome = Literal["missed", "undecided", "met"]


@dataclass(frozen=True)
class Benchmark:
    """A row of the micro-benchmarks; a part file lists its own in ``BENCHMARKS``.

    Attributes:
        name: On the command line.
        measure: Measures, and yields what it found. The first line of its docstring says what.
        is_possible: Tells whether this machine can run it.
        needs: What a machine lacks that cannot.
    """

    name: str
    measure: "Callable[[], Iterator[Measurement]]"
    is_possible: Callable[[], bool] = lambda: True
    needs: str = ""

    @classmethod
    def of_memory(cls, name: str, measure: "Callable[[], Iterator[Measurement]]") -> "Benchmark":
        """Make a row that reads the memory of processes."""
        needs = "Linux, where /proc tells the memory of a process"
        return cls(name, measure, lambda: sys.platform == "linux", needs)

    @property
    def summary(self) -> str:
        """What it measures, in a line."""
        function = self.measure.func if isinstance(self.measure, partial) else self.measure
        return (inspect.getdoc(function) or "").partition("\n")[0]


@dataclass(frozen=True)
class Target:
    """What is wanted: the first contestant's value over that of ``against``, or the value itself, is at most ``at_most``."""

    at_most: float
    against: str = ""


@dataclass(frozen=True)
class Measurement:
    """One quantity, ours first and then that of each peer, turn by turn.

    Attributes:
        case: What is measured, and its sizes.
        quantity: ``"time"``, ``"memory"``, ...
        unit: Of the values.
        values: By contestant, as many of each, in the order of the turns.
        target: What is wanted.
    """

    case: str
    quantity: str
    unit: str
    values: dict[str, list[float]]
    target: Target | None = None

    def __post_init__(self) -> None:
        lengths = {len(values) for values in self.values.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"each contestant must have a value for each turn; got {self.values}.")
        if self.target and self.target.against not in ("", *self.values):
            raise ValueError(f"the target is over {self.target.against!r}, which is none of {', '.join(self.values)}.")

    @property
    def ours(self) -> str:
        """Name of the first contestant."""
        return next(iter(self.values))

    def ratios(self, peer: str) -> list[float]:
        """Return ours over the peer's, turn by turn."""
        return [ours / theirs for ours, theirs in zip(self.values[self.ours], self.values[peer], strict=True)]

    @property
    def result(self) -> float:
        """Median of what the target is about."""
        return float(np.median(self._results))

    @property
    def _results(self) -> list[float]:
        against = self.target.against if self.target else ""
        return self.ratios(against) if against else self.values[self.ours]

    @cached_property  # sorting, both tables and the chart ask for it
    def outcome(self) -> Outcome | None:
        """Whether the target is reached, by the 95 % confidence interval of the median: undecided where that holds the target.

        Fewer than six turns have no such interval: there it is their range. ``None`` without a target.
        """
        if self.target is None:
            return None
        low, high = median_interval(self._results)
        if low <= self.target.at_most < high:
            return "undecided"
        return "met" if high <= self.target.at_most else "missed"

    @property
    def title(self) -> str:
        """What was measured of what."""
        return f"{self.case}, {self.quantity}"

    @property
    def text(self) -> str:
        """One line."""
        told = ", ".join(f"{name} {spread(values, self.unit)}" for name, values in self.values.items())
        line = f"{self.title}: {told}"
        return line if self.target is None else f"{line}; {self.verdict}"

    @property
    def aim(self) -> str:
        """The result beside its target."""
        if self.target is None:
            return ""
        if self.target.against:
            return f"{_short(self.result, 3)}, target <= {self.target.at_most:.3g} x {self.target.against}"
        unit = f" {self.unit}" if self.unit else ""
        return f"{_short(self.result, 3)}{unit}, target <= {self.target.at_most:.3g}{unit}"

    @property
    def verdict(self) -> str:
        """The same with the outcome."""
        return f"{self.aim}: {self.outcome}" if self.target else ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values; :meth:`from_json` reads them."""
        return {**asdict(self), "values": {name: [float(f"{v:.5g}") for v in row] for name, row in self.values.items()}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Measurement":
        """Make the measurement that :meth:`to_json` wrote."""
        numbers = {name: [float(value) for value in row] for name, row in values["values"].items()}
        target = values["target"] and Target(float(values["target"]["at_most"]), values["target"]["against"])
        return cls(**{**values, "values": numbers, "target": target})


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Compute the 95 % confidence interval of a median, of any distribution; the range of fewer than six values.

    Example:
        >>> median_interval([5, 1, 4, 2, 3, 6])
        (1.0, 6.0)
        >>> median_interval(range(20))
        (5.0, 14.0)
    """
    interval = quantile_test(values, p=0.5).confidence_interval(0.95)
    if np.isnan(interval.low) or np.isnan(interval.high):
        return float(min(values)), float(max(values))
    return float(interval.low), float(interval.high)


def spread(values: Sequence[float], unit: str) -> str:
    """Format the median, and half the range between the quartiles, in a unit that is easily read."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    scale = 1.0
    if unit == "s" and abs(middle) < 1:
        scale, unit = (1e3, "ms") if abs(middle) >= 1e-3 else (1e6, "µs")
    around = f" (±{_short((high - low) / 2 * scale, 2)})" if len(values) > 1 else ""
    return f"{_short(middle * scale, 3)}{around} {unit}".strip()


def _short(value: float, digits: int) -> str:
    """Format a number, without an exponent where there are more digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def take_turns(
    contestants: Mapping[str, Work], *, repeats: int = 7, at_least: float = 0.02, warm_up: int = 1
) -> dict[str, list[float]]:
    """Measure the seconds of one call of each, in as many turns.

    Args:
        contestants: What to call, by name.
        repeats: Number of turns.
        at_least: Seconds that one contestant's turn takes: short calls are repeated.
        warm_up: Calls of each before the first turn.
    """
    # timeit with the clock of torch.utils.benchmark, which waits for the GPU; its own Timer does not let contestants take turns
    from torch.utils.benchmark import timer  # slow to import

    timers = {name: timeit.Timer(work, timer=timer) for name, work in contestants.items()}
    numbers = {}
    for name, of_one in timers.items():
        of_one.timeit(warm_up)
        numbers[name] = max(1, math.ceil(at_least / of_one.timeit(1))) if at_least else 1
    values: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats):
        for name, of_one in list(timers.items())[:: -1 if turn % 2 else 1]:  # to and fro: none is always the first
            values[name].append(of_one.timeit(numbers[name]) / numbers[name])
    return values


def in_own_process(make: Callable[..., Work], *arguments: Any) -> tuple[float, float]:
    """Measure seconds, and MB of memory beyond what was held before at the peak, of one call in a fresh process.

    Args:
        make: Function of a module; gives what is to be measured, with its data made and its libraries imported.
        arguments: Of ``make``.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_cost, make, arguments).result()


def _cost(make: Callable[..., Work], arguments: tuple[Any, ...]) -> tuple[float, float]:
    work = make(*arguments)
    before, start = memory("VmRSS"), time.perf_counter()
    work()
    return time.perf_counter() - start, memory("VmHWM") - before


def memory(field: str, process: int | str = "self") -> float:
    """Read the MB (of 2**20 bytes) of a process: ``"VmRSS"`` held now, ``"VmHWM"`` at the peak.

    Not ``getrusage``, whose peak a child inherits from its parent.

    Raises:
        OSError: If the system has no ``/proc``.
    """
    if sys.platform != "linux":
        raise OSError("memory is read from /proc, which Linux alone has: run the other rows by name.")
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024
