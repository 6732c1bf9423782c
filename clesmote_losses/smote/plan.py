"""Which two images each synthetic sample is made of, and how much of each: 20 bytes in place of an image."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from clesmote_losses.atomic_write import atomic_write
from clesmote_losses.smote.base_dataset import check_labels
from clesmote_losses.smote.resampling import (
    NeighborSearch,
    ReplayedSearch,
    RowsOf,
    SmallClass,
    neighbor_count,
    resample_identity,
)

_ARRAYS = ("base", "neighbor", "lam", "label")
_FORMAT = "clesmote_losses.SMOTEPlan.1"


@dataclasses.dataclass(frozen=True, eq=False)
class SMOTEPlan:
    """The recipe of every synthetic sample: ``(1 - lam) * image[base] + lam * image[neighbor]``.

    ``len(plan)`` is the number of synthetic samples ``S``; 20 bytes each, and those of ``tables`` for the real ones.

    Attributes:
        base: Index of the first parent among the real samples, int32, shape ``(S,)``. Where each parent is among the
            other's neighbours the recipe reads both ways; the lower index is the base then.
        neighbor: Index of the second parent, int32, shape ``(S,)``. Equal to ``base`` for a plain copy.
        lam: Weight of the neighbour in ``[0, 1]``, float32, shape ``(S,)``.
        label: Class index of the sample, int64, shape ``(S,)``.
        fingerprint: Digest of the labels and strata the plan was made for.
        names: Digest of the names of the image files, or empty where there are none.
        options: The sampler and its options, as plain values.
        tables: What the neighbour search answered, in the order in which imbalanced-learn asked: arrays of indices, int32, each
            ``(q, 1 + k)`` with the query itself in column 0. With them new samples can be drawn without a search.
    """

    base: NDArray[np.int32]
    neighbor: NDArray[np.int32]
    lam: NDArray[np.float32]
    label: NDArray[np.int64]
    fingerprint: str
    options: dict[str, Any]
    tables: tuple[NDArray[np.int32], ...] = ()
    names: str = ""

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
        small_class: SmallClass = "error",
        device: torch.device | str = "cpu",
        names: Sequence[str] | None = None,
    ) -> "SMOTEPlan":
        """Run an imbalanced-learn sampler without its images.

        Args:
            sampler: ``SMOTE``, ``BorderlineSMOTE`` or ``ADASYN`` instance; it is not changed. Its ``k_neighbors`` may be
                an estimator.
            labels: Class index of every real sample, int64, shape ``(N,)``.
            features: What neighbours are searched in: rows of shape ``(N, D)``, or a function that reads those of the given
                indices, so that only classes that get synthetic samples are read (all, for the other two samplers).
            strata: One group for each sample, shape ``(N,)``: SMOTE works on them in place of the classes. The samples of one
                stratum must have one label.
            small_class: What to do with a class of ``k`` or fewer samples. ``"error"``; ``"shrink_k"``: take what
                neighbours there are; ``"duplicate"``: copy its images.
            device: Where the neighbour search runs.
            names: File name of every sample, so that :meth:`check_fits` notices other images with the same labels.

        Raises:
            TypeError: If the sampler is of another kind.
            ValueError: If a class is too small, a stratum has several labels, or imbalanced-learn refuses the options.

        Example:
            >>> labels, features = np.repeat([0, 1], [20, 10]), np.random.default_rng(0).normal(size=(30, 4))
            >>> plan = SMOTEPlan.from_sampler(SMOTE(k_neighbors=3, random_state=0), labels, features)
            >>> len(plan), set(plan.label.tolist()), bool(plan.base.min() >= 20)
            (10, {1}, True)
        """
        labels = check_labels(labels, len(labels))
        groups = strata_of(labels, strata)
        options = sampler_options(sampler, groups, small_class)
        k = int(options["k_neighbors"])
        sizes = dict(zip(*np.unique(groups, return_counts=True), strict=True))
        for group, _ in options["n_samples"]:
            _check_size(group, int(sizes[group]), k, small_class)
        search = NeighborSearch(features, groups, sampler, small_class, device)
        recipe, resampled = resample_identity(sampler, groups, search, options["random_state"])
        fingerprint = _fingerprint(labels, strata)
        plan = cls._from_recipe(recipe, resampled, labels, groups, search.tables, fingerprint, options)
        return dataclasses.replace(plan, names=_digest_of(names))

    def redrawn(
        self, sampler: Any, labels: NDArray[np.int64], strata: ArrayLike | None = None, *, epoch: int
    ) -> "SMOTEPlan":
        """New bases, neighbours and lambdas from the same search, seeded by the sampler's ``random_state`` and the epoch.

        Raises:
            ValueError: If the sampler has no int ``random_state``, or is not the one that made the plan.
        """
        groups = strata_of(labels, strata)
        seed = self.options["random_state"]
        if not isinstance(seed, int):
            raise ValueError(f"a new draw each epoch needs a sampler with an int random_state; got {seed!r}.")
        seed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
        recipe, resampled = resample_identity(sampler, groups, ReplayedSearch(self.tables), seed)
        plan = self._from_recipe(recipe, resampled, labels, groups, self.tables, self.fingerprint, self.options)
        return dataclasses.replace(plan, names=self.names)

    @classmethod
    def _from_recipe(
        cls,
        recipe: Any,
        resampled: NDArray[Any],
        labels: NDArray[np.int64],
        groups: NDArray[Any],
        tables: Sequence[NDArray[np.int32]],
        fingerprint: str,
        options: dict[str, Any],
    ) -> "SMOTEPlan":
        """Read base, neighbour and lambda off the rows of the resampled identity matrix."""
        recipe.sort_indices()
        first, last = recipe.indptr[:-1], recipe.indptr[1:] - 1
        base, neighbor = recipe.indices[first].astype(np.int32), recipe.indices[last].astype(np.int32)
        lam = np.where(base == neighbor, 0.0, recipe.data[last])
        # A row does not tell which of its two parents is the base; the neighbour is the one in the other's table.
        table_of = {groups[table[0, 0]]: table for table in tables if len(table)}  # the last search for a group counts
        for group, table in table_of.items():
            mine = np.flatnonzero(resampled == group)
            row_of = np.full(len(groups), -1)
            row_of[table[:, 0]] = np.arange(len(table))
            row = row_of[base[mine]]
            is_listed = (row >= 0) & (table[row, 1:] == neighbor[mine, None]).any(1)
            swap = mine[~is_listed & (base[mine] != neighbor[mine])]
            base[swap], neighbor[swap] = neighbor[swap], base[swap].copy()
            lam[swap] = 1 - lam[swap]
        return cls(base, neighbor, lam.astype(np.float32), labels[base], fingerprint, options, tuple(tables))

    def check_fits(
        self, labels: NDArray[np.int64], strata: ArrayLike | None = None, names: Sequence[str] | None = None
    ) -> None:
        """Raise ``ValueError`` if the plan was made for other labels or strata, or for files of other names."""
        differ = "labels or strata" if self.fingerprint != _fingerprint(labels, strata) else None
        if differ is None and names is not None and self.names not in ("", _digest_of(names)):
            differ = "names or order of image files"
        if differ is not None:
            raise ValueError(
                f"this plan was made for another data set: other {differ} than the {len(labels)} here. "
                "Make it anew, or load the plan that belongs to this data set."
            )

    def copy(self) -> "SMOTEPlan":
        """Return an independent plan."""
        return dataclasses.replace(self, **{name: getattr(self, name).copy() for name in _ARRAYS})

    def share_memory_(self) -> "SMOTEPlan":
        """Move the arrays of the samples into shared memory."""
        if not hasattr(self, "_shared"):
            shared = {name: torch.from_numpy(np.array(getattr(self, name))).share_memory_() for name in _ARRAYS}
            self.__dict__["_shared"] = shared
            for name, tensor in shared.items():
                self.__dict__[name] = tensor.numpy()
        return self

    def __getstate__(self):
        state = dict(self.__dict__)
        if "_shared" in state:
            for name in _ARRAYS:
                del state[name]
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        for name, tensor in state.get("_shared", {}).items():
            tensor.share_memory_()
            self.__dict__[name] = tensor.numpy()

    def copy_(self, other: "SMOTEPlan") -> None:
        """Write the samples of another plan into these arrays."""
        for name in _ARRAYS:
            getattr(self, name)[...] = getattr(other, name)

    def check_options(self, sampler: Any, labels: NDArray[np.int64], strata: Any, small_class: SmallClass) -> None:
        """Raise if the plan was made with other options."""
        wanted = sampler_options(sampler, strata_of(labels, strata), small_class)
        names = sorted(wanted.keys() | self.options.keys())
        pairs = [(name, self.options.get(name), wanted.get(name)) for name in names]
        if differ := [f"{name}={made!r} (wanted {ours!r})" for name, made, ours in pairs if made != ours]:
            raise ValueError(
                f"the plan was made with other options than those of the sampler: {', '.join(differ)}. Pass one of the two, or "
                "make the plan anew."
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan as ``.safetensors``, with fingerprint and options in the metadata.

        The file appears whole or not at all: it is written under another name first.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays.update({f"tables.{i}": table for i, table in enumerate(self.tables)})
        metadata = {"format": _FORMAT, "fingerprint": self.fingerprint, "names": self.names}
        metadata["options"] = json.dumps(self.options)
        try:
            with atomic_write(path) as unfinished:
                save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, unfinished, metadata)
        except SafetensorError as error:
            raise OSError(f"the plan cannot be written to {os.fspath(path)}: {error}.") from error

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, labels: NDArray[np.int64] | None = None, strata: ArrayLike | None = None
    ) -> "SMOTEPlan":
        """Read what :meth:`save` wrote.

        Args:
            path: The file.
            labels, strata: Of the data set it is meant for, to check that it fits; ``SMOTEDataset(plan=...)`` checks too.

        Raises:
            ValueError: If the file holds no plan, or one for another data set.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except SafetensorError as error:
            raise ValueError(f"{os.fspath(path)} is no .safetensors file: {error}.") from error
        if metadata.get("format") != _FORMAT:
            raise ValueError(
                f"{os.fspath(path)} holds no SMOTE plan of this version (format {metadata.get('format')!r}, wanted {_FORMAT!r})."
            )
        tables = tuple(arrays[f"tables.{i}"] for i in range(len(arrays) - len(_ARRAYS)))
        options = json.loads(metadata["options"])
        base, neighbor, lam, label = (arrays[name] for name in _ARRAYS)
        plan = cls(base, neighbor, lam, label, metadata["fingerprint"], options, tables, metadata.get("names", ""))
        if labels is not None:
            plan.check_fits(labels, strata)
        return plan


