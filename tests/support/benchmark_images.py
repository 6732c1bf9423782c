"""Small data sets for the tests of the benchmark."""

import numpy as np
from PIL import Image

from benchmarks.data.source import Source, TestImages
from benchmarks.methods.objective import Training


def pictures(strata, size=16, channels=3, seed=0):
    """Images whose stratum can be told, but not from one pixel: a wave of its own frequency in noise, uint8 (N, H, W, C)."""
    rng = np.random.default_rng(seed)
    x = np.arange(size)[None, None, :, None]
    phase = rng.uniform(0, 2 * np.pi, (len(strata), 1, 1, 1))
    waves = 60 * np.sin(x * (np.asarray(strata)[:, None, None, None] + 1) * 0.7 + phase)
    return np.clip(128 + waves + rng.normal(0, 40, (len(strata), size, size, channels)), 0, 255).astype(np.uint8)


def small_source(names=("a", "b", "c"), count=60, tested=20, *, patients=None, size=16, channels=3):
    """A source with as many images of each stratum."""
    stratum = np.repeat(np.arange(len(names)), count)
    test = np.repeat(np.arange(len(names)), tested)
    members = test[:, None] == np.arange(len(names))
    return Source(
        "waves",
        tuple(names),
        pictures(stratum, size, channels),
        stratum,
        {"test": TestImages(pictures(test, size, channels, seed=1), members)},
        patient=patients,
    )


def write_folder(folder, counts, tested=12, size=16, parts=("train", "test"), suffix=".png"):
    """Image files in ``folder/train/CLASS`` and ``folder/test/CLASS``."""
    for seed, part in enumerate(parts):
        for i, (name, count) in enumerate(counts.items()):
            (folder / part / name).mkdir(parents=True)
            for j, image in enumerate(pictures([i] * (tested if part == "test" else count), size, seed=100 * seed + i)):
                Image.fromarray(image).save(folder / part / name / f"{j:04}{suffix}")
    return folder


def training_of(model, counts, data=None, layer=None, **state):
    """A run in progress of a network on data of so many images of each class."""
    state = {"num_strata": len(counts), "embedding_layer": layer, "batches": iter(()), "steps": 1, **state}
    return Training(model, data, counts, **state)
