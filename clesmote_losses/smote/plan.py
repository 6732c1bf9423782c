"""Which two images each drawn sample is made of, and how much of each: 21 bytes in place of an image."""

import copy
import dataclasses
import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from clesmote_losses.errors import Argument, ArgumentError, prefixed
from clesmote_losses.smote.columns import check_column
from clesmote_losses.smote.draw_options import DEFAULTS, DrawOptions
from clesmote_losses.smote.draws import draw_counts, draw_samples
from clesmote_losses.smote.labels import check_labels
from clesmote_losses.smote.plan_file import read_plan, write_plan
from clesmote_losses.smote.resampling import NeighborSearch, ReplayedSearch, RowsOf, SmallClass
from clesmote_losses.smote.samplers import check_group_sizes, kind_of, sampler_options
from clesmote_losses.smote.strata import group_digest, strata_of

_AS_SMOTE = DrawOptions()


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class SMOTEPlan:
    """The recipe of every sample that is added to the real ones: ``(1 - lam) * image[base] + lam * image[neighbor]``.

    ``len(plan)`` is the number of these samples ``S``; a sample takes 21 bytes, and ``tables`` some for each real one.
    A field that is an array holds one row for each sample; it is shared, copied and saved like the others.

    Attributes:
        base: Index of the first parent among the real samples, int32, shape ``(S,)``. Where each parent is among the
            other's neighbours the recipe reads both ways; the lower index is the base then.
        neighbor: Index of the second parent, int32, shape ``(S,)``. Equal to ``base`` for a plain copy.
        lam: Weight of the neighbour in ``[0, 1]``, float32, shape ``(S,)``.
        label: Class index of the sample, int64, shape ``(S,)``.
        is_synthetic: ``False`` for a plain copy that counts as real, bool, shape ``(S,)``; by default ``True`` for all.
        num_real: Number of real samples ``N``.
        fingerprint: Digest of the labels and strata the plan was made for.
        options: The sampler and its options, and what is not at the default of :class:`DrawOptions`, as plain values.
        tables: What the neighbour search found, in the order in which imbalanced-learn asked: arrays of indices, int32, each
            ``(q, 1 + k)`` with the query itself in column 0. With them new samples can be drawn without a search.
        names: Digest of the names of the image files, or empty where there are none.
    """

    base: NDArray[np.int32]
    neighbor: NDArray[np.int32]
    lam: NDArray[np.float32]
    label: NDArray[np.int64]
    num_real: int
    fingerprint: str
    options: dict[str, Any]
    tables: tuple[NDArray[np.int32], ...] = ()
    names: str = ""
    is_synthetic: NDArray[np.bool_] = None  # type: ignore[assignment]  # filled in below

    def __post_init__(self) -> None:
        if self.is_synthetic is None:
            object.__setattr__(self, "is_synthetic", np.ones(len(self.base), dtype=bool))

    def __len__(self) -> int:
        return len(self.base)

    @classmethod
    def from_sampler(
        cls,
        sampler: Any,
        labels: NDArray[np.int64],
        features: NDArray[Any] | Tensor | RowsOf,
        *,
        strata: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        small_class: SmallClass = "error",
        device: torch.device | str = "cpu",
        names: Sequence[str] | None = None,
        draws: DrawOptions = _AS_SMOTE,
    ) -> "SMOTEPlan":
        """Run an imbalanced-learn sampler without its images.

        Args:
            sampler: ``SMOTE``, ``BorderlineSMOTE``, ``ADASYN`` or ``RandomOverSampler`` instance; it is not changed. Its
                ``k_neighbors`` may be an estimator.
            labels: Class index of every real sample, int64, shape ``(N,)``.
            features: Rows to search neighbours in, shape ``(N, D)``, or a function that reads the rows of the given
                indices. SMOTE only asks for the classes that get synthetic samples, ``BorderlineSMOTE`` and ``ADASYN`` for
                all; ``RandomOverSampler`` and ``partners="any"`` for none.
            strata: One group for each sample, shape ``(N,)``, to balance in place of the classes. The samples of one
                stratum must have one label.
            groups: One group for each sample, shape ``(N,)``, such as its patient: no neighbour is of the same group.
            small_class: What to do with a class of ``k`` or fewer samples. ``"error"``; ``"shrink_k"``: take the
                neighbours there are; ``"duplicate"``: copy its images.
            device: Where the neighbour search runs.
            names: File name of every sample, so that :meth:`check_fits` notices other images with the same labels.
            draws: Which draws are blends, and of which images.

        Raises:
            TypeError: If the sampler is none of :data:`~clesmote_losses.smote.samplers.SAMPLERS`.
            ValueError: If a class is too small, a stratum has several labels, or imbalanced-learn refuses the options.

        Example:
            >>> labels, features = np.repeat([0, 1], [20, 10]), np.random.default_rng(0).normal(size=(30, 4))
            >>> plan = SMOTEPlan.from_sampler(SMOTE(k_neighbors=3, random_state=0), labels, features)
            >>> len(plan), set(plan.label.tolist()), bool(plan.base.min() >= 20)
            (10, {1}, True)
        """
        labels = check_labels(labels, len(labels))
        balanced = strata_of(labels, strata)
        patients = None if groups is None else check_column("groups", groups, len(labels))
        options = sampler_options(sampler, balanced, small_class, draws, patients)
        check_group_sizes(options | {"n_samples": draw_counts(options, balanced)}, balanced, patients)
        search = NeighborSearch(features, balanced, kind_of(sampler).repeats_neighbors, small_class, device, patients)
        samples = draw_samples(sampler, options, balanced, search, search.tables, options["random_state"], patients)
        return cls(
            **samples,
            label=labels[samples["base"]],
            num_real=len(labels),
            fingerprint=group_digest(labels, strata),
            options=options,
            tables=tuple(search.tables),
            names=_digest_of(names),
        )

    def redrawn(
        self,
        sampler: Any,
        labels: NDArray[np.int64],
        strata: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        *,
        epoch: int,
    ) -> "SMOTEPlan":
        """Draw new samples from the same search, seeded by the sampler's ``random_state`` and the epoch; all else stays.

        Raises:
            ValueError: If the sampler has no int ``random_state``, or is not the one that made the plan.
        """
        balanced = strata_of(labels, strata)
        patients = None if groups is None else check_column("groups", groups, len(labels))
        seed = self.options["random_state"]
        if not isinstance(seed, int):
            raise ValueError(f"a new draw each epoch needs a sampler with an int random_state; got {seed!r}.")
        seed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
        samples: dict[str, Any] = draw_samples(
            sampler, self.options, balanced, ReplayedSearch(self.tables), self.tables, seed, patients
        )
        return dataclasses.replace(self, **samples, label=labels[samples["base"]])

    def check_fits(
        self,
        labels: NDArray[np.int64],
        strata: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        groups: ArrayLike | None = None,
    ) -> None:
        """Check that the plan was made for these labels and strata, for files of these names, and with these groups.

        Raises:
            ArgumentError: If it was not, or gives a sample another label than its parents have.
        """
        differ = None
        if self.fingerprint != group_digest(labels, strata) or self.num_real != len(labels):
            differ = "labels or strata"
        elif names is not None and self.names not in ("", _digest_of(names)):
            differ = "names or order of image files"
        if differ is not None:
            raise ArgumentError(
                "plan",
                f"this plan was made for another data set: other {differ} than the {len(labels)} here. "
                "Make it anew, or load the plan that belongs to this data set.",
            )
        # the second kind of BorderlineSMOTE goes at most half way to a neighbour of another class (Han et al. 2005)
        is_stranger = labels[self.neighbor] != self.label
        goes_too_far = is_stranger if self.options.get("kind") != "borderline-2" else is_stranger & (self.lam > 0.5)
        if wrong := np.flatnonzero((labels[self.base] != self.label) | goes_too_far).tolist():
            base, neighbor, label = (int(array[wrong[0]]) for array in (self.base, self.neighbor, self.label))
            raise ArgumentError(
                "plan",
                f"synthetic sample {wrong[0]} of this plan has label {label}, and its parents {base} and {neighbor} have "
                f"{labels[base]} and {labels[neighbor]}. Make the plan again.",
            )
        if groups is not None:
            self._check_apart(check_column("groups", groups, len(labels)))

    def _check_apart(self, groups: NDArray[Any]) -> None:
        for table in (np.stack([self.base, self.neighbor], axis=1), *self.tables):
            sample, others = table[:, :1], table[:, 1:]
            row, column = np.nonzero((groups[sample] == groups[others]) & (sample != others))
            if len(row):
                one, other = int(sample[row[0], 0]), int(others[row[0], column[0]])
                raise ArgumentError(
                    "plan",
                    "this plan was made without ",
                    Argument("groups"),
                    f" or with others: it takes samples {one} and {other} as neighbours, both of group {groups[one].item()!r}. Make "
                    "the plan again.",
                )

    def check_options(
        self,
        sampler: Any,
        labels: NDArray[np.int64],
        strata: ArrayLike | None = None,
        small_class: SmallClass = "error",
        draws: DrawOptions = _AS_SMOTE,
        groups: ArrayLike | None = None,
    ) -> None:
        """Check that the plan was made with this sampler and its options; without one, that it was with the draws given.

        Raises:
            ArgumentError: If it was not; the message names the options that differ.
        """
        patients = None if groups is None else check_column("groups", groups, len(labels))
        if sampler is None:
            wanted = self.options | draws.given()
        else:
            wanted = sampler_options(sampler, strata_of(labels, strata), small_class, draws, patients)
        names = sorted(wanted.keys() | self.options.keys())
        pairs = [
            (name, *(options.get(name, DEFAULTS.get(name)) for options in (self.options, wanted))) for name in names
        ]
        if differ := [f"{name}={made!r} (wanted {value!r})" for name, made, value in pairs if made != value]:
            raise ArgumentError(
                "plan",
                f"the plan was made with other options than those of the sampler: {', '.join(differ)}. Pass only one of ",
                Argument("plan"),
                " and ",
                Argument("sampler"),
                ", or make the plan again.",
            )

    def share_memory_(self) -> "SMOTEPlan":
        """Move the arrays of the samples into shared memory, so that workers see what :meth:`copy_` writes.

        A plan that is sent to a worker stays shared; a deep copy, or a pickled one, has shared memory of its own.
        """
        self.__setstate__({name: torch.from_numpy(array.copy()) for name, array in self._arrays().items()})
        return self

    def copy_(self, other: "SMOTEPlan") -> None:
        """Write the samples of another plan of the same length into the arrays of this one.

        Raises:
            ValueError: If the length differs.
        """
        if len(other) != len(self):
            raise ValueError(f"a plan of {len(self)} samples cannot take in the {len(other)} of another one.")
        for name, array in self._arrays().items():
            array[...] = getattr(other, name)

    def copy(self) -> "SMOTEPlan":
        """Return an independent plan, with ordinary arrays."""
        own: dict[str, Any] = {name: array.copy() for name, array in self._arrays().items()}
        return dataclasses.replace(self, options=copy.deepcopy(self.options), **own)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def __getstate__(self) -> dict[str, Any]:
        # torch shares a tensor with a worker, and copies an array
        return {name: v.base if isinstance(getattr(v, "base", None), Tensor) else v for name, v in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():  # the array keeps its tensor, and so its memory, alive
            vars(self)[name] = value.share_memory_().numpy() if isinstance(value, Tensor) else value

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan as ``.safetensors``, with a digest over all it holds; the file appears in one piece.

        Raises:
            OSError: If it cannot be written.
        """
        write_plan(path, self)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, labels: NDArray[np.int64] | None = None, strata: ArrayLike | None = None
    ) -> "SMOTEPlan":
        """Read what :meth:`save` wrote.

        Args:
            path: The file.
            labels, strata: Of the data set it is meant for, to check that it fits; ``SMOTEDataset(plan=...)`` checks too.

        Raises:
            ValueError: If the file holds no plan, was damaged or changed, or holds one for another data set.
        """
        plan = cls(**read_plan(path, cls))
        if labels is not None:
            with prefixed(os.fspath(path)):
                plan.check_fits(labels, strata)
        return plan


def _digest_of(names: Sequence[str] | None) -> str:
    return "" if names is None else hashlib.sha256("\n".join(names).encode()).hexdigest()
