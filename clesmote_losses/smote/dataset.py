"""Stage 1 of CLE-SMOTE: a data set that is balanced by SMOTE without holding one synthetic image."""

import copy
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset

from clesmote_losses.smote.base_dataset import (
    Labels,
    Transform,
    check_labels,
    find_labels,
    image_names,
    image_path,
    split_transform,
)
from clesmote_losses.smote.blending import blend_alike, check_alike, form_of, resize, to_tensor
from clesmote_losses.smote.feature_rows import RowReader, as_row
from clesmote_losses.smote.image_cache import ImageCache
from clesmote_losses.smote.plan import SMOTEPlan
from clesmote_losses.smote.resampling import SmallClass
from clesmote_losses.targets import encode_target

_BLENDED_AT_ONCE = 2**16  # values (pixels, of PIL images)
Features = NDArray[Any] | Tensor | Callable[[Any], ArrayLike]
Redraw = Literal["never", "epoch"]
Flag = Literal["target", "item"]


class Provenance(NamedTuple):
    """Where a sample of a :class:`SMOTEDataset` comes from; ``neighbor`` is ``None`` for a real one."""

    is_synthetic: bool
    label: int
    base: int
    neighbor: int | None
    lam: float


class SMOTEDataset(Dataset[Any]):
    r"""Real samples, then synthetic ones that are interpolated when they are asked for.

    .. math:: x = (1 - \lambda)\, x_\text{base} + \lambda\, x_\text{neighbor}

    Images are blended as the base data set stores them, in float, rounded and clipped by construction to the source's
    dtype; then ``transform`` runs on real and synthetic images alike. Items are ``(image, target)`` with the synthetic
    flag in the target (:func:`decode_target`), so loaders and collate functions stay as they are.

    Args:
        base: Map-style data set of ``(image, label)``; images are PIL images, arrays or tensors. It is not changed.
        sampler: ``SMOTE``, ``BorderlineSMOTE`` or ``ADASYN`` of imbalanced-learn with its own options; by default
            ``SMOTE(k_neighbors=5, random_state=0)``. Under ``torch.distributed`` it needs an int ``random_state``, or
            ranks would train on different data.
        labels: Class index of every sample, shape ``(N,)``; by default found in the data set without reading images.
        strata: One group for each sample, shape ``(N,)``, of one class each: SMOTE balances these in place of the
            classes, for imbalance inside a class. Keys of the sampler's ``sampling_strategy`` are strata then.
        features: What neighbours are searched in, in place of pixels: rows of shape ``(N, D)``, or a function of the
            raw image that returns a row.
        image_size: Height and width at which images are compared and blended, where those of the data set differ. Real
            images keep their size.
        plan: A plan made before (:meth:`SMOTEPlan.load`); nothing is searched then.
        transform: Applied to every image; by default that of ``base``, which is taken over. Assign to ``.transform``
            to change it later, as timm's ``create_loader`` does.
        small_class: What to do with a class of ``k`` or fewer samples; see :meth:`SMOTEPlan.from_sampler`.
        redraw: ``"epoch"``: :meth:`set_epoch` draws new synthetic samples.
        flag: ``"target"``: in the target. ``"item"``: items are ``(image, label, is_synthetic)``.
        device: Where the neighbour search runs; by default the GPU if there is one.
        cache_mb: Megabytes of real images that each worker keeps decoded, to blend them again. The few images of a rare class
            are the parents of many synthetic ones: with room for all, a synthetic sample costs about as much as a real one.

    Raises:
        TypeError: If ``base``, ``sampler``, labels or images are of the wrong kind.
        ValueError: If labels are not found, sizes differ, a class is too small, the plan does not fit, or an option is wrong.
        RuntimeError: If an image cannot be read; the message names it.

    Example:
        >>> base = TensorDataset(torch.rand(30, 3, 8, 8), torch.tensor([0] * 20 + [1] * 10))
        >>> train_set = SMOTEDataset(base, sampler=SMOTE(k_neighbors=5, random_state=0))
        >>> len(train_set), train_set.oversampled_classes
        (40, [1])
        >>> image, target = train_set[35]
        >>> image.shape, decode_target(target)
        (torch.Size([3, 8, 8]), (1, True))
    """

    def __init__(
        self,
        base: "Dataset[Any]",
        *,
        sampler: Any = None,
        labels: ArrayLike | Tensor | None = None,
        strata: ArrayLike | None = None,
        features: Features | None = None,
        image_size: tuple[int, int] | int | None = None,
        plan: SMOTEPlan | None = None,
        transform: Transform | None = None,
        small_class: SmallClass = "error",
        redraw: Redraw = "never",
        flag: Flag = "target",
        device: torch.device | str | None = None,
        cache_mb: float = 0,
    ) -> None:
        _check_base(base)
        if redraw not in get_args(Redraw):
            raise ValueError(f"redraw must be one of {get_args(Redraw)}; got {redraw!r}.")
        if flag not in get_args(Flag):
            raise ValueError(f"flag must be one of {get_args(Flag)}; got {flag!r}.")
        from sklearn.base import clone

        if sampler is None and plan is None:
            from imblearn.over_sampling import SMOTE

            sampler = SMOTE(k_neighbors=5, random_state=0)
        self.base, base_transform = split_transform(base)
        self.transform = base_transform if transform is None else transform
        self.flag = flag
        self.redraw = redraw
        self._sampler = sampler
        self._strata = strata
        self._size = _image_size(image_size)
        self._cache = ImageCache(cache_mb)
        self._has_own_labels = labels is None  # those a user passes may regroup the classes
        self._labels: Labels = find_labels(base) if labels is None else check_labels(labels, len(base))  # type: ignore[arg-type]
        if plan is not None and features is not None:
            raise ValueError("features= are for the neighbour search, and a plan= has done it: pass one of the two.")
        if plan is None:
            plan = self._make_plan(features, small_class, device)
        else:
            self._check_plan(plan, small_class)
        if redraw == "epoch" and not isinstance(plan.options["random_state"], int):
            raise ValueError(
                'redraw="epoch" needs an int random_state, e.g. sampler=SMOTE(random_state=0), or ranks differ.'
            )
        self._sampler = None if sampler is None else clone(sampler)  # the caller may go on to use it otherwise
        self._plan = plan.copy().share_memory_()  # or workers that live on would not see a new draw
        self._check_base_is_steady()

    def _make_plan(
        self, features: Features | None, small_class: SmallClass, device: torch.device | str | None
    ) -> SMOTEPlan:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        if distributed and getattr(self._sampler, "random_state", None) is None:
            raise ValueError(
                "every rank must draw the same samples: give the sampler an int random_state, e.g. SMOTE(random_state=0)."
            )
        if features is not None and not callable(features):
            rows: Any = as_row(features)
        else:
            rows = RowReader(self.raw_image, features)
        return SMOTEPlan.from_sampler(
            self._sampler,
            self._labels,
            rows,
            strata=self._strata,
            small_class=small_class,
            device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
            names=image_names(self.base),
        )

    def _check_plan(self, plan: SMOTEPlan, small_class: SmallClass) -> None:
        plan.check_fits(self._labels, self._strata, image_names(self.base))
        if self._sampler is not None:
            plan.check_options(self._sampler, self._labels, self._strata, small_class)
        elif self.redraw == "epoch":
            raise ValueError('redraw="epoch" with plan= needs sampler= too: the one that made the plan.')

    def _check_base_is_steady(self) -> None:
        for index in np.unique(self._plan.base)[:16].tolist():  # a flip, p=0.5, passes as steady once in 2**16
            if not torch.equal(to_tensor(self.raw_image(index)), to_tensor(self.raw_image(index))):
                raise ValueError(
                    f"{type(self.base).__name__} gave two different images for index {index}: it augments inside __getitem__. A "
                    "blend needs raw images: let it return them, and pass the augmentation as transform=."
                )

    def raw_image(self, index: int) -> Any:
        """Real image ``index`` as the base data set stores it (at ``image_size``, if one is set), before ``transform``.

        Raises:
            RuntimeError: If it cannot be read.
            ValueError: If the base data set gives another label for it than it told before.
        """
        image = self._read(index)
        return image if self._size is None else resize(image, self._size)

    def _read(self, index: int) -> Any:
        try:
            item = self.base[index]
        except Exception as error:
            path = image_path(self.base, index)
            raise RuntimeError(
                f"real image {index}{f' ({path})' if path else ''} cannot be read: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise TypeError(
                f"the base data set must give (image, label); item {index} is a "
                f"{type(item).__name__}{f' of {len(item)}' if isinstance(item, tuple | list) else ''}."
            )
        image, label = item
        if self._has_own_labels and not _is_label(label, self._labels[index]):
            raise ValueError(
                f"real sample {index} has label {label}, but the data set's list of labels says {self._labels[index]}. Was the "
                "image unreadable and another one taken, or the data set changed? If it gives labels of another kind, pass "
                "labels=, one class index for each sample."
            )
        return image

    @property
    def plan(self) -> SMOTEPlan:
        """The recipe of every synthetic sample, of the current draw."""
        return self._plan.copy()  # a later draw leaves it alone

    @property
    def labels(self) -> Labels:
        """Class index of every sample, real ones first, int64, shape ``(len(self),)``."""
        return np.concatenate([self._labels, self._plan.label])

    @property
    def is_synthetic(self) -> NDArray[np.bool_]:
        """``True`` for the synthetic samples, bool, shape ``(len(self),)``."""
        return np.arange(len(self)) >= len(self._labels)

    @property
    def oversampled_classes(self) -> list[int]:
        """Classes that have synthetic samples, ascending."""
        return [int(label) for label in np.unique(self._plan.label)]

    def provenance(self, index: int) -> Provenance:
        """Label, parents and lambda of sample ``index``."""
        index = self._checked(index)
        row = index - len(self._labels)
        if row < 0:
            return Provenance(False, int(self._labels[index]), index, None, 0.0)
        plan = self._plan
        label, base, neighbor = (int(array[row]) for array in (plan.label, plan.base, plan.neighbor))
        return Provenance(True, label, base, neighbor, float(plan.lam[row]))

    def real_subset(
        self, classes: Collection[int] | None = None, *, transform: Transform | None = None
    ) -> "Subset[Any]":
        """The real samples (of some classes).

        Args:
            classes: Class indices; by default all.
            transform: Replaces the data set's own in the subset.
        """
        wanted = np.ones(len(self._labels), dtype=bool) if classes is None else np.isin(self._labels, list(classes))
        view = self
        if transform is not None:
            view = copy.copy(self)
            view.transform = transform
        return Subset(view, np.flatnonzero(wanted).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Draw new synthetic samples if ``redraw="epoch"``; workers that live on see them too.

        The draw is seeded by ``(random_state, epoch)``: the same on every rank and in a resumed run.
        """
        if hasattr(self.base, "set_epoch"):
            self.base.set_epoch(epoch)
            self._cache.clear()  # its images may be others now
        if self.redraw == "epoch":
            self._plan.copy_(self._plan.redrawn(self._sampler, self._labels, self._strata, epoch=epoch))

    def __len__(self) -> int:
        return len(self._labels) + len(self._plan)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, ...]]:
        """The samples of a batch, which torch's loaders ask for at once: small images are blended together."""
        places = [self._checked(index) for index in indices]
        count = len(self._labels)
        blends = self._blends([place - count for place in places if place >= count])
        items = []
        for place in places:
            is_synthetic = place >= count
            label = int(self._plan.label[place - count] if is_synthetic else self._labels[place])
            image = next(blends) if is_synthetic else self._read(place)
            if self.transform is not None:
                image = self.transform(image)
            items.append(
                (image, label, is_synthetic) if self.flag == "item" else (image, encode_target(label, is_synthetic))
            )
        return items

    def _blends(self, rows: Sequence[int]) -> Iterator[Any]:
        """Synthetic images, as many blended at once as fit the processor's cache."""
        for form, group in itertools.groupby(map(self._parents, rows), key=lambda parents: form_of(parents[0][0])):
            at_once = max(1, _BLENDED_AT_ONCE // max(1, math.prod(itertools.chain(*form[2:]))))
            while chosen := list(itertools.islice(group, at_once)):
                pairs, lams = zip(*chosen, strict=True)
                # a plain copy too is a blend, of the image with itself: a transform that writes must not reach the cache
                yield from blend_alike(pairs, lams)

    def _parents(self, row: int) -> tuple[tuple[Any, Any], float]:
        """Base and neighbour of a synthetic sample, and its lambda."""
        base, neighbor, lam = (array[row].item() for array in (self._plan.base, self._plan.neighbor, self._plan.lam))
        pair = self._cache.get(base, self.raw_image), self._cache.get(neighbor, self.raw_image)
        try:
            check_alike(*pair)
        except ValueError as error:
            raise ValueError(f"real images {base} and {neighbor} cannot be blended: {error}") from error
        return pair, lam

    def _checked(self, index: int) -> int:
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"index {index} is out of range for {length} samples.")
        return int(index) % length

    def __repr__(self) -> str:
        synthetic = dict(zip(*np.unique(self._plan.label, return_counts=True), strict=True))
        classes, counts = np.unique(self._labels, return_counts=True)
        lines = [
            f"    class {c}: {n} real" + (f" + {synthetic[c]} synthetic" if c in synthetic else "")
            for c, n in zip(classes, counts, strict=True)
        ]
        return "\n".join([f"SMOTEDataset of {type(self.base).__name__}, {self._plan.options['sampler']}", *lines])


def _is_label(told: Any, label: np.int64) -> bool:
    if type(told) is int:  # of most data sets; comparing arrays takes longer than reading a small image
        return told == int(label)
    return np.array_equal(np.ravel(told.cpu() if isinstance(told, Tensor) else told), [label])


def _check_base(base: Any) -> None:
    if isinstance(base, SMOTEDataset):
        raise TypeError(
            "base is a SMOTEDataset already: SMOTE of synthetic images is not SMOTE. Pass the real data set."
        )
    if isinstance(base, IterableDataset) or not hasattr(base, "__getitem__") or not hasattr(base, "__len__"):
        raise TypeError(
            f"base must be a map-style data set of (image, label) with a length; got {type(base).__name__}. The images of an "
            "iterable data set cannot be looked up, which a blend of two needs."
        )
    if len(base) == 0:
        raise ValueError(f"base is empty: {type(base).__name__} of length 0.")


def _image_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(n, int) and n > 0 for n in pair):
        raise ValueError(f"image_size must be (height, width) in pixels, or one number for both; got {size!r}.")
    return pair
