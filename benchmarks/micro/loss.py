"""The capped loss beside torch's cross-entropy and beside the paper's Eq. 2 as one would write it down."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.micro.measure import Benchmark, Measurement, Target, Work, take_turns
from clesmote_losses import CappedSMOTELoss, encode_target

_SHAPES = (
    (64, 2, 2048),
    (256, 10, 2048),
    (256, 1000, 2048),
    (1024, 10, 512),
)  # samples, classes, width of the embedding


class FixedTracker:
    """Embeddings and centroids that were there before: the loss alone is measured."""

    def __init__(self, embeddings: Tensor, centroids: Tensor) -> None:
        self.embeddings, self.centroids = embeddings, centroids
        self.counts = torch.ones(len(centroids), dtype=torch.int64, device=centroids.device)

    def take_embeddings(self) -> Tensor:
        """Return the embeddings of the batch."""
        return self.embeddings

    def centroids_for(self, embeddings: Tensor, labels: Tensor, is_synthetic: Tensor) -> tuple[Tensor, Tensor]:
        """Return the centroids that were given."""
        return self.centroids, self.counts


def plain_capped_loss(
    logits: Tensor, labels: Tensor, is_synthetic: Tensor, embeddings: Tensor, centroids: Tensor, beta: float = 1.0
) -> Tensor:
    """Compute Eq. 2 as it stands, with torch's functions."""
    loss = F.cross_entropy(logits, labels, reduction="none")
    cap = beta / (1 - F.cosine_similarity(embeddings, centroids[labels]))
    return torch.where(is_synthetic, torch.minimum(loss, cap), loss).mean()


def loss(shapes: Sequence[tuple[int, int, int]] = _SHAPES, device: str = "cpu") -> Iterator[Measurement]:
    """Time forward and backward of the loss alone, beside cross-entropy and Eq. 2 as written in the paper."""
    for samples, classes, width in shapes:
        values = take_turns(contestants(samples, classes, width, device), repeats=41, warm_up=20)
        case = f"N {samples}, C {classes}, D {width}" + (f", {device}" if device != "cpu" else "")
        yield Measurement(case, "time", "s", values)
        base = values["CrossEntropyLoss"]
        extra = {
            name: [x - y for x, y in zip(row, base, strict=True)] for name, row in values.items() if row is not base
        }
        yield Measurement(case, "time beyond CrossEntropyLoss", "s", extra, Target(0.5, "Eq. 2 as it stands"))


def contestants(samples: int, classes: int, width: int, device: str = "cpu") -> dict[str, Work]:
    """Make forward and backward of each loss on the same batch."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(samples, classes, generator=generator).to(device).requires_grad_()
    embeddings = torch.rand(samples, width, generator=generator).to(device).requires_grad_()
    centroids = torch.rand(classes, width, generator=generator).to(device)
    labels = torch.randint(classes, (samples,), generator=generator).to(device)
    is_synthetic = (torch.rand(samples, generator=generator) < 0.5).to(device)
    target = encode_target(labels, is_synthetic)
    capped, plain = CappedSMOTELoss(tracker=FixedTracker(embeddings, centroids)).to(device), nn.CrossEntropyLoss()

    def backward(loss: Tensor) -> None:
        loss.backward()
        logits.grad = embeddings.grad = None

    return {
        "CappedSMOTELoss": lambda: backward(capped(logits, target)),
        "Eq. 2 as it stands": lambda: backward(plain_capped_loss(logits, labels, is_synthetic, embeddings, centroids)),
        # as ours by default: a row over its cap passes nothing on
        "Eq. 2, embeddings detached": lambda: backward(
            plain_capped_loss(logits, labels, is_synthetic, embeddings.detach(), centroids)
        ),
        "CrossEntropyLoss": lambda: backward(plain(logits, labels)),
    }


BENCHMARKS = (Benchmark("loss", loss),)
