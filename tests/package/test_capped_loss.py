"""The Module of the capped loss: caps of a tracker, flags of the target, counts, and its options."""

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clesmote_losses import CappedSMOTELoss, capped_cross_entropy, cosine_cap, encode_target, euclidean_cap, log_prior
from clesmote_losses.caps import CAPS
from tests.support.loss_batch import WEIGHT, C, N, make_batch, naive


class StubTracker:
    """Embeddings and centroids as given: what the loss asks of a tracker."""

    def take_embeddings(self) -> Tensor:
        return self.embeddings

    def __init__(self, embeddings: Tensor, centroids: Tensor, counts: Tensor) -> None:
        self.embeddings, self.centroids, self.counts = embeddings, centroids, counts

    def centroids_for(self, embeddings: Tensor, labels: Tensor, is_synthetic: Tensor) -> tuple[Tensor, Tensor]:
        return self.centroids, self.counts


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, target (some ignored), flags, caps."""
    return make_batch()


@pytest.fixture
def tracker() -> StubTracker:
    generator = torch.Generator().manual_seed(2)
    centroids = torch.randn(C, 8, generator=generator)
    centroids[4] = torch.nan
    return StubTracker(
        torch.randn(N, 8, generator=generator, requires_grad=True), centroids, torch.tensor([5, 5, 5, 5, 0])
    )


@pytest.mark.parametrize("distance", ["cosine", "euclidean", None])
@pytest.mark.parametrize("gradient", ["stop", "scale"])
def test_module_puts_caps_flags_and_function_together(
    distance: Any, gradient: Any, tracker: StubTracker, batch: tuple[Tensor, ...]
) -> None:
    logits, target, flags, _ = batch
    criterion = CappedSMOTELoss(0.7, tracker=tracker, distance=distance, gradient=gradient, label_smoothing=0.1)
    cap = {
        "cosine": cosine_cap(tracker.embeddings, target, tracker.centroids, 0.7),
        "euclidean": euclidean_cap(tracker.embeddings, target, tracker.centroids, 0.7),
        None: torch.full((N,), 0.7),
    }[distance]
    expected = capped_cross_entropy(logits, target, flags, cap, gradient=gradient, label_smoothing=0.1)
    assert torch.equal(criterion(logits, encode_target(target, flags)), expected)
    assert torch.equal(criterion(logits, target, is_synthetic=flags), expected)
    if distance is not None:
        other = torch.randn(N, 8)
        assert not torch.equal(criterion(logits, encode_target(target, flags), other), expected)


def test_a_cap_registered_at_run_time_is_used_by_the_loss(
    monkeypatch: pytest.MonkeyPatch, tracker: StubTracker, batch: tuple[Tensor, ...]
) -> None:
    def manhattan_cap(embeddings: Tensor, labels: Tensor, centroids: Tensor, beta: float) -> Tensor:
        distance = (embeddings - centroids[labels.clamp(min=0)]).abs().sum(1)
        return (beta / distance).nan_to_num(torch.inf)

    logits, target, flags, _ = batch
    with pytest.raises(ValueError, match=r"distance must be one of \('cosine', 'euclidean', None\); got 'manhattan'"):
        CappedSMOTELoss(tracker=tracker, distance="manhattan")
    monkeypatch.setitem(CAPS, "manhattan", manhattan_cap)
    criterion = CappedSMOTELoss(3.0, tracker=tracker, distance="manhattan")
    cap = manhattan_cap(tracker.embeddings, target, tracker.centroids, 3.0)
    expected = capped_cross_entropy(logits, target, flags, cap)
    assert torch.equal(criterion(logits, encode_target(target, flags)), expected)
    assert criterion.stats["capped"] > 0


def test_a_registered_cap_of_a_wrong_shape_is_refused(
    monkeypatch: pytest.MonkeyPatch, tracker: StubTracker, batch: tuple[Tensor, ...]
) -> None:
    monkeypatch.setitem(CAPS, "column", lambda embeddings, *_: torch.ones(len(embeddings), 1))
    logits, target, flags, _ = batch
    criterion = CappedSMOTELoss(tracker=tracker, distance="column")
    with pytest.raises(ValueError, match=r"cap must be float of shape \(64,\).*got torch.float32 of shape \(64, 1\)"):
        criterion(logits, target, is_synthetic=flags)


def test_stats_count_what_was_capped_since_the_last_reset(tracker: StubTracker, batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, _ = batch
    criterion = CappedSMOTELoss(0.7, tracker=tracker, gradient="scale")
    cap = cosine_cap(tracker.embeddings, target, tracker.centroids, 0.7).detach()
    capped = flags & (F.cross_entropy(logits, target, reduction="none") > cap)
    unknown = flags & (target == 4)
    assert capped.any()
    assert unknown.any()
    for _ in range(2):
        criterion(logits, encode_target(target, flags))
    stats = criterion.stats
    assert stats["synthetic"] == 2 * flags.sum()
    assert stats["capped"] == 2 * capped.sum()
    assert stats["share_capped"] == pytest.approx((capped.sum() / flags.sum()).item())
    assert stats["mean_cap"] == pytest.approx(cap[flags & cap.isfinite()].mean().item())
    assert stats["without_centroid"] == 2 * unknown.sum()
    with pytest.warns(UserWarning, match="no sample of class 4 had a centroid"):
        criterion.reset_stats()
    assert criterion.stats["synthetic"] == 0
    assert stats["synthetic"] > 0  # what was read stays as it was read


@pytest.mark.parametrize("ignore_index", [-100, 1])
@pytest.mark.parametrize("distance", ["cosine", None])
@pytest.mark.parametrize("gradient", ["stop", "scale", "flow"])
def test_capped_oversampled_caps_every_row_of_the_raised_classes(
    distance: Any, gradient: Any, ignore_index: int, tracker: StubTracker, batch: tuple[Tensor, ...]
) -> None:
    logits, target, flags, _ = batch
    if distance is None and gradient == "flow":
        pytest.skip("a constant cap has no gradient")
    target = torch.where(target == -100, ignore_index, target)
    subject = torch.tensor([label in (1, 3) and label != ignore_index for label in target.tolist()])
    options: dict[str, Any] = {
        "gradient": gradient,
        "weight": WEIGHT,
        "label_smoothing": 0.1,
        "ignore_index": ignore_index,
    }
    criterion = CappedSMOTELoss(
        0.4, tracker=tracker, distance=distance, capped="oversampled", warmup_epochs=1, **options
    )
    criterion.set_oversampled_classes([3, 1])
    criterion.set_epoch(1)
    known = target.clamp(min=0)
    cap = torch.full((N,), 0.4) if distance is None else cosine_cap(tracker.embeddings, known, tracker.centroids, 0.4)
    ours, plain = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    expected = capped_cross_entropy(plain, target, subject, cap, **options)
    loss = criterion(ours, target, is_synthetic=flags)
    assert torch.equal(loss, expected)
    assert torch.equal(torch.autograd.grad(loss, ours)[0], torch.autograd.grad(expected, plain)[0])
    full = F.cross_entropy(logits, target, WEIGHT, reduction="none", label_smoothing=0.1, ignore_index=ignore_index)
    capped = subject & (full > cap.detach() * WEIGHT[known])
    assert (capped & ~flags).any()  # real rows too
    assert (flags & ~subject).any()  # and not those of other classes
    stats = criterion.stats
    assert stats["capped"] == capped.sum()
    assert stats["share_capped"] == pytest.approx((capped.sum() / subject.sum()).item())
    assert stats["mean_cap"] == pytest.approx(cap[subject].mean().item())
    assert stats["synthetic"] == flags.sum()
    criterion.set_epoch(0)
    assert torch.equal(
        criterion(logits, target, is_synthetic=flags),
        CappedSMOTELoss(distance=None, **{**options, "gradient": "stop"}).eval()(logits, target),
    )


def test_a_single_logit_has_its_rows_of_the_raised_class_capped() -> None:
    criterion = CappedSMOTELoss(0.5, distance=None, capped="oversampled", reduction="none")
    criterion.set_oversampled_classes([1])
    losses = criterion(torch.tensor([3.0, -3.0, 3.0]), torch.tensor([0, 1, 1]))
    bce = F.binary_cross_entropy_with_logits(torch.tensor([3.0, 3.0]), torch.tensor([0.0, 1.0]), reduction="none")
    torch.testing.assert_close(losses, torch.stack([bce[0], torch.tensor(0.5), bce[1]]))


def test_logits_are_adjusted_in_training_only_and_caps_compare_the_adjusted_loss(batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, _ = batch
    adjustment = log_prior([500, 40, 30, 20, 10], tau=1.5)
    criterion = CappedSMOTELoss(1.0, distance=None, logit_adjustment=adjustment, weight=WEIGHT)
    adjusted = logits + adjustment
    expected = capped_cross_entropy(adjusted, target, flags, torch.ones(N), weight=WEIGHT)
    assert torch.equal(criterion(logits, target, is_synthetic=flags), expected)
    over = [F.cross_entropy(of, target, reduction="none") > 1 for of in (adjusted, logits)]
    assert criterion.stats["capped"] == (over[0] & flags).sum() != (over[1] & flags).sum()
    assert torch.equal(criterion.eval()(logits, target), F.cross_entropy(logits, target, WEIGHT))
    assert criterion.to(torch.float64).logit_adjustment.dtype == torch.float64  # type: ignore[union-attr]


def test_a_single_logit_is_adjusted_by_the_difference_of_the_two() -> None:
    logits, target = torch.tensor([3.0, -1.0, 0.5]), torch.tensor([0, 1, 1])
    criterion = CappedSMOTELoss(distance=None, logit_adjustment=log_prior([90, 10]))
    expected = F.binary_cross_entropy_with_logits(logits + torch.tensor(10 / 90).log(), target.float())
    for shape in ((3,), (3, 1)):
        torch.testing.assert_close(criterion(logits.reshape(shape), target), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_logits_are_adjusted_in_float32(dtype: torch.dtype, batch: tuple[Tensor, ...]) -> None:
    logits, target, _, _ = batch
    half, adjustment = logits.to(dtype), log_prior([500, 40, 30, 20, 10])
    with torch.autocast("cpu", dtype):
        loss = CappedSMOTELoss(distance=None, logit_adjustment=adjustment)(half, target)
    assert torch.equal(loss, F.cross_entropy(half.float() + adjustment, target))


def test_nothing_is_capped_during_warm_up(batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, _ = batch
    criterion = CappedSMOTELoss(0.01, distance=None, warmup_epochs=2)
    encoded = encode_target(target, flags)
    losses = []
    for epoch in range(4):
        criterion.set_epoch(epoch)
        losses.append(criterion(logits, encoded))
    assert torch.equal(losses[0], F.cross_entropy(logits, target))
    assert torch.equal(losses[1], losses[0])
    assert losses[2] < losses[1]
    assert torch.equal(losses[2], losses[3])


def test_the_gradient_of_the_cap_needs_embeddings_with_a_graph(batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, _ = batch
    frozen = StubTracker(torch.randn(N, 8), torch.randn(C, 8), torch.ones(C, dtype=torch.int64))
    criterion = CappedSMOTELoss(0.7, tracker=frozen, gradient="flow", warmup_epochs=1)
    encoded = encode_target(target, flags)
    criterion.set_epoch(0)
    criterion(logits.requires_grad_(), encoded)  # nothing is capped yet, so the backbone may still be frozen
    criterion.set_epoch(1)
    with pytest.raises(ValueError, match=r'gradient="flow" but cap has no graph.*frozen.*"stop"'):
        criterion(logits, encoded)
    with torch.no_grad():
        criterion(logits, encoded)  # no gradient is wanted
    frozen.embeddings.requires_grad_()
    criterion(logits, encoded).backward()
    assert frozen.embeddings.grad is not None
    assert frozen.embeddings.grad.any()


@pytest.mark.parametrize("distance", ["cosine", None])
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_flags_in_the_place_of_embeddings_are_refused(
    distance: Any, mode: bool, tracker: StubTracker, batch: tuple[Tensor, ...]
) -> None:
    logits, target, flags, _ = batch
    criterion = CappedSMOTELoss(tracker=tracker, distance=distance).train(mode)
    given: list[Any] = [flags, flags.long(), flags.float(), flags[:, None], flags.tolist(), flags.numpy()]
    for mistaken in given:
        with pytest.raises(TypeError, match=r"embeddings must be float of shape \(N, D\).*is_synthetic=flags"):
            criterion(logits, target, mistaken)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_under_autocast_caps_and_loss_are_those_of_float32(
    dtype: torch.dtype, tracker: StubTracker, batch: tuple[Tensor, ...]
) -> None:
    logits, target, flags, _ = batch
    half, centroids = logits.to(dtype), tracker.centroids
    with torch.autocast("cpu", dtype):
        loss = CappedSMOTELoss(0.7, tracker=tracker, weight=WEIGHT)(half, encode_target(target, flags))
    cap = cosine_cap(tracker.embeddings, target, centroids, 0.7)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, capped_cross_entropy(half.float(), target, flags, cap, weight=WEIGHT))


@pytest.mark.parametrize("ignore_index", [255, 1])
def test_an_ignored_class_is_ignored_by_the_caps_too(
    ignore_index: int, tracker: StubTracker, batch: tuple[Tensor, ...]
) -> None:
    logits, target, flags, _ = batch
    target = torch.where(target == -100, ignore_index, target)
    flags = flags & (target != ignore_index)
    criterion = CappedSMOTELoss(0.7, tracker=tracker, ignore_index=ignore_index)
    cap = cosine_cap(tracker.embeddings, target.clamp(max=C - 1), tracker.centroids, 0.7)
    expected = capped_cross_entropy(logits, target, flags, cap, ignore_index=ignore_index)
    assert torch.equal(criterion(logits, encode_target(target, flags)), expected)


def test_float64_logits_lose_no_digits(batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, cap = batch
    logits, weight = logits.double(), WEIGHT.double()
    for options in ({}, {"weight": weight}, {"weight": weight, "label_smoothing": 0.1}):
        loss = capped_cross_entropy(logits, target, flags, cap, **options)
        full: dict[str, Any] = {"weight": None, "label_smoothing": 0.0, "ignore_index": -100, "reduction": "mean"}
        assert loss.dtype == torch.float64
        assert loss.item() == pytest.approx(naive(logits, target, flags, cap, **{**full, **options}), rel=1e-12)


def test_in_eval_mode_no_epoch_needs_to_be_known(batch: tuple[Tensor, ...]) -> None:
    logits, target, _, _ = batch
    criterion = CappedSMOTELoss(distance=None, warmup_epochs=1).eval()
    assert torch.equal(criterion(logits, target), F.cross_entropy(logits, target))


def test_in_eval_mode_it_is_cross_entropy_that_knows_encoded_targets(batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, _ = batch
    elsewhere = StubTracker(torch.randn(3, 8), torch.randn(C, 8), torch.ones(C))  # embeddings of another model's batch
    criterion = CappedSMOTELoss(0.01, tracker=elsewhere).eval()
    with pytest.warns(UserWarning, match="synthetic samples came to the loss in evaluation mode"):
        assert torch.equal(criterion(logits, encode_target(target, flags)), F.cross_entropy(logits, target))
    assert criterion.stats["synthetic"] == 0


def test_state_dict_but_for_the_history_and_device_moves_are_those_of_cross_entropy(tracker: StubTracker) -> None:
    ours = CappedSMOTELoss(tracker=tracker, weight=WEIGHT)
    assert list(ours.state_dict()) == [*nn.CrossEntropyLoss(weight=WEIGHT).state_dict(), "_extra_state"]  # the history
    assert ours.to(torch.float64).weight.dtype == torch.float64  # type: ignore[union-attr]
    assert list(ours.parameters()) == []


@pytest.mark.parametrize(
    ("distance", "gradient"),
    [
        ("cosine", "stop"),
        *(
            pytest.param(distance, gradient, marks=pytest.mark.slow)
            for distance, gradient in itertools.product(("cosine", "euclidean", None), ("stop", "scale", "flow"))
            if (distance, gradient) not in (("cosine", "stop"), (None, "flow"))
        ),
    ],
)
def test_module_compiles_into_one_graph(
    distance: Any, gradient: Any, tracker: StubTracker, batch: tuple[Tensor, ...]
) -> None:
    logits, target, flags, _ = batch
    encoded = encode_target(target, flags)
    criterion = CappedSMOTELoss(0.7, tracker=tracker, distance=distance, gradient=gradient)
    torch._dynamo.reset()
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    ours, plain = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss, expected = compiled(ours, encoded), criterion(plain, encoded)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, plain.grad)
    assert criterion.stats["synthetic"] == 2 * flags.sum()


@pytest.mark.slow
def test_the_over_sampled_classes_and_the_adjustment_compile_into_one_graph(batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, _ = batch
    criterion = CappedSMOTELoss(0.7, distance=None, capped="oversampled", logit_adjustment=log_prior([5, 4, 3, 2, 1]))
    torch._dynamo.reset()
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    for classes in ([1], [1], [1, 3]):
        criterion.set_oversampled_classes(classes)
        found = compiled(logits, target, is_synthetic=flags)
        torch.testing.assert_close(found, criterion(logits, target, is_synthetic=flags))
    assert criterion.stats["synthetic"] == 6 * flags.sum()


@pytest.mark.slow
def test_function_compiles_with_inductor(batch: tuple[Tensor, ...]) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(capped_cross_entropy, fullgraph=True)
    torch.testing.assert_close(compiled(*batch), capped_cross_entropy(*batch))
    empty_mean = compiled(batch[0], batch[1], torch.ones(N, dtype=torch.bool), torch.zeros(N))
    assert empty_mean == 0


def test_repr_names_the_options() -> None:
    assert "beta=2.0, distance=None, gradient='stop'" in repr(CappedSMOTELoss(2.0, distance=None))
