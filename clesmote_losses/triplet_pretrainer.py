"""Stage 2 of CLE-SMOTE: pretraining by triplets, so that distance in the embedding means something before it caps a loss."""

import logging
import os
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from clesmote_losses.atomic_write import atomic_write
from clesmote_losses.embeddings import Classifier, EmbeddingHook, find_classifier, model_input, unwrap
from clesmote_losses.restore import preserved_modes, preserved_rng
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.triplet_checkpoint import read_checkpoint, write_checkpoint
from clesmote_losses.triplet_loss import triplet_margin_loss
from clesmote_losses.triplet_sampling import Anchors, Sampling, TripletBatch, draw_batches

_logger = logging.getLogger(__name__)
_COLLAPSED = 1e-3  # spread of the embeddings over their length


class TripletPretrainer:
    """Trains a network's embedding on triplets of a :class:`SMOTEDataset` (the paper's section 2.3).

    Anchors are real or synthetic samples; positives (of the anchor's class) and negatives (of another) are real ones,
    drawn at random. The whole network is trained but for its classifier, which gets no gradient.

    Args:
        model: Classification network, or an encoder whose output is the embedding (``num_classes=0`` in timm).
        margin: Margin of :func:`triplet_margin_loss`. The paper has none; then equal embeddings cost nothing either, so watch
            for the warning that the embedding collapses.
        anchors: ``"all"`` (the paper), or ``"real"``: no synthetic anchors (its CLE-SMOTE v1).
        sampling: ``"dataset"`` (the paper): a positive and a negative drawn over the whole set for every anchor; three
            forwards an anchor. ``"batch"``: drawn from the real samples of the batch, to which real samples are
            added where a class would have none; about one forward an anchor.
        loss: With ``sampling="batch"``, a metric-learning criterion to use in place of triplets, called as
            ``loss(embeddings, labels)`` on the whole batch. If it is a Module, its parameters are trained too.
        classifier: Layer whose input is the embedding, or its name; see :class:`EmbeddingHook`.

    Raises:
        ValueError: If an option is wrong or the classifier is not found.

    Example:
        >>> base = TensorDataset(torch.rand(16, 3, 32, 32), torch.tensor([0] * 10 + [1] * 6))
        >>> model = timm.create_model("test_resnet", num_classes=2)
        >>> history = TripletPretrainer(model, margin=1.0).fit(SMOTEDataset(base), epochs=1, progress=False)
        >>> sorted(history[0])
        ['active', 'epoch', 'loss', 'spread']
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        margin: float = 0.0,
        anchors: Anchors = "all",
        sampling: Sampling = "dataset",
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        classifier: Classifier | None = None,
    ) -> None:
        if not margin >= 0:
            raise ValueError(f"margin must be 0 or more; got {margin}.")
        if anchors not in get_args(Anchors):
            raise ValueError(f"anchors must be one of {get_args(Anchors)}; got {anchors!r}.")
        if sampling not in get_args(Sampling):
            raise ValueError(f"sampling must be one of {get_args(Sampling)}; got {sampling!r}.")
        if loss is not None and sampling != "batch":
            raise ValueError('loss= sees a whole batch of embeddings and labels: it needs sampling="batch".')
        self.model = unwrap(model)
        self.margin = margin
        self.anchors: Anchors = anchors
        self.sampling: Sampling = sampling
        self.loss = loss
        self._classifier = find_classifier(self.model) if classifier is None else classifier

    def fit(
        self,
        dataset: SMOTEDataset,
        *,
        epochs: int,
        batch_size: int = 64,
        lr: float = 1e-4,
        optimizer: Callable[[Any], torch.optim.Optimizer] | None = None,
        amp: torch.dtype | None = None,
        device: torch.device | str | None = None,
        num_workers: int = 0,
        seed: int = 0,
        checkpoint: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ) -> list[dict[str, float]]:
        """Train.

        The global random number generators and the model's training mode are left as they were. Each epoch is seeded by
        ``(seed, epoch)``, so a resumed run goes on as the uninterrupted one would. Under ``torch.distributed`` each rank
        takes its share of the anchors, weights start as those of rank 0 and gradients are averaged; every rank calls it
        with the same arguments. A data set with ``redraw="epoch"`` is left with the draw of the last epoch.

        Args:
            dataset: The training set.
            epochs: Passes over the anchors.
            batch_size: Anchors in a step, on each rank.
            lr: Learning rate of the default optimizer, AdamW; another ``optimizer`` has its own.
            optimizer: Makes another one: ``optimizer=lambda parameters: SGD(parameters, lr=1e-5)``.
            amp: ``torch.bfloat16`` or ``torch.float16`` to train under autocast.
            device: Moves the model there first; by default it stays where it is.
            num_workers: Of the data loader.
            seed: For the draws, augmentation and dropout.
            checkpoint: File written after each epoch; if it exists, training goes on from there, with the same settings.
            progress: Show a progress bar.

        Returns:
            For each epoch ``epoch``, ``loss``, ``active`` (share of triplets with a positive loss; NaN with ``loss=``) and
            ``spread`` (standard deviation of the embeddings over their mean length).

        Raises:
            TypeError: If ``dataset`` is no :class:`SMOTEDataset`.
            ValueError: If it has one class only, an option is out of range, or the checkpoint is of other settings.
        """
        if not isinstance(dataset, SMOTEDataset):
            raise TypeError(
                f"fit takes a SMOTEDataset, which knows what is real; got {type(dataset).__name__}. SMOTEDataset(base) makes one."
            )
        if epochs < 0 or batch_size < 1:
            raise ValueError(f"epochs must be 0 or more and batch_size 1 or more; got {epochs} and {batch_size}.")
        if amp not in (None, torch.bfloat16, torch.float16):
            raise ValueError(f"amp must be torch.bfloat16, torch.float16 or None; got {amp!r}.")
        labels, is_synthetic = dataset.labels, dataset.is_synthetic
        if device is not None:
            self.model.to(device)
        parameter = next(self.model.parameters())
        trained = nn.ModuleList([self.model])
        if isinstance(self.loss, nn.Module):  # proxies, say, are trained with it
            trained.append(self.loss.to(parameter.device))
        stepper = (optimizer or partial(torch.optim.AdamW, lr=lr))([p for p in trained.parameters() if p.requires_grad])
        scaler = torch.amp.GradScaler(parameter.device.type, enabled=amp == torch.float16)
        plan = dataset.plan
        settings: dict[str, Any] = {
            "margin": self.margin,
            "anchors": self.anchors,
            "sampling": self.sampling,
            "seed": seed,
            "batch_size": batch_size,
            "data": plan.fingerprint,
            "files": plan.names,
        }
        if optimizer is None:
            settings["lr"] = lr
        history: list[dict[str, float]] = []
        if checkpoint is not None and Path(checkpoint).exists():
            history = read_checkpoint(checkpoint, settings, trained, stepper, scaler)
            _log(f"{len(history)} of {epochs} epochs were done, as {checkpoint} has it")
        _check_same_on_all_ranks(len(history))
        _share_from_rank_0([*trained.parameters(), *trained.buffers()])
        batches: list[TripletBatch] = []
        index_lists: list[list[int]] = []  # what the loader iterates over, filled anew each epoch
        generator = torch.Generator()
        # no workers that live on: theirs would be the seeds of the first epoch, so a resumed run would differ
        loader = DataLoader(dataset, batch_sampler=index_lists, num_workers=num_workers, generator=generator)
        try:
            with preserved_modes(trained), EmbeddingHook(self.model, self._classifier) as hook:
                trained.train()
                for epoch in range(len(history), epochs):
                    epoch_seed = int(np.random.SeedSequence([seed, epoch, _rank()]).generate_state(1)[0])
                    with preserved_rng(epoch_seed):
                        generator.manual_seed(epoch_seed)
                        dataset.set_epoch(epoch)
                        batches = draw_batches(
                            labels,
                            is_synthetic,
                            anchors=self.anchors,
                            sampling=self.sampling,
                            batch_size=batch_size,
                            seed=[seed, epoch],
                            rank=_rank(),
                            world_size=dist.get_world_size() if dist.is_initialized() else 1,
                        )
                        index_lists[:] = [batch.indices.tolist() for batch in batches]
                        sums = torch.zeros(4, device=parameter.device)
                        bar = tqdm(
                            loader,
                            desc=f"Triplets, epoch {epoch + 1}/{epochs}",
                            disable=not progress or _rank() > 0,
                            leave=False,
                        )
                        for (images, *_), batch in zip(bar, batches, strict=True):
                            with torch.autocast(parameter.device.type, amp, enabled=amp is not None):
                                self.model(model_input(images, self.model))
                                embeddings = hook.embeddings.float()
                            loss, active = self._loss(embeddings, labels, batch)
                            stepper.zero_grad(set_to_none=True)
                            scaler.scale(loss).backward()
                            _average_gradients(trained)
                            scaler.step(stepper)
                            scaler.update()
                            sums += torch.stack(
                                [loss.detach(), active, _spread(embeddings.detach()), torch.ones_like(active)]
                            )
                    _share_from_rank_0(trained.buffers())  # running statistics, as DistributedDataParallel has it
                    history.append(_summary(epoch, sums))
                    _log(", ".join(f"{name} {value:.4g}" for name, value in history[-1].items()))
                    if checkpoint is not None and _rank() == 0:
                        write_checkpoint(checkpoint, settings, trained, stepper, scaler, history)
        finally:
            stepper.zero_grad(set_to_none=True)
        return history

    def _loss(self, embeddings: Tensor, labels: NDArray[np.int64], batch: TripletBatch) -> tuple[Tensor, Tensor]:
        """Loss of a step, and the share of its triplets that have one."""
        if self.loss is not None:
            loss = self.loss(embeddings, torch.from_numpy(labels[batch.indices]).to(embeddings.device))
            return loss, torch.full_like(loss.detach(), torch.nan)
        parts = (batch.anchors, batch.positives, batch.negatives)
        anchors, positives, negatives = (embeddings[torch.from_numpy(part).to(embeddings.device)] for part in parts)
        loss = triplet_margin_loss(anchors, positives, negatives, self.margin)
        with torch.no_grad():
            gap = (anchors - positives).norm(dim=1) - (anchors - negatives).norm(dim=1) + self.margin
            return loss, (gap > 0).sum() / max(len(gap), 1)

    def save(self, path: str | os.PathLike[str], *, classifier: bool = True) -> None:
        """Write the weights as ``.safetensors``, under the model's own names.

        ``timm.create_model(name, num_classes=..., checkpoint_path=path)`` loads the file.

        Args:
            path: The file; it appears whole or not at all.
            classifier: Keep the weights of the (untrained) classifier, which timm's strict loading asks for. Without them load
                with ``timm.models.load_checkpoint(model, path, strict=False)``, for another number of classes, say.
        """
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.model.state_dict().items()}
        if not classifier:
            with EmbeddingHook(self.model, self._classifier) as hook:
                heads = {parameter for layer in hook.layers for parameter in layer.parameters()}
            for name, parameter in self.model.named_parameters():
                if parameter in heads:
                    del state[name]
        with atomic_write(path) as unfinished:
            save_file(state, unfinished, {"format": "pt"})


def _spread(embeddings: Tensor) -> Tensor:
    """Standard deviation of the embeddings over their mean length."""
    spread: Tensor = embeddings.std(0, correction=0).norm() / embeddings.norm(dim=1).mean()
    return spread


def _summary(epoch: int, sums: Tensor) -> dict[str, float]:
    loss, active, spread = (sums[:3] / sums[3]).tolist()
    if spread < _COLLAPSED:
        warnings.warn(
            f"the embedding has collapsed in epoch {epoch}: all images lie within {spread:.1e} of its length. Equal embeddings cost "
            "nothing without a margin. Pass margin=0.2 or more, a smaller lr, or a contrastive loss= with sampling='batch'.",
            UserWarning,
            stacklevel=3,
        )
    return {"epoch": epoch, "loss": loss, "active": active, "spread": spread}


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _log(message: str) -> None:
    if _rank() == 0:
        _logger.info("triplets: %s", message)


def _check_same_on_all_ranks(epochs_done: int) -> None:
    if dist.is_initialized():
        of_ranks: list[int] = [0] * dist.get_world_size()
        dist.all_gather_object(of_ranks, epochs_done)
        if len(set(of_ranks)) > 1:
            raise RuntimeError(
                f"ranks would resume after different epochs: {of_ranks}. The checkpoint must lie where every rank can read it."
            )


def _average_gradients(trained: nn.Module) -> None:
    # by hand and not by DistributedDataParallel, which would wait for the gradient of the classifier that has none
    if dist.is_initialized():
        for parameter in trained.parameters():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= dist.get_world_size()


@torch.no_grad()
def _share_from_rank_0(tensors: Iterable[Tensor]) -> None:
    if dist.is_initialized():
        for tensor in tensors:
            dist.broadcast(tensor, 0)
