"""Stage 1 of CLE-SMOTE: a data set that is balanced by SMOTE without holding one synthetic image."""

import copy
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset, Subset

from clesmote_losses.distributed import is_distributed
from clesmote_losses.errors import Argument, ArgumentError, check_choice
from clesmote_losses.smote.assignment import GivenBase, check_assignable
from clesmote_losses.smote.base_dataset import check_base, forward_epoch, image_names
from clesmote_losses.smote.base_transform import split_transform
from clesmote_losses.smote.clipped_images import warn_of_clipped_images
from clesmote_losses.smote.columns import check_column
from clesmote_losses.smote.draw_options import Blend, DrawOptions, Partners
from clesmote_losses.smote.images_by_index import ImagesByIndex, check_images_by_index
from clesmote_losses.smote.labels import check_labels, find_labels, own_labels
from clesmote_losses.smote.plan import SMOTEPlan
from clesmote_losses.smote.real_images import RealImages, as_row
from clesmote_losses.smote.relabelling import Relabelling
from clesmote_losses.smote.resampling import SmallClass
from clesmote_losses.smote.sample_records import SampleRecords, check_holds_no_records
from clesmote_losses.smote.samplers import kind_of, plain_sampler
from clesmote_losses.smote.strata import strata_of
from clesmote_losses.smote.synthetic_images import blends, copied_image, some_parents
from clesmote_losses.smote.transform_probe import Transform, apply_transform
from clesmote_losses.targets import encode_target

Features = NDArray[Any] | Tensor | Callable[[Any], ArrayLike]
Redraw = Literal["never", "epoch"]
Flag = Literal["target", "item"]