def sampler_options(sampler: Any, groups: NDArray[Any], small_class: SmallClass = "error") -> dict[str, Any]:
    """The sampler and its options as plain values that JSON keeps: what a plan was made with.

    Raises:
        TypeError: If the sampler is not a ``SMOTE``, ``BorderlineSMOTE`` or ``ADASYN``.
        ValueError: If an option is wrong.
    """
    from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE
    from imblearn.utils import check_sampling_strategy

    if type(sampler) not in (SMOTE, BorderlineSMOTE, ADASYN):
        raise TypeError(
            "sampler must be an instance of imbalanced-learn's SMOTE, BorderlineSMOTE or ADASYN; got "
            f"{sampler.__name__ + ' (the class)' if isinstance(sampler, type) else type(sampler).__name__}. SVMSMOTE, KMeansSMOTE and "
            "SMOTENC look at the features themselves, which a plan does not hold."
        )
    if small_class not in get_args(SmallClass):
        raise ValueError(f"small_class must be one of {get_args(SmallClass)}; got {small_class!r}.")
    options = sampler.get_params(deep=False)
    options["k_neighbors"] = neighbor_count(options.pop("n_neighbors", options.get("k_neighbors")))
    if "m_neighbors" in options:
        options["m_neighbors"] = neighbor_count(options["m_neighbors"])
    if not isinstance(options["random_state"], int | np.integer | None):
        options["random_state"] = repr(options["random_state"])
    elif options["random_state"] is not None:
        options["random_state"] = int(options["random_state"])
    n_samples = check_sampling_strategy(options.pop("sampling_strategy"), groups, "over-sampling")
    wanted = [[group.item() if isinstance(group, np.generic) else group, int(n)] for group, n in n_samples.items() if n]
    return {"sampler": type(sampler).__name__, **options, "n_samples": wanted, "small_class": small_class}


