"""Images that a function of the index gives, in the place of a data set's own."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, Subset

from clesmote_losses.restore import preserved_rng
from clesmote_losses.smote.base_transform import reading_copy, some_indices, twin
from clesmote_losses.smote.labels import Labels
from clesmote_losses.smote.transform_probe import Transform, apply_transform, is_image, is_steadily_other


class ImagesByIndex(Subset[Any]):
    """The samples of a data set, with images read by a function of the index.

    Args:
        dataset: Knows the names of files.
        image: Returns raw image ``index``.
        labels: Class index of every sample, int64, shape ``(N,)``.
    """

    def __init__(self, dataset: "Dataset[Any]", image: Callable[[int], Any], labels: Labels) -> None:
        if not callable(image):
            raise TypeError(
                f"image must be a function that returns the raw image of an index; got {type(image).__name__}."
            )
        super().__init__(dataset, range(len(labels)))
        self.image, self.labels = image, labels

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.image(index), int(self.labels[index])

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, int]]:
        """Return several samples; torch wants it of a ``Subset`` that reads in its own way."""
        return [self[index] for index in indices]


def check_images_by_index(images: ImagesByIndex, transform: Transform | None) -> None:
    """Compare a few images, raw or through the transform, with the items of the data set, where these can be read.

    Raises:
        ValueError: If one is another, and neither is random.
    """
    if transform is None:  # it is assigned later, as by timm's create_loader
        return
    base, own = reading_copy(images.dataset), twin(transform)
    for index in some_indices(images.dataset, images.labels):

        def read(index: int = index) -> Any:
            return base[index][0]

        def made(index: int = index) -> Any:
            return apply_transform(own, images.image(index))

        with (
            preserved_rng(),
            suppress(Exception),
        ):  # items that cannot be read, or are no pairs, are a reason for image=
            if not is_image(item := read()) or _is_alike(images.image(index), item):
                continue
            if is_steadily_other(item, read, made, _is_alike):
                break
    else:
        return
    name = type(images.dataset).__name__
    of_subset = " Of a Subset, pass image=lambda i: image(subset.indices[i])." if isinstance(base, Subset) else ""
    raise ValueError(
        f"transform(image({index})) is another image than item {index} of {name}: image= gets an index that counts the samples of "
        f"base, here of {name}.{of_subset} If transform= shall make other images than {name} does, let {name} return raw images, and drop image=."
    )


def _is_alike(one: Any, other: Any) -> bool:
    """Compare shapes, and values to 1 % of the largest: the same image may be made in two ways."""
    one, other = (
        np.asarray(
            image.detach().as_subclass(Tensor).cpu().double() if isinstance(image, Tensor) else image, dtype=float
        )
        for image in (one, other)
    )
    return one.shape == other.shape and np.allclose(one, other, rtol=0, atol=0.01 * np.abs(other).max(initial=0))