class SMOTEDataset(SampleRecords):
    r"""Real samples, then synthetic ones that are interpolated when they are asked for.

    .. math:: x = (1 - \lambda)\, x_\text{base} + \lambda\, x_\text{neighbor}

    Images are blended as the base data set stores them, in float, rounded and clipped by construction to the source's
    dtype; then ``transform`` runs on real and synthetic images alike. Items are ``(image, target)`` with the synthetic
    flag in the target (:func:`decode_target`), so loaders and collate functions stay as they are.

    Args:
        base: Map-style data set of ``(image, label)``; images are PIL images, arrays or tensors. It is not changed.
        sampler: ``SMOTE``, ``BorderlineSMOTE`` or ``ADASYN`` of imbalanced-learn with its own options; by default
            ``SMOTE(k_neighbors=5, random_state=0)``. Or ``RandomOverSampler``, whose copies are flagged as synthetic. Under
            ``torch.distributed`` it needs an int ``random_state``, or ranks would train on different data.
        labels: Class index of every sample, shape ``(N,)``; by default found in the data set without reading images. They may
            rename or merge classes of the data set, not split them.
        strata: One group for each sample, shape ``(N,)``, of one class each: SMOTE balances these in place of the
            classes, for imbalance inside a class. Keys of the sampler's ``sampling_strategy`` are strata then.
        groups: One group for each sample, shape ``(N,)``, such as its patient: no two images of one group are blended.
        features: What neighbours are searched in, in place of pixels: rows of shape ``(N, D)``, or a function of the
            raw image that returns a row.
        image_size: Height and width at which images are compared and blended, where those of the data set differ. Real
            images keep their size.
        plan: A plan made before (:meth:`SMOTEPlan.load`); nothing is searched then.
        transform: Applied to every image; by default that of ``base``, which is taken over. Assign to ``.transform``
            to change it later, as timm's ``create_loader`` does; workers that live on (``persistent_workers``) keep the old
            one. albumentations is called by name.
        image: Returns raw image ``index``, for a ``base`` whose images cannot be had without its transform; the index counts
            the samples of ``base`` (of the ``Subset``, if it is one). Images go through ``transform`` alone then. A few are
            compared with the items of ``base``, if these can be read. Pass it too: loaders collate no PIL images.
        small_class: What to do with a class of ``k`` or fewer samples; see :meth:`SMOTEPlan.from_sampler`.
        real_share: At least this share of each over-sampled class stays real: plain copies of its real images, which are not
            flagged, take the place of synthetic samples. By default what SMOTE gives. Where only the rare class is blended, a
            blend marks it, and the network learns to see blends.
        blend: ``"all"``: samples of every class are blended, so that a blend marks none. Every real sample stays, so the set
            grows: each class has the size that the sampler gives it in real samples (copies where it has fewer), and blends
            on top. Only with ``SMOTE``.
        blend_share: Share of each class's samples that are blends, with ``blend="all"``; by default a half.
        partners: ``"any"``: the other parent is any image of the same class or stratum, not one of the nearest. No neighbours
            are searched, and two images of a class are enough. Only with ``SMOTE``.
        redraw: ``"epoch"``: :meth:`set_epoch` draws new synthetic samples.
        flag: ``"target"``: in the target. ``"item"``: items are ``(image, label, is_synthetic)``.
        device: Where the neighbour search runs; by default the GPU if there is one.
        cache_mb: Megabytes of real images that each worker may keep decoded, to blend them again. The few images of a rare
            class are the parents of many synthetic ones: once they are kept, a synthetic sample costs no more than a real one.

    Raises:
        TypeError: If ``base``, ``sampler``, labels or images are of the wrong kind.
        ValueError: If labels are not found or contradict those of ``base``, sizes differ, a class is too small, the plan does
            not fit, or an option is wrong; if ``base`` augments without its ``transform``, or does more to an image than its
            transform does; if ``image`` gives other images.
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
        groups: ArrayLike | None = None,
        features: Features | None = None,
        image_size: tuple[int, int] | int | None = None,
        plan: SMOTEPlan | None = None,
        transform: Transform | None = None,
        image: Callable[[int], Any] | None = None,
        small_class: SmallClass = "error",
        real_share: float | None = None,
        blend: Blend = "oversampled",
        blend_share: float | None = None,
        partners: Partners = "nearest",
        redraw: Redraw = "never",
        flag: Flag = "target",
        device: torch.device | str | None = None,
        cache_mb: float = 256,
    ) -> None:
        check_holds_no_records(base)
        check_base(base)
        check_choice("redraw", redraw, get_args(Redraw))
        check_choice("flag", flag, get_args(Flag))
        check_choice("small_class", small_class, get_args(SmallClass))
        draws = DrawOptions(real_share=real_share, blend=blend, blend_share=blend_share, partners=partners)
        if plan is not None and features is not None:
            raise ValueError("features= are for the neighbour search, and a plan= has done it: pass one of the two.")
        if sampler is None and plan is None:
            from imblearn.over_sampling import SMOTE

            sampler = SMOTE(k_neighbors=5, random_state=0)
        self.flag = flag
        self.redraw = redraw
        if labels is None:
            self._labels = find_labels(base)
        else:
            self._labels = check_labels(labels, len(base))  # type: ignore[arg-type]
        self._strata = None if strata is None else strata_of(self._labels, strata)
        self._groups = None if groups is None else check_column("groups", groups, len(self._labels))
        read_images = partial(
            RealImages,
            labels=self._labels,
            relabelling=None if labels is None else Relabelling(),
            size=image_size,
            cache_mb=cache_mb,
        )
        self.transform = transform
        if image is None:
            self.base, base_transform, probe = split_transform(
                base,
                lambda data, index: read_images(data).read(index),
                labels=self._labels,
                compare=transform is None,
            )
            if transform is None:
                self.transform = base_transform
        else:
            self.base, probe = ImagesByIndex(base, image, self._labels), None
            check_images_by_index(self.base, transform)
        self._given = GivenBase(base)
        self._images = read_images(self.base, probe=probe)
        images = self._images.readable()
        if labels is not None:
            images.check_passed_labels(own_labels(base), items=image is None)
        if plan is None:
            plan = self._make_plan(images, sampler, features, small_class, draws, device)
        else:
            self._check_plan(plan, sampler, small_class, draws)
        if redraw == "epoch" and not isinstance(plan.options["random_state"], int):
            raise ValueError(
                'redraw="epoch" needs an int random_state, e.g. sampler=SMOTE(random_state=0), or ranks differ.'
            )
        if sampler is not None:
            sampler = plain_sampler(sampler, plan.options, strata_of(self._labels, self._strata))
        self._sampler = sampler
        self._plan = plan.copy().share_memory_()  # or workers that live on would not see a new draw
        self._digests = images.check_steady(some_parents(plan, strata_of(self._labels, self._strata)) or [0])
        warn_of_clipped_images(images, list(self._digests))

    def _make_plan(
        self,
        images: RealImages,
        sampler: Any,
        features: Features | None,
        small_class: SmallClass,
        draws: DrawOptions,
        device: torch.device | str | None,
    ) -> SMOTEPlan:
        if is_distributed() and getattr(sampler, "random_state", None) is None:
            raise ValueError(
                "every rank must draw the same samples: give the sampler an int random_state, e.g. SMOTE(random_state=0)."
            )
        if features is not None and (kind_of(sampler).neighbors is None or draws.partners == "any"):
            unused = " are for the neighbour search, and none is made with RandomOverSampler or "
            raise ArgumentError("features", Argument("features"), unused, Argument("partners", '"any"'), ".")
        if features is not None and not callable(features):
            rows: Any = as_row(features)
        else:
            rows = partial(images.rows, features=features)
        return SMOTEPlan.from_sampler(
            sampler,
            self._labels,
            rows,
            strata=self._strata,
            groups=self._groups,
            small_class=small_class,
            device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
            names=image_names(self.base),
            draws=draws,
        )

    def _check_plan(self, plan: SMOTEPlan, sampler: Any, small_class: SmallClass, draws: DrawOptions) -> None:
        plan.check_fits(self._labels, self._strata, image_names(self.base), self._groups)
        plan.check_options(sampler, self._labels, self._strata, small_class, draws, self._groups)
        if sampler is None and self.redraw == "epoch":
            maker = Argument("plan"), " needs ", Argument("sampler"), " too: the one that made the plan."
            raise ArgumentError("redraw", Argument("redraw", '"epoch"'), " with ", *maker)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_plan" in vars(self):
            check_assignable(self, name, SMOTEDataset)
        super().__setattr__(name, value)

    def raw_image(self, index: int) -> Any:
        """Read real image ``index`` as the base data set stores it (at ``image_size``, if one is set), before ``transform``.

        Raises:
            RuntimeError: If it cannot be read.
            ValueError: If the base data set gives another label for it than it reported before.
        """
        return self._images.resized(index)

    @property
    def plan(self) -> SMOTEPlan:
        """The recipe of every sample that is added to the real ones, of the current draw; a later draw does not change it."""
        return self._plan.copy()

    def real_subset(
        self, classes: Collection[int] | None = None, *, transform: Transform | None = None
    ) -> "Subset[Any]":
        """Return the real samples (of some classes), each once.

        Args:
            classes: Class indices; by default all.
            transform: Replaces the data set's own in the subset.
        """
        wanted = np.ones(len(self._labels), dtype=bool) if classes is None else np.isin(self._labels, list(classes))
        view = copy.copy(self)
        view._images = self._images.readable()
        if transform is not None:
            view.transform = transform
        return Subset(view, np.flatnonzero(wanted).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Draw new synthetic samples if ``redraw="epoch"``; workers that live on see them too.

        The draw is seeded by ``(random_state, epoch)``: the same on every rank and in a resumed run. ``set_epoch`` of the base
        data set is called too, also where it lies in a ``Subset`` or ``ConcatDataset``.
        """
        self._given.check_transforms()
        if forward_epoch(self.base, epoch):
            self._images.forget()  # the images may be others now
        self._given.check_epoch(self.base)
        self._images.check_unchanged(self._digests, epoch)
        if self.redraw == "epoch":
            self._plan.copy_(self._plan.redrawn(self._sampler, self._labels, self._strata, self._groups, epoch=epoch))

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, ...]]:
        """Return the samples of a batch, which torch's loaders ask for at once: small images are blended together."""
        self._given.check_transforms()
        indices = [self._normalize_index(index) for index in indices]
        count, plan = len(self._labels), self._plan
        shown = [index if index < count else copied_image(plan, index - count) for index in indices]
        rows = [index - count for index, real in zip(indices, shown, strict=True) if real is None]
        made = blends(self._images, plan, rows)
        items = []
        for index, real in zip(indices, shown, strict=True):
            is_synthetic = index >= count and bool(plan.is_synthetic[index - count])
            label = int(self._labels[index] if index < count else plan.label[index - count])
            image = next(made) if real is None else self._images.read(real)
            try:
                image = apply_transform(self.transform, image)
            except Exception:
                if real is not None:  # was it the file, which Pillow decodes when the transform asks for pixels?
                    self._images.read_pixels(real)
                raise
            items.append(
                (image, label, is_synthetic) if self.flag == "item" else (image, encode_target(label, is_synthetic))
            )
        return items
