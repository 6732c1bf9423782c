"""Split a data set into raw images and its image transform."""

import copy
from collections.abc import Callable
from typing import Any

from torch.utils.data import ConcatDataset, Dataset, Subset

Transform = Callable[[Any], Any]


def split_transform(dataset: "Dataset[Any]") -> tuple["Dataset[Any]", Transform | None]:
    """Return a copy of the data set that yields raw images, and the image transform it had. The data set itself is not changed.

    The copy is shallow: images in memory are shared. The ``target_transform`` stays where it is.

    Raises:
        ValueError: If the parts of a ``ConcatDataset`` have different transforms, or image and label are transformed
            together.
    """
    transform = getattr(dataset, "transform", None)
    if isinstance(dataset, Subset) and (transform is None or type(dataset).__getitem__ is Subset.__getitem__):
        part = copy.copy(dataset)  # a subclass may read in its own way
        part.dataset, transform = split_transform(dataset.dataset)
        return part, transform
    if isinstance(dataset, ConcatDataset):
        parts, transforms = zip(*map(split_transform, dataset.datasets), strict=True)
        if any(transform is not transforms[0] for transform in transforms):
            raise ValueError(
                "the parts of the ConcatDataset have different transforms, so none of them fits a blend of two images. Give "
                "the parts the same transform object, or none and pass transform= to SMOTEDataset."
            )
        return ConcatDataset(parts), transforms[0]
    joint = getattr(dataset, "transforms", None)  # torchvision's VisionDataset holds the transform a second time
    takes_others = hasattr(dataset, "_max_retries")  # timm's ImageDataset, in the place of an image it cannot read
    if transform is None and joint is None and not takes_others:
        return dataset, None
    raw = copy.copy(dataset)
    if takes_others:
        raw._max_retries = 1  # type: ignore[attr-defined]
    if joint is not None:
        from torchvision.datasets.vision import StandardTransform

        if not isinstance(joint, StandardTransform):
            raise ValueError(
                f"{type(dataset).__name__} transforms image and label together (transforms=), which a blend of two images "
                "cannot pass through. Use transform= and target_transform=."
            )
        raw.transforms = StandardTransform(None, joint.target_transform)  # type: ignore[attr-defined]
    raw.transform = _unchanged  # type: ignore[attr-defined]  # not None: many data sets call it without asking
    return raw, transform


def _unchanged(*image: Any, **named: Any) -> Any:
    return image[0] if image else named  # albumentations is called transform(image=image)["image"]
