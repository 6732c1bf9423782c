"""Make an imbalanced copy of an image folder: ``python integrations/imbalanced_folder.py FROM TO normal=1200 virus=60``.

CLASS=COUNT draws COUNT images of ``FROM/train/CLASS`` at random. Other folders beside ``train`` are copied whole.
``--oversample`` repeats files until all classes are equally large, which is the simplest baseline.
"""

import argparse
import random
import shutil
from itertools import cycle, islice
from pathlib import Path


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
    counts = {}
    for pair in args.counts:
        name, _, count = pair.rpartition("=")
        images = sorted((args.source / "train" / name).glob("*"))
        if not name:
            parser.error(f"{pair!r} must be CLASS=COUNT.")
        if not count.isdigit() or not 0 < int(count) <= len(images):
            parser.error(f"{pair}: {args.source / 'train' / name} holds {len(images)} images.")
        counts[name] = random.Random(args.seed).sample(images, int(count))
    largest = max(len(images) for images in counts.values())
    for name, images in counts.items():
        folder = args.target / "train" / name
        folder.mkdir(parents=True)
        for i, image in enumerate(islice(cycle(images), largest if args.oversample else len(images))):
            copy = i // len(images)
            shutil.copy2(image, folder / (f"copy{copy}-{image.name}" if copy else image.name))
    for other in args.source.iterdir():
        if other.is_dir() and other.name != "train":
            shutil.copytree(other, args.target / other.name)


if __name__ == "__main__":
    main()
