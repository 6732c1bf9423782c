"""Stage 2 of CLE-SMOTE: pretraining on triplets, so that distances between embeddings are meaningful before they cap a loss."""

import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from clesmote_losses.atomic_write import atomic_write
from clesmote_losses.classifier import Classifier, classifier_layers, unwrap
from clesmote_losses.distributed import average_gradients, copy_from_rank_0, get_rank, get_world_size, is_sharded
from clesmote_losses.embeddings import EmbeddingHook, model_input
from clesmote_losses.errors import check_choice, check_numbers
from clesmote_losses.frozen import check_trainable, train_unfrozen
from clesmote_losses.restore import preserved_modes, preserved_rng
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.triplet_checkpoint import resume, write_checkpoint
from clesmote_losses.triplet_loss import triplet_margin_loss
from clesmote_losses.triplet_sampling import Anchors, Sampling, TripletBatch, draw_batches

_logger = logging.getLogger(__name__)
_COLLAPSED = 1e-3  # spread of the embeddings relative to their length


@dataclass
class _Training:
    """The parts of one call of ``fit``."""

    dataset: SMOTEDataset
    trained: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    device: torch.device
    batch_size: int
    amp: torch.dtype | None
    num_workers: int
    seed: int
    progress: bool


class TripletPretrainer:
    """Train the embedding of a network on triplets of a :class:`SMOTEDataset` (the paper's section 2.3).

    Anchors are real or synthetic samples. Positives (of the anchor's class) and negatives (of another class) are real
    samples drawn at random. All is trained but the classifier, which gets no gradient, and what is frozen.

    Args:
        model: Classification network, or an encoder whose output is the embedding (``num_classes=0`` in timm).
        margin: Margin of :func:`triplet_margin_loss`. The paper has none. Without a margin equal embeddings have loss 0, so
            watch for the warning that the embedding collapses.
        anchors: ``"all"`` (the paper), or ``"real"``: no synthetic anchors (CLE-SMOTE v1 of the paper).
        sampling: ``"dataset"`` (the paper): each anchor's positive and negative are drawn from the whole set, which takes
            three forward passes per anchor. ``"batch"``: they are drawn from the real samples of the batch, and real
            samples are added for a class that would have none; about one forward pass per anchor.
        loss: With ``sampling="batch"``, a metric-learning criterion to use instead of triplets, called as
            ``loss(embeddings, labels)`` on the whole batch. If it is a Module, its parameters are trained too.
        classifier: Layer whose input is the embedding, or its name; see :class:`EmbeddingHook`.

    Raises:
        ValueError: If an option is wrong, the classifier is not found, or the model is wrapped by FSDP.

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
        check_numbers(margin=margin)
        if not margin >= 0:
            raise ValueError(f"margin must be 0 or more; got {margin}.")
        check_choice("anchors", anchors, get_args(Anchors))
        check_choice("sampling", sampling, get_args(Sampling))
        if loss is not None and margin:
            raise ValueError("margin= belongs to the triplet loss, and loss= replaces it: pass one of the two.")
        if loss is not None and sampling != "batch":
            raise ValueError('loss= takes a whole batch of embeddings and labels: it needs sampling="batch".')
        self.model = unwrap(model)
        if is_sharded(self.model):
            raise ValueError(
                "pretraining averages whole gradients, and FSDP has spread the weights over the ranks: pretrain before fully_shard."
            )
        self.margin = margin
        self.anchors: Anchors = anchors
        self.sampling: Sampling = sampling
        self.loss = loss
        self._classifier = classifier_layers(self.model, classifier)

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
        """Train for a number of epochs, or resume from a checkpoint.

        The global random number generators and the model's training mode are left as they were. Each epoch is seeded by
        ``(seed, epoch)``, so a resumed run equals an uninterrupted one. Under ``torch.distributed`` each rank takes its
        share of the anchors, weights start as those of rank 0, and gradients are averaged (0 for a layer that a rank skipped);
        every rank calls it with the same arguments. A data set with ``redraw="epoch"`` keeps the draw of the last epoch.

        Args:
            dataset: The training set.
            epochs: Passes over the anchors.
            batch_size: Anchors in a step, on each rank.
            lr: Learning rate of the default optimizer, AdamW. It does not apply to ``optimizer``.
            optimizer: Function that creates another one: ``optimizer=lambda parameters: SGD(parameters, lr=1e-5)``.
            amp: ``torch.bfloat16`` or ``torch.float16`` to train under autocast.
            device: Move the model there first; by default it stays where it is.
            num_workers: Workers of the data loader.
            seed: Seed of the draws, augmentation and dropout.
            checkpoint: File written after each epoch. If it exists, training resumes from it, with the same settings.
            progress: Show a progress bar.

        Returns:
            For each epoch ``epoch``, ``loss``, ``active`` (share of triplets with a positive loss; NaN with ``loss=``) and
            ``spread`` (standard deviation of the embeddings over their mean length).

        Raises:
            TypeError: If ``dataset`` is not a :class:`SMOTEDataset`.
            ValueError: If it has one class, an option is out of range, all is frozen, or the checkpoint has other settings.
            RuntimeError: If ranks have different networks or checkpoints.
        """
        if not isinstance(dataset, SMOTEDataset):
            raise TypeError(
                f"fit needs a SMOTEDataset, which knows the real samples; got {type(dataset).__name__}. Pass SMOTEDataset(base)."
            )
        check_numbers(epochs=epochs, batch_size=batch_size, lr=lr)
        if epochs < 0 or batch_size < 1:
            raise ValueError(f"epochs must be 0 or more and batch_size 1 or more; got {epochs} and {batch_size}.")
        if amp not in (None, torch.bfloat16, torch.float16):
            raise ValueError(f"amp must be torch.bfloat16, torch.float16 or None; got {amp!r}.")
        check_trainable(self.model, self._classifier)
        device = next(self.model.to(device).parameters()).device
        trained = nn.ModuleList([self.model])
        if isinstance(self.loss, nn.Module):  # its parameters, such as proxies, are trained too
            trained.append(self.loss.to(device))
        stepper = (optimizer or partial(torch.optim.AdamW, lr=lr))([p for p in trained.parameters() if p.requires_grad])
        scaler = torch.amp.GradScaler(device.type, enabled=amp == torch.float16)
        progress = progress and get_rank() == 0
        run = _Training(dataset, trained, stepper, scaler, device, batch_size, amp, num_workers, seed, progress)
        settings = self._settings(run, lr if optimizer is None else None)
        history = resume(checkpoint, settings, trained, stepper, scaler)
        if history:
            _log(f"{len(history)} of {epochs} epochs are done, according to {checkpoint}")
        copy_from_rank_0([*trained.parameters(), *trained.buffers()])
        try:
            with preserved_modes(trained), EmbeddingHook(self.model, self._classifier) as hook:
                train_unfrozen(*trained)
                for epoch in range(len(history), epochs):
                    history.append(_summary(epoch, self._epoch(run, hook, epoch, epochs)))
                    _log(", ".join(f"{name} {value:.4g}" for name, value in history[-1].items()))
                    if checkpoint is not None and get_rank() == 0:
                        write_checkpoint(checkpoint, settings, trained, stepper, scaler, history)
        finally:
            stepper.zero_grad(set_to_none=True)
        return history

    def _settings(self, run: _Training, lr: float | None) -> dict[str, Any]:
        """Return the settings that a resumed run must share."""
        plan = run.dataset.plan
        settings: dict[str, Any] = {"margin": self.margin, "anchors": self.anchors, "sampling": self.sampling}
        settings |= {"seed": run.seed, "batch_size": run.batch_size, "data": plan.fingerprint, "files": plan.names}
        return settings if lr is None else {**settings, "lr": lr}

    def _epoch(self, run: _Training, hook: EmbeddingHook, epoch: int, epochs: int) -> Tensor:
        """Take the steps of one epoch; return the sums of what :meth:`_step` returns and the number of steps, ``(4,)``."""
        seed = int(np.random.SeedSequence([run.seed, epoch, get_rank()]).generate_state(1)[0])
        sums = torch.zeros(4, device=run.device)
        with preserved_rng(seed):
            run.dataset.set_epoch(epoch)
            batches = draw_batches(
                run.dataset.labels,
                run.dataset.is_synthetic,
                anchors=self.anchors,
                sampling=self.sampling,
                batch_size=run.batch_size,
                seed=[run.seed, epoch],
                source=run.dataset.source,
                rank=get_rank(),
                world_size=get_world_size(),
            )
            # new workers each epoch: those that live on would keep the seeds of the first one, and a resumed run would differ
            loader = DataLoader(
                run.dataset,
                batch_sampler=[batch.indices.tolist() for batch in batches],
                num_workers=run.num_workers,
                generator=torch.Generator().manual_seed(seed),
            )
            bar = tqdm(loader, f"Triplets, epoch {epoch + 1}/{epochs}", leave=False, disable=not run.progress)
            for (images, *_), batch in zip(bar, batches, strict=True):
                sums += self._step(run, hook, images, batch)
        copy_from_rank_0(run.trained.buffers())  # running statistics, as DistributedDataParallel does
        return sums

    def _step(self, run: _Training, hook: EmbeddingHook, images: Any, batch: TripletBatch) -> Tensor:
        """Take one step; return loss, share of active triplets, spread and 1, shape ``(4,)``."""
        images = model_input(images, self.model)
        hook.find_dropout(images[:2])
        with torch.autocast(run.device.type, run.amp, enabled=run.amp is not None):
            self.model(images)
            embeddings = hook.embeddings.float()
        loss, active = self._loss(embeddings, run.dataset.labels, batch)
        run.optimizer.zero_grad(set_to_none=True)
        run.scaler.scale(loss).backward()
        average_gradients(run.trained)
        run.scaler.step(run.optimizer)
        run.scaler.update()
        return torch.stack([loss.detach(), active, _spread(embeddings.detach()), torch.ones_like(active)])

    def _loss(self, embeddings: Tensor, labels: NDArray[np.int64], batch: TripletBatch) -> tuple[Tensor, Tensor]:
        """Return the loss of a step and the share of its triplets with a positive loss."""
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
            path: File to write; it is replaced only once the new one is complete.
            classifier: Keep the weights of the (untrained) classifier, which timm's strict loading needs. Without them,
                ``timm.models.load_checkpoint(model, path, strict=False)`` loads the file, also for another number of classes.

        Raises:
            FileNotFoundError: If the folder of ``path`` does not exist.
        """
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.model.state_dict().items()}
        if not classifier:
            heads = {p for layer in self._classifier for p in layer.parameters()}
            for name, parameter in self.model.named_parameters():
                if parameter in heads:
                    del state[name]
        with atomic_write(path) as unfinished:
            save_file(state, unfinished, {"format": "pt"})


def _spread(embeddings: Tensor) -> Tensor:
    """Return the standard deviation of the embeddings over their mean length."""
    spread: Tensor = embeddings.std(0, correction=0).norm() / embeddings.norm(dim=1).mean()
    return spread


def _summary(epoch: int, sums: Tensor) -> dict[str, float]:
    loss, active, spread = (sums[:3] / sums[3]).tolist()
    if spread < _COLLAPSED:
        warnings.warn(
            f"the embedding has collapsed in epoch {epoch}: it differs between images by {spread:.1e} of its length. Without a margin, "
            "equal embeddings have loss 0. Pass margin=0.2 or more, a smaller lr, or a contrastive loss= with sampling='batch'.",
            UserWarning,
            stacklevel=3,
        )
    return {"epoch": epoch, "loss": loss, "active": active, "spread": spread}


def _log(message: str) -> None:
    if get_rank() == 0:
        _logger.info("triplets: %s", message)
