"""The real images of a data set: read, checked, resized, laid out as rows of features, and kept decoded."""

import copy
import math
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from clesmote_losses.errors import check_numbers, prefixed, shortened
from clesmote_losses.smote.base_dataset import has_epoch, image_path
from clesmote_losses.smote.base_transform import reading_copy
from clesmote_losses.smote.blending import make_alike
from clesmote_losses.smote.decoding import DecodedImage, decode
from clesmote_losses.smote.labels import Labels
from clesmote_losses.smote.relabelling import Relabelling, label_key
from clesmote_losses.smote.resizing import resize
from clesmote_losses.smote.steadiness import Digests, check_steady, check_unchanged
from clesmote_losses.smote.transform_probe import TransformProbe

_COMPARED = 32  # items whose label is read, where labels are passed
_OVERHEAD = 2048  # bytes of Python and torch objects that a kept image needs beside its pixels


class RealImages:
    """Read the real images of a base data set.

    :meth:`decoded` keeps the first images that it reads, until they fill the budget; none is ever dropped. A copy in another
    process starts without kept images.

    Args:
        base: Map-style data set of ``(image, label)`` without its image transform.
        labels: Class index of every sample, int64, shape ``(N,)``.
        relabelling: Compares the label of each item with ``labels``; by default the two must be equal.
        size: Height and width of the images; by default they keep their size.
        cache_mb: Budget of the kept images, in megabytes of 2**20 bytes; 0 keeps nothing.
        probe: Stands in the place of the transform in ``base``, and sees each raw image.

    Raises:
        ValueError: If ``cache_mb`` is negative or ``size`` is no size.
    """

    def __init__(
        self,
        base: "Dataset[Any]",
        labels: Labels,
        *,
        relabelling: Relabelling | None = None,
        size: tuple[int, int] | int | None = None,
        cache_mb: float = 0,
        probe: TransformProbe | None = None,
    ) -> None:
        check_numbers(cache_mb=cache_mb)
        if not cache_mb >= 0:
            raise ValueError(f"cache_mb must be 0 or more; got {cache_mb}.")
        self.base, self.labels, self.size, self.cache_mb = base, labels, _image_size(size), cache_mb
        self._relabelling, self._probe = relabelling, probe
        self.forget()

    def forget(self) -> None:
        """Forget the kept images."""
        self._kept: dict[int, DecodedImage] = {}
        self._room = self.cache_mb * 2**20

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}, "_room": self.cache_mb * 2**20}

    def readable(self) -> "RealImages":
        """Return a copy to be read in this process, see :func:`reading_copy`."""
        images = copy.copy(self)
        images.base = reading_copy(self.base)
        return images

    def read(self, index: int) -> Any:
        """Read an image as the base data set stores it.

        Raises:
            RuntimeError: If it cannot be read; the message names it.
            TypeError: If the item is not ``(image, label)``.
            ValueError: If the base data set gives another label for it than it reported before, or one that contradicts
                those that were passed.
        """
        image, label = self._item(index)
        if self._relabelling is not None:
            self._relabelling.compare(index, label, int(self.labels[index]))
        elif not _is_label(label, self.labels[index]):
            if np.ndim(label) > 1:
                raise TypeError(_no_pair(index, (image, label)))
            raise ValueError(
                f"real sample {index} has label {shortened(label)}, but the data set's list of labels says {self.labels[index]}. Was the "
                "image unreadable and another one taken, or the data set changed? If it gives labels of another kind, pass "
                "labels=, one class index for each sample."
            )
        if self._probe is not None:
            self._probe.check_raw(image, index)
        return image

    def _item(self, index: int) -> tuple[Any, Any]:
        try:
            item = self.base[index]
        except Exception as error:
            raise RuntimeError(
                f"{self._name(index)} cannot be read: {type(error).__name__}: {shortened(error)}"
            ) from error
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise TypeError(_no_pair(index, item))
        return item[0], item[1]

    def check_passed_labels(self, own: Any, *, items: bool = True) -> None:
        """Compare passed labels with the data set's own.

        Args:
            own: The labels that it holds. They are compared if its items have them too; of its items, some are.
            items: Read labels of items.

        Raises:
            RuntimeError, TypeError, ValueError: As :meth:`read`.
        """
        assert self._relabelling is not None
        some = np.unique(np.linspace(0, len(self.labels) - 1, _COMPARED).astype(int)).tolist()
        given = {index: self._item(index)[1] for index in some} if items else {}
        if own is not None and all(label_key(own[index]) == label_key(label) for index, label in given.items()):
            given = dict(enumerate(own))
        for index, label in given.items():
            self._relabelling.compare(index, label, int(self.labels[index]))

    def resized(self, index: int) -> Any:
        """Read an image, decoded, and resize it to the size at which images are compared and blended."""
        image = self.read_pixels(index)
        if self.size is None:
            return image
        with self._named(index, image):
            return resize(image, self.size)

    def read_pixels(self, index: int) -> Any:
        """Read an image, and its pixels, which Pillow else reads from the file when they are asked for.

        Raises:
            RuntimeError: If they cannot be read; the message names the image.
        """
        image = self.read(index)
        if hasattr(image, "getexif"):
            with self._named(index, image):
                image.load()
        return image

    def _decode(self, index: int, image: Any) -> DecodedImage:
        with self._named(index, image):
            decoded = decode(image)
            _check_finite(decoded.values)
        return decoded

    @contextmanager
    def _named(self, index: int, image: Any) -> Iterator[None]:
        """Name the image in an error."""
        try:
            yield
        except (TypeError, ValueError) as error:
            with prefixed(self._name(index, image)):
                raise error
        except Exception as error:
            cause = f"{type(error).__name__}: {shortened(error)}"
            raise RuntimeError(f"{self._name(index, image)} cannot be read: {cause}") from error

    def _name(self, index: int, image: Any = None) -> str:
        path = image_path(self.base, index) or getattr(image, "filename", None)
        return f"real image {index}{f' ({path})' if path else ''}"

    def decoded(self, index: int) -> DecodedImage:
        """Return the values of an image for a blend, from the kept images if it is one of them. Do not write to them."""
        if index in self._kept:
            return self._kept[index]
        decoded = self._decode(index, self.resized(index))
        cost = decoded.values.nbytes + _OVERHEAD
        if cost > self._room:
            return decoded
        metadata = b""
        if decoded.metadata:
            try:
                metadata = pickle.dumps(decoded.metadata)
            except Exception:  # of unknown size, so it is not kept
                return decoded
        cost += len(metadata)
        if cost <= self._room:
            # Copies: a view would keep the whole array alive that it shows, of whatever library.
            own = pickle.loads(metadata) if metadata else {}
            decoded = decoded._replace(values=decoded.values.clone(), metadata=own)
            self._kept[index] = decoded
            self._room -= cost
        return decoded

    def rows(self, indices: NDArray[np.int64], features: Callable[[Any], ArrayLike] | None = None) -> Tensor:
        """Read the feature rows of some images, shape ``(len(indices), D)``.

        Args:
            indices: Of the images, int64.
            features: Makes a row of an image; by default its values are the row.

        Raises:
            TypeError, ValueError: If an image cannot be blended, two cannot be blended with each other, or rows differ.
        """
        rows = torch.empty(0, 0)
        for i, index in enumerate(tqdm(indices.tolist(), desc="Reading images for SMOTE", delay=5, leave=False)):
            image = self.resized(index)
            decoded = self._decode(index, image)
            row = decoded.values if features is None else as_row(features(image))
            if i == 0:
                first, shape = decoded._replace(values=torch.empty(0)), row.shape
                rows = torch.empty((len(indices), row.numel()), dtype=row.dtype)
            with prefixed(f"images {indices[0]} and {index}"):
                try:
                    make_alike(first, decoded)
                except ValueError:
                    self.check_steady(
                        [int(indices[0]), index]
                    )  # a flip or crop inside makes other sizes and affines too
                    raise
                if row.shape != shape or row.dtype != rows.dtype:
                    raise ValueError(
                        "features= gives rows that differ in shape or dtype: "
                        f"{tuple(shape)} of {rows.dtype} and {tuple(row.shape)} of {row.dtype}."
                    )
            if features is not None:
                with prefixed(f"features of {self._name(index)}"):
                    _check_finite(row)
            # by numpy, since torch spreads the copy over threads, which are slow where another process uses the processor
            rows[i].view(torch.uint8).numpy()[:] = row.reshape(-1).contiguous().view(torch.uint8).numpy()
        return rows

    def check_steady(self, indices: Sequence[int]) -> Digests:
        """Call :func:`check_steady` with the images of some indices."""
        return check_steady(self.values, indices, type(self.base).__name__)

    def check_unchanged(self, known: Digests, epoch: int) -> None:
        """Call :func:`check_unchanged` with the known images of data sets without ``set_epoch``."""
        known = {index: digest for index, digest in known.items() if not has_epoch(self.base, index)}
        if known:
            check_unchanged(self.readable().values, known, type(self.base).__name__, epoch)

    def values(self, index: int) -> Tensor:
        """Read the values of an image, decoded and resized."""
        return self._decode(index, self.resized(index)).values


