"""The plan of stage 1 beside imbalanced-learn on the same images, and the neighbour search in it beside other exact ones."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import torch
from imblearn.over_sampling import SMOTE
from sklearn.neighbors import NearestNeighbors
from torch.utils.data import TensorDataset
from torchvision.datasets import ImageFolder

from benchmarks.micro.images import ArrayImages, jpeg_folder
from benchmarks.micro.measure import Benchmark, Measurement, Target, Work, in_own_process, take_turns
from clesmote_losses import SMOTEDataset, SMOTEPlan
from clesmote_losses.smote.neighbors import nearest_neighbors

_THEIRS = "imbalanced-learn"


def plan(majority: int, minority: int, size: int, repeats: int) -> Iterator[Measurement]:
    """Compare the plan of images in memory with imbalanced-learn on their pixels: time, and memory beyond the images."""
    contestants = {"SMOTEDataset": smote_dataset, _THEIRS: imbalanced_learn}
    turns = [
        {name: in_own_process(make, majority, minority, size) for name, make in contestants.items()}
        for _ in range(repeats)
    ]
    seconds, extra = ({name: [turn[name][i] for turn in turns] for name in contestants} for i in (0, 1))
    case = f"{majority:,} + {minority:,} of {size}x{size}x3"
    yield Measurement(case, "time", "s", seconds, Target(1 / 12, _THEIRS))
    yield Measurement(case, "extra memory", "MB", extra, Target(1 / 15, _THEIRS))


def smote_dataset(majority: int, minority: int, size: int) -> Work:
    """Prepare ours; small data first, so that no import is measured."""
    base = ArrayImages(majority, minority, size)
    SMOTEDataset(ArrayImages(20, 10, 8), device="cpu")
    return lambda: SMOTEDataset(base, device="cpu")


def imbalanced_learn(majority: int, minority: int, size: int) -> Work:
    """Prepare the usual alternative: the pixels as rows of float32, as imbalanced-learn takes them."""
    base, small = ArrayImages(majority, minority, size), ArrayImages(20, 10, 8)
    SMOTE(random_state=0).fit_resample(small.images.reshape(30, -1), small.labels)
    return lambda: SMOTE(random_state=0).fit_resample(
        base.images.reshape(len(base), -1).astype(np.float32), base.labels
    )


def plan_from_files(majority: int = 2_000, minority: int = 200) -> Iterator[Measurement]:
    """Compare the plan of a folder of JPEG files with decoding once the images that it needs."""
    with tempfile.TemporaryDirectory() as folder:
        files = ImageFolder(str(jpeg_folder(Path(folder), majority, minority)))
        needed = range(majority, majority + minority)
        values = take_turns(
            {
                "SMOTEDataset": lambda: SMOTEDataset(files, device="cpu"),
                "decoding": lambda: [np.asarray(files[i][0]) for i in needed],
            },
            repeats=7,
        )
    case = f"{majority:,} + {minority:,} JPEG files of 224x224"
    yield Measurement(case, "time", "s", values, Target(1.2, "decoding"))


def large_plan(majority: int = 1_010_000, minority: int = 10_000) -> Iterator[Measurement]:
    """Measure a plan of a million synthetic samples: its size, saving and loading, and what a worker receives."""
    labels = np.repeat([0, 1], [majority, minority])
    features = np.random.default_rng(0).normal(size=(minority, 16)).astype(np.float32)
    made = SMOTEPlan.from_sampler(
        SMOTE(random_state=0), labels, lambda indices: torch.from_numpy(features[: len(indices)])
    )
    case = f"{len(made):,} synthetic samples"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.safetensors"

        def save_and_load() -> None:
            made.save(path)
            SMOTEPlan.load(path)

        seconds = take_turns({"save and load": save_and_load}, repeats=5)
        size = path.stat().st_size / 2**20
    base = TensorDataset(torch.zeros(len(labels), 1, dtype=torch.uint8), torch.from_numpy(labels))
    with_plan, alone = (len(ForkingPickler.dumps(part)) for part in (SMOTEDataset(base, plan=made), base))
    yield Measurement(case, "size", "MB", {"file": [size]}, Target(25))
    yield Measurement(case, "time", "s", seconds, Target(1))
    sent = {"SMOTEDataset": [(with_plan - alone) / 2**20]}  # the labels of the real images; the recipe is shared
    yield Measurement(case, "sent to a spawned worker beyond the base data set", "MB", sent)


def neighbors(
    shapes: Sequence[tuple[int, int, int, int]] = ((20_000, 500, 12_288, 2), (1_000, 1_000, 3_072, 21)),
) -> Iterator[Measurement]:
    """Measure the neighbour search in bytes: time, and the queries whose neighbours are not those of float64 arithmetic.

    It runs once per training, so plain code at up to twice the time of faiss-cpu is preferred to a faster one of its own. The
    others take rows of float32, so their time includes making them. The second of the shapes (rows, queries, width,
    and turns) is that of a plan for images of 32x32x3, where all rows are queries.
    """
    for shape in shapes:
        yield from _neighbors(*shape)


def _neighbors(rows: int, queries: int, width: int, repeats: int) -> Iterator[Measurement]:
    import faiss  # here, so that the other rows do without it

    pixels = np.random.default_rng(0).integers(0, 256, (rows, width), dtype=np.uint8)
    asked = np.arange(queries)
    k = 5

    def ours() -> np.ndarray:
        return nearest_neighbors(torch.from_numpy(pixels), torch.from_numpy(asked), k).numpy()

    def scikit_learn() -> np.ndarray:
        points = pixels.astype(np.float32)
        search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(points)
        return np.asarray(search.kneighbors(points[asked], return_distance=False))[:, 1:]

    def with_faiss() -> np.ndarray:
        points = pixels.astype(np.float32)
        index = faiss.IndexFlatL2(width)
        index.add(points)
        return np.asarray(index.search(points[asked], k + 1)[1])[:, 1:]

    contestants = {"clesmote_losses": ours, "faiss-cpu": with_faiss, "scikit-learn": scikit_learn}
    found: dict[str, np.ndarray] = {}

    def keeping(name: str, search: Callable[[], np.ndarray]) -> Work:
        return lambda: found.update({name: search()})

    seconds = take_turns(
        {name: keeping(name, search) for name, search in contestants.items()}, repeats=repeats, at_least=0
    )
    case = f"{queries:,} queries in {rows:,} x {width:,}"
    yield Measurement(case, "time", "s", seconds, Target(2, "faiss-cpu"))
    exact = _exact(pixels, asked[:200], k)
    wrong = {name: [float((table[:200] != exact).any(1).sum())] for name, table in found.items()}
    yield Measurement(f"first 200 of {case}", "not exact", "queries", wrong, Target(0))


def _exact(pixels: np.ndarray, asked: np.ndarray, k: int) -> np.ndarray:
    """Find neighbours by float64 products of integers, which are exact; equal distances by index."""
    queries = pixels[asked].astype(np.float64)
    distance = np.empty((len(asked), len(pixels)))
    for start in range(0, len(pixels), 1000):
        part = pixels[start : start + 1000].astype(np.float64)
        distance[:, start : start + 1000] = np.square(part).sum(1) - 2 * queries @ part.T
    distance[np.arange(len(asked)), asked] = np.inf
    return np.argsort(distance, axis=1, kind="stable")[:, :k]


BENCHMARKS = (
    Benchmark.of_memory("plan-32", partial(plan, 20_000, 1_000, 32, repeats=2)),
    Benchmark.of_memory("plan-64", partial(plan, 20_000, 1_000, 64, repeats=1)),
    Benchmark.of_memory("plan-224", partial(plan, 2_000, 200, 224, repeats=1)),  # once: the peer takes half a minute
    Benchmark("plan-from-files", plan_from_files),
    Benchmark("large-plan", large_plan),
    Benchmark("neighbors", neighbors),
)
