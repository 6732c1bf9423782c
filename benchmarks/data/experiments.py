"""Declarations of experiments: which strata make up which class, and how many images of each to train on.

A stratum is a group that is counted on its own: a class, or a sub-condition of the class "abnormal". Where an experiment
has several strata in a class, the imbalance between them is the paper's *intraclass* imbalance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.data.source import Source

AS_IS = "as-is"  # the experiment that takes all images there are
RATIO = 20  # normal images to an abnormal one; images of a majority sub-condition to one of a minority one
KIND_TITLES = {
    "interclass": "Interclass",
    "intraclass-single": "Intraclass, single majority",
    "intraclass-multiple": "Intraclass, multiple majority",
    "both-single": "Inter & intraclass, single majority",
    "both-multiple": "Inter & intraclass, multiple majority",
    "interclass-100": "Interclass, 100 : 1",
    "both-single-100": "Inter & intraclass, single majority, 100 : 1",
}
# The paper's Table 1, of five sub-conditions: normal, each of the majority, each of the minority. It is its Table 2 (20 : 1
# everywhere), rounded.
_TABLE_1 = {
    "interclass": (19624, 196, 196),
    "intraclass-single": (2194, 1759, 87),
    "intraclass-multiple": (3858, 1245, 62),
    "both-single": (19624, 817, 40),
    "both-multiple": (19624, 316, 15),
}
_SUB_CONDITIONS_OF_TABLE_1 = 5
LEAST = 2  # images of a stratum; SMOTE blends two


@dataclass(frozen=True)
class Experiment:
    """An imbalanced task.

    Attributes:
        name: Name on the command line and in the results.
        kind: Experiments of a kind share tuned hyperparameters and are averaged in figures.
        counts: Training images of each stratum.
        classes: The strata of each class; class 0 first.
        draw: Number of the experiment: each draws other images by the same seed, so that results are independent.
        note: Remark for the user.
        label_noise: Share of the training images of each rare stratum that are in truth of the most frequent one; see
            :mod:`benchmarks.data.label_noise`.
        noisy_validation: Have the same share of wrong labels in the validation images.
    """

    name: str
    kind: str
    counts: Mapping[str, int]
    classes: Mapping[str, tuple[str, ...]]
    draw: int = 0
    note: str = ""
    label_noise: float = 0.0
    noisy_validation: bool = False

    @property
    def class_of(self) -> dict[str, int]:
        """Return the class index of each stratum."""
        return {stratum: i for i, strata in enumerate(self.classes.values()) for stratum in strata}

    def raised(self, counts: Mapping[str, int] | None = None) -> dict[str, int]:
        """Return how many images of each stratum over-sampling aims at: classes alike, and strata of a class alike.

        Every stratum of a class is raised to the largest of them, then all of a class together to the largest class, rounded
        up. So SMOTE acts on intraclass imbalance too: where normal and abnormal are equally many, balancing the *classes*
        alone would add nothing.

        Args:
            counts: Images of each stratum, if fewer than declared are there.
        """
        counts = self.counts if counts is None else counts
        largest = {name: max(counts[stratum] for stratum in strata) for name, strata in self.classes.items()}
        total = max(largest[name] * len(strata) for name, strata in self.classes.items())
        return {
            stratum: max(largest[name], -(-total // len(strata)))
            for name, strata in self.classes.items()
            for stratum in strata
        }

    def check(self, source: Source) -> None:
        """Raise a ``ValueError`` if the source cannot give what the experiment declares."""
        available = source.available
        for stratum, count in self.counts.items():
            if stratum not in available:
                raise ValueError(
                    f"no class {stratum!r} among the training images; there are {', '.join(available) or 'none'}."
                )
            if count > available[stratum]:
                raise ValueError(
                    f"{count} training images of class {stratum!r} are wanted; there are {available[stratum]}."
                )
            if count < LEAST:
                raise ValueError(
                    f"class {stratum!r} has {count} training image(s); SMOTE blends two, so {LEAST} are needed."
                )
        if len(self.classes) < 2:
            raise ValueError(f"two classes or more are needed to tell apart; got {', '.join(self.classes) or 'none'}.")


def of_classes(name: str, counts: Mapping[str, int], kind: str | None = None) -> Experiment:
    """Return an experiment whose classes have no sub-conditions."""
    return Experiment(name, kind or name, dict(counts), {stratum: (stratum,) for stratum in counts})


def imbalances(
    normal: str,
    sub_conditions: Sequence[str],
    available: Mapping[str, int],
    *,
    never_majority: str | None = None,
    ratio: int = RATIO,
) -> list[Experiment]:
    """Return the paper's kinds of imbalance between normal and abnormal, and between the sub-conditions of abnormal.

    With five sub-conditions, one of them in no majority, these are its 17 experiments with the counts of its Table 1. Where
    images do not suffice, or with another number of sub-conditions, the ratios of its Table 2 are kept, with as many images
    as there are.

    Where several sub-conditions are the majority, permutation ``i`` takes the candidates from ``i`` on, cyclically; the
    paper does not say which it took.

    Args:
        normal: Stratum of the class "normal".
        sub_conditions: Strata of the class "abnormal".
        available: Number of images of each stratum to train on.
        never_majority: A sub-condition with too few images to be in a majority.
        ratio: Normal images to an abnormal one. Another than the paper's has no intraclass kinds, and is in the names.
    """
    suffix, draw = ("", 0) if ratio == RATIO else (f"-{ratio}", ratio)
    classes = {"normal": (normal,), "abnormal": tuple(sub_conditions)}
    candidates = [stratum for stratum in sub_conditions if stratum != never_majority]
    several = min(3, len(sub_conditions) - 1)
    counts, note = _counts("interclass", normal, sub_conditions, [], available, ratio)
    found = [Experiment(f"interclass{suffix}", f"interclass{suffix}", counts, classes, draw, note)]
    for kind in list(_TABLE_1)[1:]:
        majorities = 1 if kind.endswith("single") else several
        if len(sub_conditions) == 1 or (majorities == 1 and kind.endswith("multiple")):
            continue
        if kind.startswith("intraclass") and suffix:
            continue
        for i, first in enumerate(candidates):
            majority = [candidates[(i + step) % len(candidates)] for step in range(majorities)]
            counts, note = _counts(kind, normal, sub_conditions, majority, available, ratio)
            name = f"{kind}-{first}{suffix}"
            found.append(Experiment(name, f"{kind}{suffix}", counts, classes, draw + len(found), note))
    return found


def _counts(
    kind: str,
    normal: str,
    sub_conditions: Sequence[str],
    majority: Sequence[str],
    available: Mapping[str, int],
    ratio: int,
) -> tuple[dict[str, int], str]:
    """Return the images of each stratum, by the paper's Table 1 or else by its ratios, and a remark."""

    def spread(of_normal: float, of_majority: float, of_minority: float) -> dict[str, float]:
        return {normal: of_normal} | {
            stratum: of_majority if stratum in majority else of_minority for stratum in sub_conditions
        }

    counts, note = spread(*_TABLE_1[kind]), ""
    if (
        ratio != RATIO
        or len(sub_conditions) != _SUB_CONDITIONS_OF_TABLE_1
        or any(count > available[name] for name, count in counts.items())
    ):
        abnormal = RATIO * len(majority) + len(sub_conditions) - len(majority)
        ratios = spread(abnormal if kind.startswith("intraclass") else ratio * abnormal, RATIO, 1)
        factor = min(available[name] / ratio for name, ratio in ratios.items())
        counts = {name: max(LEAST, round(factor * ratio)) for name, ratio in ratios.items()}
        if factor * min(ratios.values()) < LEAST - 0.5:
            note = f"too few images for {RATIO} : 1, since a stratum has {LEAST} at least"
    return {name: int(count) for name, count in counts.items()}, note