def as_row(features: Any) -> Tensor:
    """Return features of any kind as a tensor on the CPU."""
    if not isinstance(features, Tensor) and hasattr(features, "__array__"):
        array = np.asarray(features)
        features = np.require(array, array.dtype.newbyteorder("="), ["C", "W"])  # torch takes no other
    return torch.as_tensor(features).detach().as_subclass(Tensor).cpu()


def _check_finite(values: Tensor) -> None:
    # the sum is finite only if all are (or overflows), and several times faster
    if values.is_floating_point() and not math.isfinite(values.sum().item()) and not values.isfinite().all():
        raise ValueError(
            "NaN or infinity has neither neighbours nor blends. Let the base data set, or features=, replace it."
        )


def _no_pair(index: int, item: Any) -> str:
    """Say how a data set of other items is made to give pairs."""
    kind, pair, transform = f"a {type(item).__name__}", "item[0], item[1]", 'getattr(base, "transform", None)'
    if isinstance(item, Mapping):
        is_monai = any(type(value).__module__.startswith("monai.") for value in item.values())
        transform = "None" if is_monai else f"{transform}  # None if base calls it with the dict"
        kind, pair = f"a {type(item).__name__} of {', '.join(map(repr, item))}", "item['image'], item['label']"
    elif isinstance(item, tuple | list):
        kind = f"a {type(item).__name__} of {len(item)}"
        if len(item) == 2:
            kind, pair = f"{kind} whose second is the image", "item[1], item[0]"
    return f"""the base data set must give (image, label); item {index} is {kind}. Wrap it, with the two that are image and label, and pass labels=:
    class Pairs(torch.utils.data.Dataset):
        def __init__(self, base):
            self.base, self.transform = base, {transform}
        def __len__(self): return len(self.base)
        def __getitem__(self, index): item = self.base[index]; return {pair}"""


def _is_label(given: Any, label: np.int64) -> bool:
    if type(given) is int:  # as most data sets give it; comparing arrays takes longer than reading a small image
        return given == int(label)
    return np.array_equal(np.ravel(given.cpu() if isinstance(given, Tensor) else given), [label])


def _image_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2 or not all(isinstance(n, int) and n > 0 for n in pair):
        raise ValueError(f"image_size must be (height, width) in pixels, or one number for both; got {size!r}.")
    return pair
