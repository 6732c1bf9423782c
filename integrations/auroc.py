"""Print the AUROC of a timm checkpoint: ``python integrations/auroc.py DATA/test --model resnet18 --checkpoint FILE``.

With more than two classes it is the mean of one class against the rest. timm's validate.py prints accuracies, which hide
imbalance.
"""

import argparse

import timm
import torch
from sklearn.metrics import roc_auc_score
from timm.data import create_dataset
from torch.utils.data import DataLoader

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
    mode = "L" if args.in_chans == 1 else "RGB"
    dataset = create_dataset("", root=args.folder, search_split=False, input_img_mode=mode)
    classes = dataset.reader.class_to_idx
    model = timm.create_model(
        args.model, num_classes=len(classes), in_chans=args.in_chans, checkpoint_path=args.checkpoint
    ).eval()
    dataset.transform = evaluation_transform(args, model)
    scores, labels = zip(
        *((model(images).softmax(1), target) for images, target in DataLoader(dataset, 64)), strict=True
    )
    scores, labels = torch.cat(scores), torch.cat(labels)
    scores = scores[:, 1] if scores.shape[1] == 2 else scores
    counts = ", ".join(f"{name} {(labels == index).sum()}" for name, index in classes.items())
    print(f"AUROC {roc_auc_score(labels, scores, multi_class='ovr'):.4f} of {len(labels)} images ({counts})")


if __name__ == "__main__":
    main()
