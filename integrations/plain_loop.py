"""Train with CLE-SMOTE in a loop of your own: ``python integrations/plain_loop.py DATA``, with images in ``DATA/train/CLASS/``.

The eleven lines that end in ``# +`` are the method; without them this is a plain training loop. To compute a metric or another
loss on training batches, decode the target first: ``label, is_synthetic = decode_target(target)``.

Pretraining with ``sampling="batch"`` costs about one epoch, the default ``sampling="dataset"`` about three; the pass for the
centroids reads the real images of the over-sampled classes once more in each epoch. 170 images and 110 synthetic ones, at 64
pixels and three epochs, took 90 seconds of one CPU core with resnet18, and 30 with ``--model test_resnet``. Try
``--epochs 1`` and a small network first where there is no GPU.
"""

import argparse

import timm
import torch
from imblearn.over_sampling import SMOTE  # +
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from clesmote_losses import CappedSMOTELoss, ClassCentroidTracker, SMOTEDataset, TripletPretrainer  # +
from clesmote_losses.epochs import begin_epoch, end_epoch  # +


def train(folder: str, model_name: str, size: int = 64, epochs: int = 3) -> torch.nn.Module:
    as_float = [v2.Resize((size, size)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    augmentation, evaluation = v2.Compose([v2.RandomHorizontalFlip(), *as_float]), v2.Compose(as_float)
    train_set = ImageFolder(f"{folder}/train", augmentation)
    model = timm.create_model(model_name, num_classes=len(train_set.classes))
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    train_set = SMOTEDataset(train_set, sampler=SMOTE(random_state=0), image_size=size)  # +
    TripletPretrainer(model, sampling="batch").fit(train_set, epochs=1)  # +
    tracker = ClassCentroidTracker(model, num_classes=model.num_classes)  # +
    criterion = CappedSMOTELoss(beta=1.0, tracker=tracker)  # +
    loader = DataLoader(train_set, batch_size=32, shuffle=True)
    for epoch in range(epochs):
        model.train()
        begin_epoch(criterion, train_set, epoch, transform=evaluation)  # +
        for images, target in loader:
            loss = criterion(model(images), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        stats = end_epoch(criterion)  # +
        print(f"epoch {epoch}: {stats['share_capped']:.1%} of {stats['synthetic']:.0f} synthetic samples capped")  # +
    tracker.detach()  # +
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    train(args.folder, args.model, epochs=args.epochs)
