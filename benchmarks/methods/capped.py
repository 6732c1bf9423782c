"""The capped losses of CLE-SMOTE and its variants, with the centroids that they need."""

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.methods.objective import Batch, Objective, Training, TrainingSet
from clesmote_losses import (
    CappedSMOTELoss,
    ClassCentroidTracker,
    capped_cross_entropy,
    decode_target,
)
from clesmote_losses.caps import CAPS

_PROBED = 2000  # synthetic images that beta is chosen by
_BATCH = 256  # images in a forward pass without gradients


class CappedObjective(Objective):
    """A capped loss that refreshes its centroids at the start of each epoch and counts what it caps.

    Args:
        criterion: The loss of each batch.
        tracker: The one that ``criterion`` reads; ``None`` for a constant cap.
        target_share: Choose beta anew at each epoch, so that this share of the synthetic images is over the cap.
    """

    by_stratum = False

    def __init__(
        self, criterion: CappedSMOTELoss, tracker: ClassCentroidTracker | None, target_share: float | None = None
    ) -> None:
        super().__init__()
        self.criterion, self.tracker, self.target_share = criterion, tracker, target_share
        self._synthetic = self._capped = 0.0

    def begin_epoch(self, training: Training) -> None:
        """Refresh the centroids; and choose beta, where a share is wanted and anything is over-sampled."""
        self.criterion.set_epoch(training.epoch)
        if self.tracker is not None:
            self.tracker.refresh(training.data.real_batches(self.by_stratum))
            if self.target_share is not None and self.tracker.centroids is not None:
                self.criterion.beta = _beta_by_share(training.model, training.data, self.tracker, self.target_share)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean loss of a batch."""
        loss: Tensor = self.criterion(logits, target)
        return loss

    def end_epoch(self) -> dict[str, float]:
        """Return the share of the synthetic images of the epoch that were over their cap, and beta."""
        synthetic, capped = self.take_counts()
        self._synthetic, self._capped = self._synthetic + synthetic, self._capped + capped
        self.share_capped = self._capped / self._synthetic if self._synthetic else None
        return {"share_capped": capped / max(synthetic, 1), "beta": self.criterion.beta}

    def take_counts(self) -> tuple[float, float]:
        """Return how many synthetic images were seen and how many of them were capped, and count from zero again."""
        stats = self.criterion.stats
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that much is capped, which the curve tells
            self.criterion.reset_stats()
        return stats["synthetic"].item(), stats["capped"].item()


class StratumCappedObjective(CappedObjective):
    """CLE-SMOTE's loss with a centroid for each stratum in place of each class.

    Its tracker counts strata. Options are read from ``criterion``, which is not called.
    """

    by_stratum = True
    _counts: Tensor

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.register_buffer("_counts", torch.zeros(2))

    def begin_step(self, training: Training, batch: Batch) -> Batch:
        """Remember the strata of the batch."""
        self._strata = batch.strata
        return batch

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean loss of the batch that the step began with."""
        assert self.tracker is not None
        labels, is_synthetic = decode_target(target)
        embeddings = self.tracker.take_embeddings().detach()
        centroids, _ = self.tracker.centroids_for(embeddings, self._strata, is_synthetic)
        cap = CAPS[str(self.criterion.distance)](embeddings, self._strata, centroids, self.criterion.beta)
        with torch.no_grad():
            is_capped = is_synthetic & (F.cross_entropy(logits, labels, reduction="none") > cap)
            self._counts += torch.stack([is_synthetic.sum(), is_capped.sum()])
        return capped_cross_entropy(logits, labels, is_synthetic, cap, gradient=self.criterion.gradient)

    def take_counts(self) -> tuple[float, float]:
        """Return how many synthetic images were seen and how many of them were capped, and count from zero again."""
        synthetic, capped = self._counts.tolist()
        self._counts.zero_()
        return synthetic, capped


