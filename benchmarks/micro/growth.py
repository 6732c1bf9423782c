"""How cost grows with the work: minority images, share of synthetic samples, classes."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from imblearn.over_sampling import SMOTE

from benchmarks.micro.measure import Benchmark, Measurement, Work, in_own_process, take_turns
from benchmarks.micro.steps import Setting, training_step
from clesmote_losses import ClassCentroidTracker, SMOTEPlan


def growth(minority: tuple[int, ...] = (1_000, 4_000, 15_000, 50_000)) -> Iterator[Measurement]:
    """Measure cost over minority images, share of synthetic samples, and classes, and fit exponents."""
    costs = {n: in_own_process(plan_of, n) for n in minority}
    for i, (quantity, unit) in enumerate((("time", "s"), ("extra memory", "MB"))):
        points = {n: [cost[i]] for n, cost in costs.items()}
        yield from _curve("plan: {} minority images of 8x8x3", quantity, unit, points, "SMOTEPlan", fitted=i == 0)
    setting = Setting("test_resnet", 64, 64, 11)
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    steps = {f"{share}": training_step(setting, capped=True, share_synthetic=share) for share in shares}
    values = take_turns(steps, repeats=setting.repeats, at_least=0)
    case = f"step: share {{}} of synthetic samples; {setting.case}"
    yield from _curve(case, "time", "s", values, "tracker and CappedSMOTELoss", fitted=False)
    classes = (2, 10, 100, 1000)
    values = take_turns({f"{count}": _refresh_of(count) for count in classes}, repeats=5)
    points = {count: values[f"{count}"] for count in classes}
    case = "refresh: {} classes, 2,000 embeddings of width 512"
    yield from _curve(case, "time", "s", points, "ClassCentroidTracker", fitted=True)


def _curve(
    case: str, quantity: str, unit: str, points: Mapping[Any, list[float]], name: str, *, fitted: bool
) -> Iterator[Measurement]:
    for x, values in points.items():
        yield Measurement(case.format(x), quantity, unit, {name: values})
    if fitted:
        exponent, _ = np.polyfit(np.log(list(points)), np.log([np.median(values) for values in points.values()]), 1)
        yield Measurement(case.format("n"), "fitted exponent", "", {name: [float(exponent)]})


def plan_of(minority: int) -> Work:
    """Make the plan that doubles a class."""
    labels = np.repeat([0, 1], [2 * minority, minority])
    pixels = np.random.default_rng(0).integers(0, 256, (minority, 192), dtype=np.uint8)
    sampler = SMOTE(random_state=0)
    few = np.repeat([0, 1], [20, 10])
    SMOTEPlan.from_sampler(sampler, few, np.zeros((30, 2), dtype=np.uint8))
    return lambda: SMOTEPlan.from_sampler(sampler, labels, lambda _: torch.from_numpy(pixels))


def _refresh_of(classes: int) -> Work:
    network = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(512, classes))
    tracker = ClassCentroidTracker(network, classes, classifier=network[1])
    rows = torch.rand(2_000, 512)
    labels = torch.arange(2_000) % classes
    batches = list(zip(rows.split(64), labels.split(64), strict=True))
    return lambda: tracker.refresh(iter(batches))


BENCHMARKS = (Benchmark.of_memory("growth", growth),)
