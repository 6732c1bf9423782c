"""Make an imbalanced copy of an image folder: ``python integrations/imbalanced_folder.py FROM TO normal=1200 virus=60``.

CLASS=COUNT draws COUNT images of ``FROM/train/CLASS`` at random, those in its subfolders among them. Other folders beside
``train`` are copied whole. Hidden files, and files that torchvision's ImageFolder does not read, are not images.
``--oversample`` repeats files until all classes are equally large, which is the simplest baseline.
"""

import argparse
import random
import shutil
from itertools import cycle, islice
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS


def images_in(folder: Path) -> list[Path]:
    """Return the images of a class in sorted order, as paths relative to its folder."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return sorted(
        file
        for file in found
        if file.suffix.lower() in IMG_EXTENSIONS and not any(part.startswith(".") for part in file.parts)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("counts", nargs="+", metavar="CLASS=COUNT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--oversample", action="store_true")
    args = parser.parse_args()
    if args.target.exists():
        parser.error(f"{args.target} exists already.")
    if args.source.resolve() in args.target.resolve().parents:
        parser.error(f"{args.target} must not lie in {args.source}, whose folders are copied.")
    counts: dict[str, list[Path]] = {}
    for pair in args.counts:
        name, _, count = pair.rpartition("=")
        if not name:
            parser.error(f"{pair!r} must be CLASS=COUNT.")
        if name in counts:
            parser.error(f"{pair!r}: the class is named twice.")
        images = images_in(args.source / "train" / name)
        if not count.isdecimal() or not 0 < int(count) <= len(images):
            parser.error(f"{pair}: {args.source / 'train' / name} holds {len(images)} images.")
        counts[name] = random.Random(args.seed).sample(images, int(count))
    largest = max(len(images) for images in counts.values())
    for name, images in counts.items():
        folder = args.target / "train" / name
        for i, image in enumerate(islice(cycle(images), largest if args.oversample else len(images))):
            copy = i // len(images)
            to = folder / image.with_name(f"copy{copy}-{image.name}" if copy else image.name)
            while to.exists():  # the source may hold copies of an earlier run
                to = to.with_name(f"copy-{to.name}")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(args.source / "train" / name / image, to)
    for other in args.source.iterdir():
        if other.is_dir() and other.name != "train" and not other.name.startswith("."):
            shutil.copytree(other, args.target / other.name, ignore=shutil.ignore_patterns(".*"))


if __name__ == "__main__":
    main()
