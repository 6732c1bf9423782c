"""Print the AUROC of a timm checkpoint: ``python integrations/auroc.py DATA/test --model resnet18 --checkpoint FILE``.

With more than two classes it is the mean of one class against the rest. timm's validate.py prints accuracies, which hide
imbalance. The folder needs images of every class. Hidden files and folders are left out.
"""

import argparse
from pathlib import Path

import timm
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from timm.data import create_dataset

from clesmote_losses.hosts.timm.transforms import evaluation_transform


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--model", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--img-size", type=int)
    parser.add_argument("--in-chans", type=int, default=3)
    args = parser.parse_args()
    reader = create_dataset("", root=args.folder, search_split=False).reader
    names = [name for name in reader.class_to_idx if not name.startswith(".")]  # in timm's order
    classes = {name: index for index, name in enumerate(names)}
    reader = create_dataset("", root=args.folder, search_split=False, class_map=classes).reader
    samples = [(file, label) for file, label in reader.samples if not Path(file).name.startswith(".")]
    labels = torch.tensor([label for _, label in samples])
    counts = labels.bincount(minlength=len(classes)).tolist()
    if len(classes) < 2 or not all(counts):
        parser.error(
            f"{args.folder} must have images of two classes or more, and of each of them; found "
            f"{', '.join(f'{name}: {count}' for name, count in zip(names, counts, strict=True)) or 'no class'}."
        )
    try:
        model = timm.create_model(
            args.model, num_classes=len(classes), in_chans=args.in_chans, checkpoint_path=args.checkpoint
        ).eval()
    except RuntimeError as error:
        parser.error(
            f"{args.checkpoint} does not fit {args.model} with the classes of {args.folder}, {', '.join(names)}: {error}"
        )
    transform, mode = evaluation_transform(args, model), "L" if args.in_chans == 1 else "RGB"

    def read(file: str) -> torch.Tensor:
        try:
            return transform(Image.open(file).convert(mode))
        except OSError as error:  # timm would take the next image instead
            parser.error(f"{file} cannot be read as an image: {error}.")

    outputs = []
    for start in range(0, len(samples), 64):
        outputs.append(model(torch.stack([read(file) for file, _ in samples[start : start + 64]])).double())
    logits = torch.cat(outputs)
    if not logits.isfinite().all():
        parser.error(f"{args.checkpoint} gives outputs that are not finite: the training has diverged.")
    # log-odds of each class against the rest: the probability of a sure network is 1.0 for many images, and ties have no rank
    odds = [logits[:, c] - logits[:, [d for d in classes.values() if d != c]].logsumexp(1) for c in classes.values()]
    areas = [roc_auc_score(labels == c, of_class) for c, of_class in enumerate(odds)]
    class_counts = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
    print(f"AUROC {sum(areas) / len(areas):.4f} of {len(labels)} images ({class_counts})")


if __name__ == "__main__":
    main()