def strata_of(labels: NDArray[np.int64], strata: ArrayLike | None) -> NDArray[Any]:
    """The groups that SMOTE balances, shape ``(N,)``: the strata if there are any, else the classes.

    Raises:
        ValueError: If the shape is wrong or a stratum holds several classes.
    """
    if strata is None:
        return labels
    groups = np.asarray(strata)
    if groups.shape != labels.shape:
        raise ValueError(f"strata must have shape {labels.shape}, one group for each sample; got {groups.shape}.")
    for group in np.unique(groups):
        within = np.unique(labels[groups == group])
        if len(within) > 1:
            raise ValueError(
                f"stratum {np.asarray(group).item()!r} holds samples of the classes {within.tolist()}, so a blend of two of them has no label. "
                "Make strata of one class each."
            )
    return groups


def _fingerprint(labels: NDArray[np.int64], strata: ArrayLike | None) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    if strata is not None:
        names, codes = np.unique(np.asarray(strata), return_inverse=True)
        digest.update(repr(names.tolist()).encode() + codes.astype("<i8").tobytes())
    return digest.hexdigest()


def _check_size(group: Any, count: int, k: int, small_class: SmallClass) -> None:
    enough = {"error": k + 1, "shrink_k": 2, "duplicate": 1}[small_class]
    if count < enough:
        raise ValueError(
            f"class or stratum {group!r} has {count} sample(s); {enough} are needed for k_neighbors={k} and "
            f'small_class="{small_class}". Ways out: fewer k_neighbors, small_class="shrink_k" (takes the neighbours there are), or '
            'small_class="duplicate" (copies its images).'
        )


def _digest_of(names: Sequence[str] | None) -> str:
    return "" if names is None else hashlib.sha256("\n".join(names).encode()).hexdigest()
