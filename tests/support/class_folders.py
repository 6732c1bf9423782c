"""Folders of class folders with pictures that are not alike, and readings of the files to compare."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (48, 48), mode: str = "RGB") -> Image.Image:
    """A smooth picture with a little noise, as photos are; every seed gives another one."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 215, (6, 6, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noisy = np.asarray(coarse, dtype=np.int16) + rng.integers(-6, 7, (*size[::-1], 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert(mode)


def write_pictures(folder: Path, counts: Mapping[str, int], first_seed: int = 0, suffix: str = ".png") -> Path:
    """Write ``folder/CLASS/0.png`` and so on, each another picture."""
    seed = first_seed
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture(seed).save(folder / name / f"{number}{suffix}")
            seed += 1
    return folder


def state_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Time of the last change and digest of every file."""
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in sorted(folder.rglob("*"))
    }
