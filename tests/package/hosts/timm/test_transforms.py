"""Images as the model takes them, by the side of what timm's own loaders give."""

from argparse import Namespace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_dataset, create_loader, resolve_data_config

from clesmote_losses.hosts.timm.transforms import evaluation_transform, normalized_transform


def base(data):
    return create_dataset("", root=data, split="train", is_training=True)


def test_normalised_images_are_those_of_timms_prefetching_loader(data):
    loaders = [
        create_loader(
            base(data),
            (3, 32, 32),
            44,
            num_workers=0,
            persistent_workers=False,
            use_prefetcher=True,
            device=torch.device("cpu"),
        )
        for _ in range(2)
    ]
    (batch, _) = next(iter(loaders[0]))
    dataset = loaders[1].dataset
    transform = normalized_transform(dataset.transform, loaders[1])
    raw = base(data)
    images = torch.stack([transform(raw[i][0]) for i in range(len(raw))])
    torch.testing.assert_close(images, batch)
    assert dataset.transform(raw[0][0]).dtype in (np.uint8, torch.uint8)  # the case is not degenerate


def test_a_loader_that_does_not_prefetch_leaves_the_transform_alone(data):
    loader = create_loader(base(data), (3, 32, 32), 4, num_workers=0, persistent_workers=False, use_prefetcher=False)
    assert normalized_transform(loader.dataset.transform, loader) is loader.dataset.transform


@pytest.mark.parametrize(
    "arguments", [{}, {"crop_pct": 0.5, "interpolation": "nearest", "mean": [0.1] * 3, "std": [0.7] * 3}]
)
def test_centroids_are_made_with_the_images_of_the_evaluation(arguments, data):
    args, model = Namespace(img_size=24, **arguments), timm.create_model("test_resnet")
    config = resolve_data_config(vars(args), model=model)
    names = ("mean", "std", "interpolation", "crop_pct")
    loader = create_loader(
        base(data),
        config["input_size"],
        44,
        num_workers=0,
        persistent_workers=False,
        use_prefetcher=False,
        **{name: config[name] for name in names},
    )
    (batch, _) = next(iter(loader))
    transform = evaluation_transform(args, model)
    assert torch.equal(torch.stack([transform(image) for image, _ in base(data)]), batch)


def test_grey_images_are_normalised_by_the_mean_over_channels():
    transform = evaluation_transform(Namespace(img_size=24, in_chans=1), timm.create_model("test_resnet", in_chans=1))
    image = Image.fromarray(np.full((24, 24), 51, np.uint8))
    config = resolve_data_config({}, model=timm.create_model("test_resnet"))
    expected = (51 / 255 - np.mean(config["mean"])) / np.mean(config["std"])
    torch.testing.assert_close(transform(image), torch.full((1, 24, 24), expected, dtype=torch.float32))
