"""What SMOTE's neighbours are searched in: rows of features, read from the images that the search needs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from tqdm import tqdm

from clesmote_losses.smote.blending import to_tensor


class RowReader:
    """Feature rows of real images, read when the neighbour search asks for them.

    Args:
        raw_image: Gives the image of an index.
        features: Makes a row of an image; by default its values are the row.
    """

    def __init__(self, raw_image: Callable[[int], Any], features: Callable[[Any], ArrayLike] | None) -> None:
        self._raw_image, self._features = raw_image, features

    def __call__(self, indices: NDArray[np.int64]) -> Tensor:
        rows = torch.empty(0, 0)
        for i, index in enumerate(tqdm(indices.tolist(), desc="Reading images for SMOTE", delay=5, leave=False)):
            image = self._raw_image(index)
            row = to_tensor(image) if self._features is None else as_row(self._features(image))
            if i == 0:
                shape, first = row.shape, index
                rows = torch.empty((len(indices), row.numel()), dtype=row.dtype)
            if row.shape != shape or row.dtype != rows.dtype:
                raise ValueError(
                    f"images {first} and {index} differ: {tuple(shape)} of {rows.dtype} and {tuple(row.shape)} of {row.dtype}. To compare "
                    "and blend images of unequal size pass image_size=(height, width); where channels or dtypes differ, let the base "
                    "data set convert them."
                )
            # by numpy, since torch spreads the copy over threads, which crawl where another process wants the processor
            rows[i].view(torch.uint8).numpy()[:] = row.reshape(-1).view(torch.uint8).numpy()
        return rows


def as_row(features: Any) -> Tensor:
    """Features of whatever kind as a tensor on the CPU."""
    return torch.as_tensor(features).detach().cpu()
