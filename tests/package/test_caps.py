"""Caps by distance to the class centroid."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from clesmote_losses import cosine_cap, euclidean_cap

Cap = Callable[..., Tensor]
BOTH = pytest.mark.parametrize("cap", [cosine_cap, euclidean_cap])


def naive(cap: Cap, embeddings: Tensor, labels: Tensor, centroids: Tensor, beta: float) -> list[float]:
    rows = []
    for e, y in zip(embeddings.double().numpy(), labels.tolist(), strict=True):
        mu = centroids[y].double().numpy()
        if cap is cosine_cap:
            distance = 1 - sum(e * mu) / math.sqrt(sum(e * e)) / math.sqrt(sum(mu * mu))
        else:
            distance = math.sqrt(sum((e - mu) ** 2))
        rows.append(beta / distance)
    return rows


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(50, 16, generator=generator),
        torch.randint(0, 4, (50,), generator=generator),
        torch.randn(4, 16, generator=generator),
    )


@BOTH
@pytest.mark.parametrize("beta", [0.1, 1.0, 7.0])
def test_cap_equals_the_equation_row_by_row(cap: Cap, beta: float, batch: tuple[Tensor, ...]) -> None:
    np.testing.assert_allclose(cap(*batch, beta), naive(cap, *batch, beta), rtol=1e-5)  # type: ignore[arg-type]


@BOTH
def test_at_distance_zero_there_is_no_cap_and_no_nan_gradient(cap: Cap) -> None:
    centroids = torch.randn(2, 8)
    embeddings = centroids[[0, 1, 0]].clone()
    embeddings[2] += 1.0
    embeddings.requires_grad_()
    caps = cap(embeddings, torch.tensor([0, 1, 0]), centroids)
    assert caps[:2].isinf().all()
    assert caps[2].isfinite()
    caps[2].backward()
    assert embeddings.grad is not None
    assert embeddings.grad[:2].eq(0).all()
    assert embeddings.grad.isfinite().all()


@BOTH
def test_an_unknown_centroid_gives_no_cap_and_no_nan_gradient(cap: Cap) -> None:
    centroids = torch.randn(3, 8)
    centroids[1] = torch.nan
    embeddings = torch.randn(5, 8, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 1, -100])
    with torch.autograd.set_detect_anomaly(True):  # nor a NaN on the way, which would end a search for another one
        caps = cap(embeddings, labels, centroids)
        caps[caps.isfinite()].sum().backward()
    assert caps.isinf().tolist() == [False, True, False, True, True]
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()
    assert embeddings.grad.ne(0).any(1).tolist() == [True, False, True, False, False]


@BOTH
@pytest.mark.parametrize("classes", [2, 9])  # fewer and more than rows
def test_centroids_may_have_a_gradient_of_their_own(cap: Cap, classes: int) -> None:
    embeddings, labels = torch.randn(5, 8), torch.tensor([0, 1, 1, 0, 1])
    centroids = torch.randn(classes, 8, requires_grad=True)
    caps = cap(embeddings, labels, centroids)
    torch.testing.assert_close(caps, cap(embeddings, labels, centroids.detach()))
    caps.sum().backward()
    assert centroids.grad is not None
    assert centroids.grad.ne(0).any(1).tolist() == [True] * 2 + [False] * (classes - 2)


def test_the_cosine_cap_is_never_below_half_of_beta_and_does_not_see_length(batch: tuple[Tensor, ...]) -> None:
    embeddings, labels, centroids = batch
    caps = cosine_cap(embeddings, labels, centroids, 3.0)
    assert caps.min() >= 1.5
    opposite = cosine_cap(-centroids, torch.arange(4), centroids, 3.0)
    torch.testing.assert_close(opposite, torch.full((4,), 1.5))
    torch.testing.assert_close(cosine_cap(embeddings * 9, labels, centroids / 5, 3.0), caps)


@BOTH
def test_permuting_rows_permutes_caps(cap: Cap, batch: tuple[Tensor, ...]) -> None:
    embeddings, labels, centroids = batch
    order = torch.randperm(50)
    assert torch.equal(cap(embeddings[order], labels[order], centroids), cap(embeddings, labels, centroids)[order])


@BOTH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_embeddings_are_used_in_float32(cap: Cap, dtype: torch.dtype, batch: tuple[Tensor, ...]) -> None:
    embeddings, labels, centroids = batch
    caps = cap(embeddings.to(dtype), labels, centroids)
    assert caps.dtype == torch.float32
    assert torch.equal(caps, cap(embeddings.to(dtype).float(), labels, centroids))


@BOTH
def test_an_empty_batch_has_no_caps(cap: Cap) -> None:
    assert cap(torch.empty(0, 4), torch.empty(0, dtype=torch.long), torch.randn(2, 4)).shape == (0,)


@BOTH
@pytest.mark.parametrize("value", [0.0, -0.0, 1e-41, -1e-41], ids=["0", "-0", "subnormal", "negative subnormal"])
@pytest.mark.parametrize("requires_grad", [True, False])
def test_an_embedding_without_length_has_distance_one_or_the_length_of_the_centroid(
    cap: Cap, value: float, requires_grad: bool
) -> None:
    embeddings = torch.full((2, 4), value, requires_grad=requires_grad)
    caps = cap(embeddings, torch.tensor([0, 1]), torch.tensor([[2.0] * 4, [-2.0] * 4]), 3.0)
    torch.testing.assert_close(caps.detach(), torch.full((2,), 3.0 if cap is cosine_cap else 3.0 / 4.0))
    if requires_grad:
        with torch.autograd.set_detect_anomaly(True):
            caps.sum().backward()
        assert embeddings.grad is not None
        assert embeddings.grad.isfinite().all()


@BOTH
def test_a_zero_centroid_is_a_known_one(cap: Cap) -> None:
    caps = cap(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([0, 0]), torch.zeros(1, 2), 10.0)
    assert caps.tolist() == ([10.0, 10.0] if cap is cosine_cap else [2.0, math.inf])


@BOTH
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_caps_have_the_digits_of_float32_whatever_the_scale(cap: Cap, scale: float) -> None:
    embeddings, centroids = scale * torch.randn(200, 512), scale * torch.randn(3, 512)
    labels = torch.arange(200) % 3
    # the cosine distance is a difference of numbers near 1
    np.testing.assert_allclose(
        cap(embeddings, labels, centroids), naive(cap, embeddings, labels, centroids, 1.0), rtol=2e-6
    )