class OversampledCappedObjective(CappedObjective):
    """A cap on every image of the over-sampled classes, real ones too, against wrong labels. Shares are of these images.

    Args:
        criterion: The loss, with ``capped="oversampled"``.
        data: What is trained on; its synthetic images tell the over-sampled classes.
        num_classes: Number of classes.
    """

    _is_oversampled: Tensor
    _seen: Tensor

    def __init__(self, criterion: CappedSMOTELoss, data: TrainingSet, num_classes: int) -> None:
        super().__init__(criterion, None)
        labels, is_synthetic = decode_target(data.target)
        raised = labels[is_synthetic].unique().tolist()
        criterion.set_oversampled_classes(raised)
        self.register_buffer("_is_oversampled", torch.tensor([label in raised for label in range(num_classes)]))
        self.register_buffer("_seen", torch.zeros((), dtype=torch.int64))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean loss of a batch."""
        self._seen += self._is_oversampled[decode_target(target)[0]].sum()
        return super().forward(logits, target)

    def take_counts(self) -> tuple[float, float]:
        """Return how many images of over-sampled classes were seen and how many were capped, and count from zero again."""
        _, capped = super().take_counts()
        seen = self._seen.item()
        self._seen.zero_()
        return seen, capped


def build_capped(method: Any, training: Training) -> CappedObjective:
    """Build the capped loss of a method, and attach its tracker to the network."""
    objective: type[CappedObjective] = CappedObjective
    tracker, num_groups, mode = None, len(training.counts), method.centroid
    if mode == "stratum":
        objective, num_groups, mode = StratumCappedObjective, training.num_strata, "epoch"
    if method.distance is not None:
        tracker = ClassCentroidTracker(training.model, num_groups, mode=mode, classifier=training.embedding_layer)
    criterion = CappedSMOTELoss(
        method.beta,
        tracker=tracker,
        distance=method.distance,
        capped=method.capped,
        gradient=method.gradient,
        warmup_epochs=method.warmup_epochs,
    )
    if method.centroid == "stratum" and method.warmup_epochs:
        raise ValueError(
            f"centroids of strata have no warm-up; {method.name} has warmup_epochs={method.warmup_epochs}."
        )
    if method.capped == "oversampled" and method.distance is not None:
        raise ValueError(f"a cap on all images of a class is constant; {method.name} has distance={method.distance!r}.")
    if method.target_share is not None and method.distance != "cosine":
        raise ValueError(
            f"target_share chooses beta by cosine distance; {method.name} has distance={method.distance!r}."
        )
    if method.capped == "oversampled":
        return OversampledCappedObjective(criterion, training.data, len(training.counts))
    return objective(criterion, tracker, method.target_share)


@torch.no_grad()
def losses_and_embeddings(
    model: nn.Module, data: TrainingSet, tracker: ClassCentroidTracker, places: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute cross-entropy and embedding of some images in evaluation mode, without augmentation.

    Args:
        model: The network; it is left in evaluation mode.
        data: The images.
        tracker: On the network.
        places: Indices of the images, shape ``(N,)``.

    Returns:
        Cross-entropy, shape ``(N,)``, and embeddings, shape ``(N, D)``.
    """
    model.eval()
    labels, _ = decode_target(data.target)
    losses, embeddings = [], []
    for chosen in places.split(_BATCH):
        logits = model(data.inputs(chosen))
        losses.append(F.cross_entropy(logits, labels[chosen], reduction="none"))
        embeddings.append(tracker.take_embeddings())
    return torch.cat(losses), torch.cat(embeddings)


def _beta_by_share(model: nn.Module, data: TrainingSet, tracker: ClassCentroidTracker, share: float) -> float:
    """Find the beta at which the share of synthetic images is over the cap.

    The cap beta / distance is under the loss where loss x distance is over beta, so beta is a quantile of that product.
    """
    assert tracker.centroids is not None
    labels, is_synthetic = decode_target(data.target)
    places = is_synthetic.nonzero()[:, 0]
    places = places[torch.randperm(len(places))[:_PROBED].to(places.device)]
    losses, embeddings = losses_and_embeddings(model, data, tracker, places)
    similarity = F.cosine_similarity(embeddings.float(), tracker.centroids[labels[places]])
    return max(float((losses * (1 - similarity)).quantile(1 - share)), 1e-6)
