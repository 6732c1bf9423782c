"""Mean embedding of the real images of each class, updated once per epoch, during training, or per batch."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from clesmote_losses.batches import batches_of, first_image, read_batch
from clesmote_losses.before_dropout import has_dropout
from clesmote_losses.centroid_state import check_centroid_state
from clesmote_losses.class_sums import ClassSums
from clesmote_losses.classifier import Classifier, unwrap
from clesmote_losses.distributed import gather_from_ranks, in_step, is_sharded, sum_over_ranks
from clesmote_losses.embeddings import EmbeddingHook, model_input
from clesmote_losses.errors import check_choice, check_numbers, warn_user
from clesmote_losses.restore import preserved_modes, preserved_rng
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.transform_probe import Transform

Mode = Literal["epoch", "online", "batch"]
Statistic = Literal["mean_embedding", "mean_image"]


class ClassCentroidTracker:
    r"""Track the embeddings of a model's last forward pass and the centroid of each class (the paper's section 2.4).

    .. math:: \mu_c = \frac{1}{|R_c|} \sum_{i \in R_c} e_i \quad \text{over the real images } R_c \text{ of class } c

    It hooks the model's classifier and is not part of the model: nothing is added to its state_dict, and copies of the
    model (EMA) are not tracked. A model that is copied or pickled together with its tracker is tracked by the tracker's
    copy. :meth:`detach` (or leaving a ``with`` block) removes the hook.

    Args:
        model: Classification network. It may be wrapped by DDP, or by ``torch.compile`` if it has not run yet.
        num_classes: Number of classes ``C``, 2 for one binary logit.
        classifier: Layer whose input is the embedding, or its name; see :class:`EmbeddingHook`.
        mode: ``"epoch"`` (the paper): :meth:`refresh` embeds the real images again, in evaluation mode. ``"online"``: the
            mean over the training batches between the last two calls of :meth:`refresh`; the first epoch has no centroids.
            If you train in evaluation mode, validate under ``torch.no_grad()`` or with ``criterion.eval()``. ``"batch"``: the
            mean over all samples of the class in the batch, including synthetic ones, since a batch rarely holds a real
            sample of a rare class (the ablation).
        statistic: ``"mean_embedding"`` (the paper), or ``"mean_image"``: the embedding of the mean image of the class.

    Raises:
        ValueError: If an option is wrong or the classifier is not found.

    Example:
        >>> model = timm.create_model("test_resnet", num_classes=2).eval()
        >>> images, labels = torch.rand(6, 3, 32, 32), torch.tensor([0, 0, 0, 1, 1, 1])
        >>> with ClassCentroidTracker(model, num_classes=2) as tracker:
        ...     tracker.refresh(TensorDataset(images, labels))
        ...     tracker.centroids.shape, tracker.counts
        (torch.Size([2, 96]), tensor([3, 3]))
    """

    def __init__(
        self,
        model: nn.Module,
        num_classes: int,
        *,
        classifier: Classifier | None = None,
        mode: Mode = "epoch",
        statistic: Statistic = "mean_embedding",
    ) -> None:
        check_choice("mode", mode, get_args(Mode))
        check_choice("statistic", statistic, get_args(Statistic))
        if statistic == "mean_image" and mode != "epoch":
            raise ValueError(f'statistic="mean_image" needs mode="epoch", which reads the images; got mode={mode!r}.')
        check_numbers(num_classes=num_classes)
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1 (2 for one binary logit); got {num_classes}.")
        self.model = unwrap(model)
        self.num_classes = num_classes
        self.mode: Mode = mode
        self.statistic: Statistic = statistic
        self._hook = EmbeddingHook(self.model, classifier, num_classes=num_classes)
        device = next(self.model.parameters()).device
        self._is_refreshed = False
        self._has_trained = False  # in training mode, since the last refresh
        self._centroids: Tensor | None = None
        self._counts = torch.zeros(num_classes, dtype=torch.int64, device=device)
        self._sums: ClassSums | None = None  # of the running epoch, in mode "online"

    @property
    def embeddings(self) -> Tensor:
        """Pre-head embeddings of the model's last forward pass, float, shape ``(N, D)``, with their autograd graph."""
        return self._hook.embeddings

    def take_embeddings(self) -> Tensor:
        """Return :attr:`embeddings` for the loss, at most once per forward pass.

        Raises:
            RuntimeError: If they were taken already, or there are none.
        """
        return self._hook.take()

    def check_logits(self, logits: Tensor) -> None:
        """Check that logits and :attr:`embeddings` are of the same forward pass, where the autograd graph shows it.

        Raises:
            RuntimeError: If the logits are those of an earlier one.
        """
        self._hook.check_logits(logits)

    @property
    def centroids(self) -> Tensor | None:
        """Centroids, float32, shape ``(C, D)``, NaN in the row of a class not known yet; ``None`` while none is known."""
        return self._centroids

    @property
    def counts(self) -> Tensor:
        """Number of real images behind each centroid, int64, shape ``(C,)``; 0 for a class not known yet."""
        return self._counts

    def centroids_for(self, embeddings: Tensor, labels: Tensor, is_synthetic: Tensor) -> tuple[Tensor, Tensor]:
        """Return centroids ``(C, D)`` and counts ``(C,)`` for a training batch.

        In mode ``"online"`` this call also adds the batch to the running means.

        Args:
            embeddings: Pre-head embeddings, float, shape ``(N, D)``.
            labels: Class indices, int64, shape ``(N,)``; negative for ignored rows.
            is_synthetic: ``True`` where SMOTE made the sample, bool, shape ``(N,)``.

        Raises:
            RuntimeError: If :meth:`refresh` was not called yet. Mode ``"batch"`` does not need it.
        """
        embeddings = embeddings.detach()
        if self.mode == "batch":
            batch = ClassSums(self.num_classes, embeddings)
            batch.add(embeddings, labels, labels >= 0)
            return batch.mean(), batch.counts
        if not self._is_refreshed:
            raise RuntimeError(
                "no centroids yet: call begin_epoch(criterion, train_set, epoch) at the start of every epoch, or tracker.refresh(train_set)."
            )
        self._has_trained |= self.model.training
        # a model that is trained in evaluation mode is never in training mode; else that is a validation
        is_training = self.model.training or (torch.is_grad_enabled() and not self._has_trained)
        if self.mode == "online" and is_training:
            if self._sums is None:
                self._sums = ClassSums(self.num_classes, embeddings)
            self._sums.add(embeddings, labels, (labels >= 0) & ~is_synthetic)
        if self._centroids is None:
            unknown = embeddings.new_full((self.num_classes, embeddings.shape[1]), torch.nan, dtype=torch.float32)
            return unknown, self._counts.to(embeddings.device)
        return self._centroids, self._counts

    @torch.no_grad()
    def refresh(
        self,
        data: Dataset[Any] | Iterable[Any] | None = None,
        *,
        transform: Transform | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        """Compute the centroids again. Call it once at the start of each epoch.

        Under ``torch.distributed`` every rank calls it; otherwise they wait for each other. Each rank embeds its share (a
        loader should yield the rank's own, of any length), and sums and counts are added over the ranks. Training mode,
        gradients and random number generators are left as they were. Classes without images in ``data`` become unknown.

        Args:
            data: For a :class:`SMOTEDataset`, the real images of its ``capped_classes`` are read. For another data set, or a
                loader of batches, all real samples. Items are ``(image, target)``, or ``(image, label, is_synthetic)``. Modes
                ``"online"`` and ``"batch"`` read at most one image of a data set, to find dropout before the classifier.
            transform: Replaces the transform of a data set, as in :class:`SMOTEDataset`. Pass the evaluation transform, without
                augmentation.
            batch_size, num_workers: Options for a data set; a loader has its own.

        Raises:
            TypeError, ValueError: If items are of another kind, the model does not accept them, a label is out of range, or
                another data set than a :class:`SMOTEDataset` holds no real image.

        Warns:
            UserWarning: If dropout is right before the classifier and the embedding cannot be read before it.
        """
        largest = int(data.labels.max()) if isinstance(data, SMOTEDataset) else -1
        # not if its images are read below, which raises
        if largest >= self.num_classes and (self.mode != "epoch" or largest not in data.capped_classes):  # type: ignore[union-attr]
            warn_user(_out_of_range(largest, self.num_classes))  # the loss raises, on a GPU without words
        self._has_trained = False
        if self.mode != "epoch" and has_dropout(self.model):
            self._find_dropout(data, transform)
        if self.mode == "batch":
            return
        if self.mode == "online":
            self._is_refreshed = True
            sums = self._over_all_ranks(self._sums)
            if sums is not None:
                self._counts, self._centroids, self._sums = sums.counts, sums.mean(), None
            return
        if data is None:
            raise ValueError('refresh() in mode="epoch" reads images: pass the training set or a loader.')
        with preserved_rng(), preserved_modes(self.model):
            self.model.eval()
            try:
                self._embed(batches_of(data, transform, batch_size=batch_size, num_workers=num_workers))
            finally:
                self._hook.clear()  # these embeddings belong to no training batch
        if not isinstance(data, SMOTEDataset) and not self._counts.any():
            raise ValueError(
                f"refresh() read no real image of {type(data).__name__}, so that no class has a centroid and nothing would be capped. "
                "Is it empty, or an iterator that is used up? Pass the training set."
            )
        self._is_refreshed = True

    def _find_dropout(self, data: Any, transform: Transform | None) -> None:
        """Embed the first image of a data set, since these modes embed none in evaluation mode."""
        with preserved_rng():
            images = first_image(data, transform)
        if isinstance(images, Tensor) and images.is_floating_point():
            self._hook.find_dropout(model_input(images, self.model))

    def _embed(self, loader: Iterable[Any]) -> None:
        sums: ClassSums | None = None
        looking: AbstractContextManager[None] = self._hook.looking_for_dropout()
        for batch in in_step(loader) if is_sharded(self.model) else loader:
            images, labels, is_synthetic = read_batch(batch)
            if labels.numel() and int(labels.max()) >= self.num_classes:
                raise ValueError(_out_of_range(int(labels.max()), self.num_classes))
            images = model_input(images, self.model)
            if self.statistic == "mean_image":
                rows = images
            else:
                with looking:
                    self.model(images)
                rows, looking = self.embeddings, nullcontext()
            if sums is None:
                sums = ClassSums(self.num_classes, rows)
            sums.add(rows, labels.to(rows.device), ((labels >= 0) & ~is_synthetic).to(rows.device))
        sums = self._over_all_ranks(sums)
        if sums is None:  # nothing is over-sampled: no class needs a centroid
            device = next(self.model.parameters()).device
            self._centroids, self._counts = None, torch.zeros_like(self._counts, device=device)
            return
        centroids = sums.mean()
        if self.statistic == "mean_image":
            with looking:
                self.model(model_input(centroids.nan_to_num(), self.model))
            centroids = torch.where((sums.counts > 0)[:, None], self.embeddings.float(), torch.nan)
        self._centroids, self._counts = centroids, sums.counts

    def _over_all_ranks(self, sums: ClassSums | None) -> ClassSums | None:
        """Return the sums over all ranks; ``None`` if no rank has any."""
        shapes = gather_from_ranks(None if sums is None else sums.total.shape[1:])
        shape = next((known for known in shapes if known is not None), None)
        if shape is None:
            return None
        if sums is None:  # this rank's share was empty; the others know the shape
            sums = ClassSums(self.num_classes, torch.empty(0, *shape, device=next(self.model.parameters()).device))
        sum_over_ranks(sums.total)
        sum_over_ranks(sums.counts)
        return sums

    def state_dict(self) -> dict[str, Tensor]:
        """Return centroids, counts and running sums, so that a resumed run equals an uninterrupted one."""
        state = {"counts": self._counts, "is_refreshed": torch.tensor(self._is_refreshed)}
        if self._centroids is not None:
            state["centroids"] = self._centroids
        if self._sums is not None:
            state.update(running_total=self._sums.total, running_counts=self._sums.counts)
        return {name: tensor.clone() for name, tensor in state.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what :meth:`state_dict` returned.

        Raises:
            ValueError: If the state has another number of classes, or is not the state of a tracker. Nothing is changed then.
        """
        check_centroid_state(state, self.num_classes)
        device = next(self.model.parameters()).device
        state = {name: tensor.to(device, copy=True) for name, tensor in state.items()}
        self._counts, self._centroids, self._sums = state["counts"], state.get("centroids"), None
        self._is_refreshed = bool(state["is_refreshed"])
        if "running_total" in state:
            self._sums = ClassSums(self.num_classes, state["running_total"])
            self._sums.total, self._sums.counts = state["running_total"], state["running_counts"]

    def detach(self) -> None:
        """Remove the hook from the model; the centroids stay."""
        self._hook.detach()

    def __enter__(self) -> "ClassCentroidTracker":
        return self

    def __exit__(self, *error: object) -> None:
        self.detach()


def _out_of_range(label: int, num_classes: int) -> str:
    return (
        f"label {label} is out of range for num_classes={num_classes}: labels must be 0 ... {num_classes - 1}. Let the data set "
        "count classes from 0, e.g. by target_transform, or pass the model and the tracker the right num_classes."
    )
