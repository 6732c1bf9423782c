"""The capped loss against its equation, and against torch's cross-entropy where nothing is capped."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from clesmote_losses import capped_cross_entropy, cosine_cap, euclidean_cap
from tests.support.loss_batch import WEIGHT, C, N, make_batch, naive

OPTIONS = [
    {"weight": weight, "label_smoothing": smoothing, "reduction": reduction, "ignore_index": ignore}
    for weight, smoothing, reduction, ignore in itertools.product(
        (None, WEIGHT), (0.0, 0.1), ("none", "mean", "sum"), (-100, 3)
    )
]


def name(options: dict[str, Any]) -> str:
    return "-".join("weight" if isinstance(value, Tensor) else str(value) for value in options.values())


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, target (some ignored), flags, caps."""
    return make_batch()


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


@pytest.mark.parametrize(("smoothing", "expected"), [(0.0, 0.1), (0.2, 0.1157)])
def test_a_class_of_weight_0_costs_nothing_but_smoothing_and_its_gradient_is_finite(
    smoothing: float, expected: float
) -> None:
    target, flags, cap = torch.tensor([0, 0, 1]), torch.tensor([True, True, False]), torch.full((3,), 0.1)
    logits, weight = torch.tensor([[0.0, 3.0], [0.0, 3.0], [1.0, 0.0]]), torch.tensor([1.0, 0.0])
    options: dict[str, Any] = {"weight": weight, "label_smoothing": smoothing}
    for gradient in ("stop", "scale"):
        scored = logits.clone().requires_grad_()
        loss = capped_cross_entropy(scored, target, flags, cap, gradient=gradient, **options)  # type: ignore[arg-type]
        loss.backward()
        by_hand = naive(logits, target, flags, cap, ignore_index=-100, reduction="mean", **options)
        assert loss.item() == pytest.approx(by_hand, rel=1e-6)
        assert loss.item() == pytest.approx(expected, abs=5e-5)
        assert scored.grad.isfinite().all()  # type: ignore[union-attr]
        assert (scored.grad[2] == 0).all() == (smoothing == 0)  # type: ignore[index]


CASES = ["some capped", "all capped", "no cap", "unknown classes", "at the centroid", "all ignored", "empty"]


@pytest.mark.parametrize("gradient", ["stop", "scale", "flow"])
@pytest.mark.parametrize("case", CASES)
def test_no_backward_makes_a_nan_for_anomaly_mode_to_find(case: str, gradient: Any) -> None:
    torch.manual_seed(0)
    rows = 0 if case == "empty" else 12
    layer, embeddings, centroids = torch.nn.Linear(6, C), torch.randn(rows, 6), torch.randn(C, 6)
    target = torch.arange(rows) % C
    flags = torch.arange(rows) % 2 == 0
    if case == "all capped":
        flags |= True
    elif case == "unknown classes":
        centroids[1:] = torch.nan
    elif case == "no cap":
        flags &= target != 1  # its weight is 0, and so is its cap
    elif case == "at the centroid":
        embeddings[:6] = centroids[target[:6]]
    elif case == "all ignored":
        target, flags = torch.full((rows,), -100), torch.zeros(rows, dtype=torch.bool)
    embeddings.requires_grad_()
    beta = {"all capped": 1e-3, "no cap": 1e9}.get(case, 0.5)
    for cap_of, weight, smoothing, reduction in itertools.product(
        (cosine_cap, euclidean_cap), (None, torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0])), (0.0, 0.2), ("mean", "none")
    ):
        options: dict[str, Any] = {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}
        with torch.autograd.set_detect_anomaly(True):
            logits, cap = 4 * layer(embeddings), cap_of(embeddings, target, centroids, beta)
            loss = capped_cross_entropy(logits, target, flags, cap, gradient=gradient, **options)
            loss.sum().backward()
        assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())  # type: ignore[union-attr]
        if case in ("no cap", "all ignored", "empty"):  # NaN where torch's is NaN
            expected = F.cross_entropy(logits, target, **options)
            torch.testing.assert_close(loss, expected, equal_nan=True)
        else:
            assert loss.isfinite().all()


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
