"""Which samples become anchors, positives and negatives."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from clesmote_losses.triplet_sampling import TripletBatch, draw_batches

LABELS = np.repeat([0, 1, 2, 1, 2], [60, 9, 5, 40, 30])
SYNTHETIC = np.arange(len(LABELS)) >= 74


def draw(
    labels: NDArray[np.int64] = LABELS, synthetic: NDArray[np.bool_] = SYNTHETIC, **changes: Any
) -> list[TripletBatch]:
    options: dict[str, Any] = {"anchors": "all", "sampling": "dataset", "batch_size": 16, "seed": [0, 0]}
    return draw_batches(labels, synthetic, **{**options, **changes})


def parts(batches: list[TripletBatch]) -> tuple[NDArray[np.int64], ...]:
    """Indices of anchors, positives and negatives."""
    return tuple(np.concatenate([batch.indices[batch[part]] for batch in batches]) for part in (1, 2, 3))


@pytest.mark.parametrize("sampling", ["dataset", "batch"])
@pytest.mark.parametrize("anchors", ["all", "real"])
def test_positives_and_negatives_are_real_and_of_the_right_class(sampling: Any, anchors: Any) -> None:
    a, p, n = parts(draw(sampling=sampling, anchors=anchors))
    assert not SYNTHETIC[p].any()
    assert not SYNTHETIC[n].any()
    assert (LABELS[p] == LABELS[a]).all()
    assert (LABELS[n] != LABELS[a]).all()
    assert (p != a).all()
    assert SYNTHETIC[a].any() == (anchors == "all")


@pytest.mark.parametrize("sampling", ["dataset", "batch"])
@pytest.mark.parametrize("anchors", ["all", "real"])
def test_each_sample_is_an_anchor_once_an_epoch(sampling: Any, anchors: Any) -> None:
    a, _, _ = parts(draw(sampling=sampling, anchors=anchors))
    assert sorted(a) == list(range(len(LABELS) if anchors == "all" else 74))


def test_over_the_data_set_every_allowed_sample_is_drawn_equally_often() -> None:
    labels, synthetic = np.array([0, 0, 0, 1, 1, 2, 0]), np.array([False] * 6 + [True])
    positives, negatives = Counter(), Counter()  # type: ignore[var-annotated]
    for seed in range(6000):
        (batch,) = draw(labels, synthetic, seed=[seed])
        for a, p, n in zip(*parts([batch]), strict=True):
            positives[a, p] += 1
            negatives[a, n] += 1
    allowed = {(a, p) for a in range(7) for p in range(6) if labels[a] == labels[p] and a != p} | {(5, 5)}
    assert set(positives) == allowed  # a class of one real sample has only itself
    for counts, choices in ((positives, {0: 2, 3: 1, 6: 3}), (negatives, {0: 3, 3: 4, 5: 5})):
        for anchor, number in choices.items():
            drawn = [count for (a, _), count in counts.items() if a == anchor]
            assert len(drawn) == number
            np.testing.assert_allclose(drawn, 6000 / number, rtol=0.1)


def test_three_images_an_anchor_over_the_data_set_and_about_one_in_the_batch() -> None:
    images = {s: sum(len(b.indices) for b in draw(sampling=s, batch_size=48)) for s in ("dataset", "batch")}
    assert images["dataset"] == 3 * len(LABELS)
    assert images["batch"] < 1.1 * len(LABELS)


def test_at_a_hundred_to_one_rare_anchors_still_find_positives_in_their_batch() -> None:
    labels, synthetic = np.repeat([0, 1, 1], [5000, 50, 4950]), np.arange(10_000) >= 5050
    batches = draw(labels, synthetic, sampling="batch", batch_size=64)
    a, _, _ = parts(batches)
    assert len(a) == 10_000
    assert sum(len(b.indices) for b in batches) < 1.05 * 10_000


def test_a_batch_of_one_class_gets_a_negative() -> None:
    labels, synthetic = np.repeat([0, 1], [40, 2]), np.zeros(42, dtype=bool)
    for batch in draw(labels, synthetic, sampling="batch", batch_size=4):
        assert len(batch.anchors) == 4 or len(batch.indices) <= 6
        assert len(set(labels[batch.indices])) == 2


def test_the_only_real_sample_of_its_class_is_no_anchor_in_the_batch() -> None:
    labels, synthetic = np.array([0, 0, 0, 1]), np.zeros(4, dtype=bool)
    a, p, _ = parts(draw(labels, synthetic, sampling="batch"))
    assert sorted(a) == [0, 1, 2]
    assert 3 not in p


@pytest.mark.parametrize("sampling", ["dataset", "batch"])
def test_ranks_share_the_anchors_equally_and_the_seed_decides_all(sampling: Any) -> None:
    shares = [parts(draw(sampling=sampling, rank=rank, world_size=2))[0] for rank in (0, 1)]
    assert len(shares[0]) == len(shares[1]) == len(LABELS) // 2
    assert not set(shares[0]) & set(shares[1])
    once, again, other = (parts(draw(sampling=sampling, seed=[3, epoch])) for epoch in (1, 1, 2))
    assert all(map(np.array_equal, once, again))
    assert not np.array_equal(once[0], other[0])


def test_one_class_has_no_negatives() -> None:
    with pytest.raises(ValueError, match="at least two classes"):
        draw(np.zeros(5, dtype=np.int64), np.zeros(5, dtype=bool))


@pytest.mark.parametrize(("option", "value"), [("anchors", "fake"), ("sampling", "epoch")])
def test_an_unknown_option_is_refused(option: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be one of .*; got '{value}'"):
        draw(**{option: value})


@pytest.mark.parametrize("sampling", ["dataset", "batch"])
def test_a_copy_that_stays_real_is_an_anchor_and_makes_no_pair_with_its_image(sampling: Any) -> None:
    source = np.arange(len(LABELS))
    source[74:114], source[114:] = np.arange(40) % 9 + 60, np.arange(30) % 5 + 69  # of class 1 and 2
    synthetic = np.zeros(len(LABELS), dtype=bool)
    for seed in range(20):
        a, p, n = parts(draw(synthetic=synthetic, sampling=sampling, source=source, seed=[seed]))
        assert sorted(a) == list(range(len(LABELS)))
        assert (source[a] != source[p]).all()
        assert (LABELS[a] == LABELS[p]).all()
        assert (LABELS[a] != LABELS[n]).all()
        assert sampling == "batch" or max(p.max(), n.max()) < 74  # each image as often as any other
