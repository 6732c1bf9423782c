"""The samplers of imbalanced-learn that a plan can be made with."""

import dataclasses
import hashlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.errors import Argument, ArgumentError, check_choice, shortened
from clesmote_losses.smote.draw_options import DrawOptions
from clesmote_losses.smote.resampling import SmallClass, neighbor_count, wanted_others

_AS_SMOTE = DrawOptions()


@dataclasses.dataclass(frozen=True)
class Sampler:
    """A kind of sampler.

    Attributes:
        type: Gives the class; imbalanced-learn is imported when it is called.
        neighbors: The class's own name for the number of neighbours; ``None`` if it has none.
        repeats_neighbors: Whether the class draws among ``k`` neighbours even where a small class has fewer, so that those
            it has must be repeated.
    """

    type: Callable[[], type]
    neighbors: str | None = "k_neighbors"
    repeats_neighbors: bool = False

    def make(self, k_neighbors: Any, **options: Any) -> Any:
        """Make a sampler with ``k_neighbors`` neighbours, if it has any, and other options of imbalanced-learn."""
        return self.type()(**self.neighbor_options(k_neighbors), **options)

    def neighbor_options(self, k_neighbors: Any) -> dict[str, Any]:
        """Return the option of the class that sets the number of neighbours, if it has one."""
        return {} if self.neighbors is None else {self.neighbors: k_neighbors}


def _from_imbalanced_learn(name: str) -> Callable[[], type]:
    def find() -> type:
        found: type = getattr(import_module("imblearn.over_sampling"), name)
        return found

    return find


SAMPLERS = {
    "smote": Sampler(_from_imbalanced_learn("SMOTE")),
    "borderline": Sampler(_from_imbalanced_learn("BorderlineSMOTE")),
    "adasyn": Sampler(_from_imbalanced_learn("ADASYN"), neighbors="n_neighbors", repeats_neighbors=True),
    "over": Sampler(_from_imbalanced_learn("RandomOverSampler"), neighbors=None),
}


def make_sampler(name: str, k_neighbors: Any, **options: Any) -> Any:
    """Make the sampler of a name in :data:`SAMPLERS`.

    Raises:
        ArgumentError: If there is none of this name.
    """
    if name not in SAMPLERS:
        raise ArgumentError("sampler", Argument("sampler"), f" must be one of {', '.join(SAMPLERS)}; got {name!r}.")
    return SAMPLERS[name].make(k_neighbors, **options)


def kind_of(sampler: Any) -> Sampler:
    """Find the kind of a sampler.

    Raises:
        TypeError: If it is none of :data:`SAMPLERS`; a class derived from one of them is another sampler.
    """
    for kind in SAMPLERS.values():
        if type(sampler) is kind.type():
            return kind
    *names, last = (kind.type().__name__ for kind in SAMPLERS.values())
    raise TypeError(
        f"sampler must be an instance of imbalanced-learn's {', '.join(names)} or {last}; got "
        f"{sampler.__name__ + ' (the class)' if isinstance(sampler, type) else type(sampler).__name__}. SVMSMOTE, KMeansSMOTE and "
        "SMOTENC look at the features themselves, which a plan does not hold."
    )


