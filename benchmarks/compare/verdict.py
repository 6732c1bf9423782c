"""The rules by which differences to plain training become a verdict in words. All of them are in this file.

- Methods are compared with plain training in pairs of the same split. Splits share training images, so a difference varies
  less from split to split than it would on new data. The variance is corrected for that (Nadeau and Bengio 2003).
- Two measures are judged, AUROC (are images ranked better) and balanced accuracy at the fitted threshold (are they told
  apart better). The p of each measure are corrected for the number of methods by Holm. Where nothing differs, some method
  "helps" by chance in 2.5 % of the comparisons for each measure, so in 5 % at most.
- A method helps if it is better in a judged measure (p < .05) and worse in none; it hurts if it is the other way round.
- Where nothing is better, plain training is kept. If an interval leaves room for a gain of .05, the verdict says that more
  splits may still show one, and which method is ahead.
- AUPRC and the worst class's recall are shown with their intervals and not judged.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit  # Student's t and its inverse

PLAIN = "none"  # the method that all others are compared with
THRESHOLD = "threshold"  # plain training at the fitted threshold, against the class with the largest score
JUDGED = {"auroc": "AUROC", "balanced_accuracy": "balanced accuracy"}
LEAST_SPLITS = 3
_ALPHA = 0.05
_BLIND = 0.4  # a smallest difference that can be seen is no smallest difference from here on
_WORTH = 0.05  # a gain in a judged measure that would matter to a user


def corrected_t(gaps: NDArray[np.float64], test_share: float) -> tuple[float, float, float, float]:
    """Compute the corrected resampled t-test of differences (Nadeau and Bengio 2003).

    .. math:: t = \\bar d / \\sqrt{(1/J + n_\\text{test}/n_\\text{train}) s^2}, \\quad J - 1 \\text{ degrees of freedom}

    Args:
        gaps: Difference in each split, shape ``(J,)``.
        test_share: Number of test images over that of training images.

    Returns:
        Mean, the two ends of its 95 % interval, cut at -1 and 1, and p. Without variance p is 1.
    """
    count, mean = len(gaps), float(np.mean(gaps))
    error = float(np.sqrt((1 / count + test_share) * np.var(gaps, ddof=1)))
    if np.ptp(gaps) < 1e-12:
        return mean, mean, mean, 1.0
    reach = float(stdtrit(count - 1, 1 - _ALPHA / 2)) * error
    return mean, max(mean - reach, -1.0), min(mean + reach, 1.0), float(2 * stdtr(count - 1, -abs(mean) / error))


def differences(results: pd.DataFrame, test_share: float) -> pd.DataFrame:
    """Compare each method with plain training, and plain training with itself without the fitted threshold.

    Args:
        results: One row for each run, with the columns ``split``, ``method``, those of
            :data:`benchmarks.compare.scores.MEASURES` and ``plain_balanced_accuracy``. Two splits or more.
        test_share: As in :func:`corrected_t`.

    Returns:
        One row for each method and measure. Columns: ``method``, ``measure``, ``mean``, ``low``, ``high``, and ``p``, which is
        corrected over the methods of a measure.
    """
    by_split = {str(name): runs.sort_values("split") for name, runs in results.groupby("method", sort=False)}
    plain = by_split[PLAIN]
    rows = []
    for measure in results.columns.drop(["split", "method", "plain_balanced_accuracy"]):
        before = plain[measure].to_numpy()
        gaps = {name: runs[measure].to_numpy() - before for name, runs in by_split.items() if name != PLAIN}
        if measure == "balanced_accuracy":
            gaps[THRESHOLD] = before - plain["plain_balanced_accuracy"].to_numpy()
        tests = {name: corrected_t(gap, test_share) for name, gap in gaps.items()}
        corrected = _holm([test[3] for test in tests.values()])
        rows += [(name, measure, *test[:3], p) for (name, test), p in zip(tests.items(), corrected, strict=True)]
    return pd.DataFrame(rows, columns=["method", "measure", "mean", "low", "high", "p"])


def _holm(p: Sequence[float]) -> NDArray[np.float64]:
    """Correct p for their number by Holm. statsmodels does it too, and collects garbage for a third of a second each time."""
    order = np.argsort(p)
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return corrected


def classify_methods(found: pd.DataFrame) -> dict[str, str]:
    """Return ``"helps"``, ``"hurts"``, ``"trades"`` (one measure for the other) or ``"same"`` for each method."""
    judged = found[found["measure"].isin(list(JUDGED))]
    verdicts = {}
    for method, rows in judged.groupby("method", sort=False):
        is_clear = rows["p"] < _ALPHA
        better, worse = (is_clear & (rows["mean"] > 0)).any(), (is_clear & (rows["mean"] < 0)).any()
        verdicts[str(method)] = {(1, 0): "helps", (0, 1): "hurts", (1, 1): "trades"}.get(
            (int(better), int(worse)), "same"
        )
    return verdicts


def verdict(results: pd.DataFrame, test_share: float, titles: Mapping[str, str]) -> list[str]:
    """Say in words what the comparison shows, the most important sentence first.

    Args:
        results: As in :func:`differences`.
        test_share: As in :func:`corrected_t`.
        titles: Title of each method.
    """
    found, splits = differences(results, test_share), results["split"].nunique()
    kinds = classify_methods(found)
    numbers = {method: _numbers(rows) for method, rows in found.groupby("method", sort=False)}
    gain = found[found["measure"].isin(list(JUDGED))].groupby("method")["mean"].sum()
    of_kind = {
        kind: [method for method, own in kinds.items() if own == kind and method != THRESHOLD]
        for kind in ("helps", "trades", "hurts", "same")
    }
    helping = sorted(of_kind["helps"], key=lambda method: -gain[method])
    sentences = []
    if helping:
        sentences.append(f"{titles[helping[0]]} helps: {numbers[helping[0]]}.")
        sentences += [f"{titles[method]} helps too: {numbers[method]}." for method in helping[1:]]
    else:
        harm = of_kind["hurts"] or of_kind["trades"]
        nothing = f"Nothing {'is better than' if harm else 'differs from'} plain training beyond chance"
        judged = found[found["measure"].isin(list(JUDGED)) & found["method"].isin(of_kind["same"])]
        if (judged["high"] > _WORTH).any():
            ahead = max(of_kind["same"], key=lambda method: gain[method])
            lead = f" Ahead: {titles[ahead]}, {numbers[ahead]}." if gain[ahead] > 0 else ""
            sentences.append(f"{nothing} so far: keep it plain, until more splits show otherwise.{lead}")
        else:
            sentences.append(f"{nothing}: keep it plain.")
    sentences += [f"{titles[m]} gives one measure for the other: {numbers[m]}." for m in of_kind["trades"]]
    sentences += [f"{titles[method]} hurts: {numbers[method]}." for method in of_kind["hurts"]]
    if helping and of_kind["same"]:
        sentences.append(f"No difference beyond chance: {', '.join(titles[method] for method in of_kind['same'])}.")
    sentences.append(_threshold_sentence(results, found, kinds[THRESHOLD]))
    sentences.append(_power_sentence(found, splits))
    return sentences


def _threshold_sentence(results: pd.DataFrame, found: pd.DataFrame, kind: str) -> str:
    """Say what the fitted threshold alone gives."""
    plain = results[results["method"] == PLAIN]
    before, after = plain["plain_balanced_accuracy"].mean(), plain["balanced_accuracy"].mean()
    (row,) = found[(found["method"] == THRESHOLD) & (found["measure"] == "balanced_accuracy")].to_dict("records")
    numbers = (
        f"balanced accuracy {before:.3f} -> {after:.3f} ({row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}])"
    )
    if kind == "helps":
        return f"Whatever you train, fit the threshold on validation images: for plain training {numbers}."
    if kind == "hurts":
        return f"The fitted threshold hurts plain training: {numbers}."
    return f"Fitting the threshold changes plain training by no more than chance: {numbers}."


def _power_sentence(found: pd.DataFrame, splits: int) -> str:
    """Say which differences the comparison can see at all."""
    seen = {}
    for measure, title in JUDGED.items():
        rows = found[found["measure"] == measure]
        single, corrected = (stdtrit(splits - 1, 1 - alpha / 2) for alpha in (_ALPHA, _ALPHA / len(rows)))
        seen[title] = ((rows["high"] - rows["low"]) / 2).median() * corrected / single
    more = " More splits see more: give a larger --budget." if splits < 2 * LEAST_SPLITS else ""
    if max(seen.values()) > _BLIND:
        return f"{splits} splits are too few to tell any but the largest differences from chance.{more}"
    reaches = " or ".join(f"{reach:.3f} in {title}" for title, reach in seen.items())
    return f"With {splits} splits, a single difference under about {reaches} cannot be told from chance.{more}"


def _numbers(rows: pd.DataFrame) -> str:
    """Write the differences in the judged measures with their intervals."""
    texts = [
        f"{JUDGED[row['measure']]} {row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        for row in rows.to_dict("records")
        if row["measure"] in JUDGED and not row["low"] == row["high"] == 0  # the same in every split
    ]
    return ", ".join(texts)
