"""The capped loss against its equation, and against torch's cross-entropy where nothing is capped."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clesmote_losses import CappedSMOTELoss, capped_cross_entropy, cosine_cap, encode_target, euclidean_cap
from clesmote_losses.caps import CAPS
from tests.support.gloo import in_two_processes

N, C = 64, 5
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 0.25, 3.0])
OPTIONS = [
    {"weight": weight, "label_smoothing": smoothing, "reduction": reduction, "ignore_index": ignore}
    for weight, smoothing, reduction, ignore in itertools.product(
        (None, WEIGHT), (0.0, 0.1), ("none", "mean", "sum"), (-100, 3)
    )
]


def name(options: dict[str, Any]) -> str:
    return "-".join("weight" if isinstance(value, Tensor) else str(value) for value in options.values())


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
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(N, C, generator=generator)
    target = torch.randint(0, C, (N,), generator=generator)
    flags = torch.rand(N, generator=generator) < 0.5
    target[:4] = -100
    flags[:4] = False
    return logits, target, flags, 3 * torch.rand(N, generator=generator)


def naive(
    logits: Tensor,
    target: Tensor,
    flags: Tensor,
    cap: Tensor,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
    reduction: str,
) -> Any:
    """The equation, row by row, in float64."""
    w = np.ones(logits.shape[1]) if weight is None else weight.double().numpy()
    losses, weights = [], []
    for z, y, s, c in zip(logits.double().numpy(), target.tolist(), flags.tolist(), cap.double().tolist(), strict=True):
        if y == ignore_index:
            losses.append(0.0)
            continue
        ce = np.log(np.exp(z).sum()) - z
        smoothed = (1 - label_smoothing) * w[y] * ce[y] + label_smoothing * (w * ce).mean()
        losses.append(min(smoothed, w[y] * c) if s else smoothed)
        weights.append(w[y])
    return {"none": losses, "sum": sum(losses), "mean": sum(losses) / sum(weights)}[reduction]


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_loss_equals_the_equation_row_by_row(options: dict[str, Any], batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, cap = batch
    if options["ignore_index"] == 3:
        target = target.clamp(min=0)
    loss = capped_cross_entropy(logits, target, flags, cap, **options)
    np.testing.assert_allclose(loss, naive(logits, target, flags, cap, **options), rtol=2e-5, atol=1e-6)
    assert (capped_cross_entropy(logits, target, flags, cap * torch.inf, **options) > loss).any()  # caps did bind


@pytest.mark.parametrize("options", OPTIONS, ids=name)
@pytest.mark.parametrize("case", ["no cap", "nothing synthetic"])
def test_without_caps_value_and_gradient_are_those_of_torch_and_bit_for_bit_without_weight_and_smoothing(
    case: str, options: dict[str, Any], batch: tuple[Tensor, ...]
) -> None:
    logits, target, flags, cap = batch
    if options["ignore_index"] == 3:
        target = target.clamp(min=0)
    if case == "no cap":
        cap = torch.full_like(cap, torch.inf)
    else:
        flags = torch.zeros_like(flags)
    ours, torchs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = capped_cross_entropy(ours, target, flags, cap, **options)
    expected = F.cross_entropy(torchs, target, **options)
    scale = torch.rand_like(loss)
    (loss * scale).sum().backward()
    (expected * scale).sum().backward()
    is_exact = options["weight"] is None and options["label_smoothing"] == 0
    tolerance = {"rtol": 0.0, "atol": 0.0} if is_exact else {"rtol": 5e-7, "atol": 1e-7}
    torch.testing.assert_close(loss, expected, **tolerance)
    torch.testing.assert_close(ours.grad, torchs.grad, **tolerance)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_large_batch_without_caps_has_the_very_bits_of_torch(reduction: Any, dtype: torch.dtype) -> None:
    ours = (3 * torch.randn(5000, C)).to(dtype).requires_grad_()  # so many rows that the order of the sum shows
    torchs = ours.detach().clone().requires_grad_()
    target, flags = torch.randint(0, C, (5000,)), torch.zeros(5000, dtype=torch.bool)
    loss = capped_cross_entropy(ours, target, flags, torch.ones(5000), reduction=reduction)
    expected = F.cross_entropy(torchs, target, reduction=reduction)
    loss.backward()
    expected.backward()
    assert torch.equal(loss, expected)
    assert torch.equal(ours.grad, torchs.grad)  # type: ignore[arg-type]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_exactly_the_capped_rows_have_no_gradient(reduction: Any, smoothing: float, batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, cap = batch
    capped = flags & (F.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing) > cap)
    assert 0 < capped.sum() < flags.sum()
    logits.requires_grad_()
    loss = capped_cross_entropy(logits, target, flags, cap, reduction=reduction, label_smoothing=smoothing)
    loss.sum().backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad.abs().sum(1) == 0, capped | (target == -100))
    uncapped = logits.detach().clone().requires_grad_()
    F.cross_entropy(uncapped, target, reduction="sum", label_smoothing=smoothing).backward()
    divisor = (target != -100).sum() if reduction == "mean" else 1
    torch.testing.assert_close(logits.grad[~capped], uncapped.grad[~capped] / divisor)  # type: ignore[index]


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weight"])
def test_scaled_gradient_is_that_of_cross_entropy_times_cap_over_loss(
    weight: Tensor | None, batch: tuple[Tensor, ...]
) -> None:
    logits, target, flags, cap = batch
    losses = F.cross_entropy(logits, target, weight, reduction="none")
    ceiling = cap if weight is None else cap * weight[target.clamp(min=0)]
    capped = flags & (losses > ceiling)
    assert capped.any()
    scaled, plain = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = capped_cross_entropy(scaled, target, flags, cap, gradient="scale", weight=weight, reduction="none")
    torch.testing.assert_close(loss, torch.where(capped, ceiling, losses))
    loss.sum().backward()
    F.cross_entropy(plain, target, weight, reduction="sum").backward()
    ratio = torch.where(capped, ceiling / losses, 1.0)
    torch.testing.assert_close(scaled.grad, plain.grad * ratio[:, None])  # type: ignore[operator]


def test_a_scaled_gradient_beside_rows_without_cap_is_finite(batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, cap = batch
    cap[::2] = torch.inf  # of classes without centroid
    scaled, stopped = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    capped_cross_entropy(scaled, target, flags, cap, gradient="scale").backward()
    capped_cross_entropy(stopped, target, flags, cap, gradient="stop").backward()
    assert torch.equal(scaled.grad[::2], stopped.grad[::2])  # type: ignore[index]
    assert scaled.grad.isfinite().all()  # type: ignore[union-attr]


@pytest.mark.parametrize("cap_of", [cosine_cap, euclidean_cap])
def test_flowing_gradient_is_that_of_the_cap_and_pushes_away_from_the_centroid(
    cap_of: Any, batch: tuple[Tensor, ...]
) -> None:
    logits, target, flags, _ = batch
    target = target.clamp(min=0)
    embeddings, centroids = torch.randn(N, 8, requires_grad=True), torch.randn(C, 8)
    cap = cap_of(embeddings, target, centroids)
    capped = flags & (F.cross_entropy(logits, target, reduction="none") > cap)
    assert 0 < capped.sum() < flags.sum()
    (gradient,) = torch.autograd.grad(
        capped_cross_entropy(logits, target, flags, cap, gradient="flow", reduction="sum"),
        embeddings,
        retain_graph=True,
    )
    (expected,) = torch.autograd.grad(cap[capped].sum(), embeddings)
    torch.testing.assert_close(gradient, expected)
    farther = cap_of(embeddings - 1e-3 * gradient, target, centroids)  # a step of gradient descent
    assert (farther[capped] < cap[capped]).all()
    stopped = capped_cross_entropy(logits, target, flags, cap, gradient="stop", reduction="sum")
    assert not stopped.requires_grad


def test_raising_a_cap_never_lowers_the_loss(batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, cap = batch
    low = capped_cross_entropy(logits, target, flags, cap, reduction="none")
    high = capped_cross_entropy(logits, target, flags, cap * 1.5, reduction="none")
    assert (high >= low).all()
    assert (high > low).any()


def test_permuting_rows_permutes_losses(batch: tuple[Tensor, ...]) -> None:
    order = torch.randperm(N)
    losses = capped_cross_entropy(*batch, reduction="none")
    assert torch.equal(capped_cross_entropy(*(part[order] for part in batch), reduction="none"), losses[order])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_with_every_row_capped_the_mean_is_that_of_the_caps(smoothing: float, batch: tuple[Tensor, ...]) -> None:
    logits, target, _, _ = batch
    target = target.clamp(min=0)
    logits.requires_grad_()
    cap = torch.full((N,), 1e-6)
    loss = capped_cross_entropy(logits, target, torch.ones(N, dtype=torch.bool), cap, label_smoothing=smoothing)
    assert loss.item() == pytest.approx(1e-6)
    loss.backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("ignored", [False, True])
def test_nothing_to_average_gives_what_torch_gives(reduction: Any, ignored: bool) -> None:
    rows = 3 if ignored else 0
    logits, target = torch.randn(rows, C), torch.full((rows,), -100)
    flags, cap = torch.zeros(rows, dtype=torch.bool), torch.ones(rows)
    loss = capped_cross_entropy(logits, target, flags, cap, reduction=reduction)
    expected = F.cross_entropy(logits, target, reduction=reduction)
    torch.testing.assert_close(loss, expected, equal_nan=True)


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
@pytest.mark.parametrize(
    "options", [{}, {"reduction": "none"}, {"label_smoothing": 0.2}, {"weight": torch.tensor([1.0, 4.0])}]
)
def test_a_single_logit_is_binary_cross_entropy(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    logits, target = 3 * torch.randn(shape), torch.randint(0, 2, (N,))
    flags, cap = torch.rand(N) < 0.5, torch.rand(N)
    z, y = logits.flatten().double(), target.double()
    smoothing, weight = options.get("label_smoothing", 0.0), options.get("weight", torch.ones(2))
    if "weight" not in options:
        soft = y * (1 - smoothing) + smoothing / 2
        losses = F.binary_cross_entropy_with_logits(z, soft, reduction="none")
        expected = torch.where(flags, losses.minimum(cap.double()), losses)
    else:
        losses = F.binary_cross_entropy_with_logits(z, y, reduction="none")
        expected = weight[target] * torch.where(flags, losses.minimum(cap.double()), losses)
    if options.get("reduction") != "none":
        expected = expected.sum() / weight[target].sum()
    loss = capped_cross_entropy(logits, target, flags, cap, **options)
    torch.testing.assert_close(loss, expected.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_under_autocast_the_loss_is_that_of_float32(dtype: torch.dtype, batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, cap = batch
    half = logits.to(dtype)
    with torch.autocast("cpu", dtype):
        loss = capped_cross_entropy(half, target, flags, cap)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, capped_cross_entropy(half.float(), target, flags, cap))


def test_logits_in_half_precision_give_the_dtype_that_torch_gives(batch: tuple[Tensor, ...]) -> None:
    logits, target, flags, cap = batch
    half = logits.bfloat16()
    for reduction in ("none", "mean", "sum"):
        loss = capped_cross_entropy(half, target, flags, cap, reduction=reduction)  # type: ignore[arg-type]
        assert loss.dtype == F.cross_entropy(half, target, reduction=reduction).dtype


@pytest.mark.parametrize("gradient", ["stop", "scale"])
def test_a_capped_row_with_an_infinite_loss_costs_its_cap_and_has_no_gradient(gradient: Any) -> None:
    logits = torch.tensor([[-1e38, 3e38], [0.0, 1.0]], requires_grad=True)
    flags = torch.tensor([True, False])
    loss = capped_cross_entropy(logits, torch.tensor([0, 0]), flags, torch.ones(2), gradient=gradient)
    loss.backward()
    expected = (1 + F.cross_entropy(logits.detach()[1:], torch.tensor([0]))) / 2
    torch.testing.assert_close(loss.detach(), expected)
    assert logits.grad is not None
    assert logits.grad[0].eq(0).all()
    assert logits.grad[1].isfinite().all()


def test_gradient_equals_finite_differences() -> None:  # of "stop"; the others have by design another one
    torch.manual_seed(1)
    logits = torch.randn(12, C, dtype=torch.float64, requires_grad=True)
    target, flags = torch.randint(0, C, (12,)), torch.rand(12) < 0.6
    cap = torch.rand(12) * 2
    assert torch.autograd.gradcheck(lambda z: capped_cross_entropy(z, target, flags, cap), logits)


# --- the Module


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
    criterion = CappedSMOTELoss(0.7, tracker=tracker)
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
    criterion.reset_stats()
    assert criterion.stats["synthetic"] == 0
    assert stats["synthetic"] > 0  # what was read stays as it was read


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
    assert torch.equal(criterion(logits, encode_target(target, flags)), F.cross_entropy(logits, target))
    assert criterion.stats["synthetic"] == 0


def test_state_dict_and_device_moves_are_those_of_cross_entropy(tracker: StubTracker) -> None:
    ours = CappedSMOTELoss(tracker=tracker, weight=WEIGHT)
    assert list(ours.state_dict()) == list(nn.CrossEntropyLoss(weight=WEIGHT).state_dict())
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
def test_function_compiles_with_inductor(batch: tuple[Tensor, ...]) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(capped_cross_entropy, fullgraph=True)
    torch.testing.assert_close(compiled(*batch), capped_cross_entropy(*batch))
    empty_mean = compiled(batch[0], batch[1], torch.ones(N, dtype=torch.bool), torch.zeros(N))
    assert empty_mean == 0


def test_repr_names_the_options() -> None:
    assert "beta=2.0, distance=None, gradient='stop'" in repr(CappedSMOTELoss(2.0, distance=None))


def counts_of_rank(rank):
    criterion = CappedSMOTELoss(beta=0.1, distance=None)
    synthetic = torch.tensor([False, True, True])
    criterion(torch.zeros(3, 2), encode_target(torch.tensor([0, 1, 1]), synthetic & (torch.arange(3) <= rank + 1)))
    own = criterion.stats["synthetic"].item()
    criterion.all_reduce_stats()
    return own, {name: float(value) for name, value in criterion.stats.items()}


def test_counts_are_added_up_over_the_ranks(tmp_path):
    (own, total), (other, other_total) = in_two_processes(counts_of_rank, tmp_path)
    assert (own, other) == (1, 2)
    assert total == other_total
    assert (total["synthetic"], total["capped"], total["mean_cap"]) == (3, 3, pytest.approx(0.1))