def sampler_options(
    sampler: Any,
    groups: NDArray[Any],
    small_class: SmallClass = "error",
    draws: DrawOptions = _AS_SMOTE,
    patients: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Return the sampler and its options, and those on draws, as plain values that JSON keeps: what a plan was made with.

    ``k_neighbors`` is ``None`` where no neighbours are searched. With ``partners="any"``, a digest of ``patients`` is added.

    Raises:
        TypeError: If the sampler is none of :data:`SAMPLERS`.
        ValueError: If an option is wrong.
    """
    from imblearn.utils import check_sampling_strategy

    kind = kind_of(sampler)
    check_choice("small_class", small_class, get_args(SmallClass))
    name = type(sampler).__name__
    draws.check_sampler(name)
    options: dict[str, Any] = sampler.get_params(deep=False)
    k = kind.neighbors and options.pop(kind.neighbors)
    options["k_neighbors"] = None if kind.neighbors is None or draws.partners == "any" else neighbor_count(k)
    if options.get("shrinkage") is not None:
        raise ArgumentError(
            "sampler",
            f"{name}(shrinkage={options['shrinkage']!r}) adds noise to the pixels of its copies, which a plan does not hold. Pass "
            "shrinkage=None, or SMOTE.",
        )
    if "m_neighbors" in options:
        options["m_neighbors"] = neighbor_count(options["m_neighbors"])
    if not isinstance(options["random_state"], int | np.integer | None):
        options["random_state"] = repr(options["random_state"])
    elif options["random_state"] is not None:
        options["random_state"] = int(options["random_state"])
    strategy = options["sampling_strategy"]
    if isinstance(strategy, dict) and (unknown := [key for key in strategy if key not in set(groups.tolist())]):
        raise ArgumentError(
            "sampling_strategy",
            "keys of ",
            Argument("sampling_strategy"),
            f" are class indices (strata, where there are any); got {unknown[0]!r}, and there are {shortened(np.unique(groups).tolist())}.",
        )
    n_samples = check_sampling_strategy(options.pop("sampling_strategy"), groups, "over-sampling")
    wanted = [[group.item() if isinstance(group, np.generic) else group, int(n)] for group, n in n_samples.items() if n]
    options = {"sampler": name, **options, "n_samples": wanted, "small_class": small_class, **draws.given()}
    if draws.partners == "any" and patients is not None:
        _, codes = np.unique(patients, return_inverse=True)
        options["groups"] = hashlib.sha256(codes.astype("<i8").tobytes()).hexdigest()
    return options


def plain_sampler(sampler: Any, options: dict[str, Any], groups: NDArray[Any]) -> Any:
    """Return a copy of a sampler that draws the same from an earlier search and can be pickled.

    It holds numbers in place of estimators and of a function as ``sampling_strategy``, which a spawned worker could not get.

    Args:
        sampler: One of :data:`SAMPLERS`.
        options: Those of :func:`sampler_options`.
        groups: Class or stratum of every real sample, shape ``(N,)``.
    """
    from sklearn.base import clone

    given = sampler.get_params(deep=False)
    k = options["k_neighbors"]
    counts = {} if k is None else kind_of(sampler).neighbor_options(k)
    counts |= {name: options[name] for name in ("m_neighbors",) if name in given}
    totals = {group: n + int((groups == group).sum()) for group, n in options["n_samples"]}
    return clone(sampler).set_params(**counts, sampling_strategy=totals)


def check_group_sizes(options: dict[str, Any], groups: NDArray[Any], patients: NDArray[Any] | None = None) -> None:
    """Check that the groups to over-sample have enough samples for their neighbours or partners.

    Args:
        options: As :func:`sampler_options` gives them; its ``n_samples`` are the groups that get samples.
        groups: Class or stratum of every real sample, shape ``(N,)``.
        patients: Group of every real sample, of which no two are neighbours, shape ``(N,)``.

    Raises:
        ArgumentError: If one has too few.
    """
    k, small_class = options["k_neighbors"], options["small_class"]
    is_any = options.get("partners") == "any"
    if k is None and not is_any:
        return
    for group, _ in options["n_samples"]:
        mine = np.flatnonzero(groups == group)
        largest = 1 if patients is None else int(np.unique(patients[mine], return_counts=True)[1].max())
        enough = wanted_others(1 if is_any else k, small_class) + largest
        if len(mine) < enough:
            of_one = f", {largest} of them of one group (groups=)" if largest > 1 else ""
            fewer: list[str | Argument] = [
                "a smaller ",
                Argument("k_neighbors"),
                ", ",
                Argument("small_class", '"shrink_k"'),
                " (takes the neighbours there are), or ",
            ]
            raise ArgumentError(
                "small_class",
                f"class or stratum {group!r} has {len(mine)} sample(s){of_one}; {enough} are needed for ",
                Argument("partners", '"any"') if is_any else Argument("k_neighbors", str(k)),
                " and ",
                Argument("small_class", f'"{small_class}"'),
                ". Use ",
                *([] if is_any or len(mine) <= largest else fewer),  # alone, none has a neighbour
                Argument("small_class", '"duplicate"'),
                " (copies its images).",
            )
