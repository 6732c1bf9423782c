"""Use the method as a task in a loop built on ``timm.task`` (timm 1.0.27 or newer; earlier tasks hold no state)."""

from typing import Any

import torch
from timm.task import ClassificationTask
from torch import Tensor, nn

from clesmote_losses.capped_loss import CappedSMOTELoss
from clesmote_losses.epochs import begin_epoch, end_epoch, tracker_of
from clesmote_losses.smote.dataset import SMOTEDataset


class CLESMOTETask(ClassificationTask):
    """Train with the capped loss as timm's ``ClassificationTask`` does, and keep the centroids in timm's checkpoints.

    Call :meth:`begin_epoch` and :meth:`end_epoch` around each epoch, on every rank. Everything else (DDP, compile, EMA,
    clipping, checkpoints) is timm's.

    Args:
        model: Network to train, before ``compile`` and ``prepare_distributed``.
        criterion: Loss. Its tracker, if it has one, must track ``model``.
        train_set: Training set of the loop.
        device, dtype, verbose: As in ``ClassificationTask``.

    Raises:
        TypeError: If ``criterion`` is no :class:`CappedSMOTELoss` or ``train_set`` no :class:`SMOTEDataset`.

    Example:
        >>> train_set = SMOTEDataset(TensorDataset(torch.rand(16, 3, 32, 32), torch.tensor([0] * 10 + [1] * 6)))
        >>> model = timm.create_model("test_resnet", num_classes=2)
        >>> criterion = CappedSMOTELoss(beta=1.0, tracker=ClassCentroidTracker(model, num_classes=2))
        >>> task = CLESMOTETask(model, criterion, train_set, verbose=False)
        >>> task.begin_epoch(0)
        >>> for images, target in torch.utils.data.DataLoader(train_set, batch_size=10):
        ...     task(images, target)["loss"].backward()
        >>> task.end_epoch()["synthetic"]
        4.0
    """

    criterion: CappedSMOTELoss

    def __init__(
        self,
        model: nn.Module,
        criterion: CappedSMOTELoss,
        train_set: SMOTEDataset,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        verbose: bool = True,
    ) -> None:
        if not isinstance(criterion, CappedSMOTELoss):
            raise TypeError(f"criterion must be a CappedSMOTELoss; got {type(criterion).__name__}.")
        if not isinstance(train_set, SMOTEDataset):
            raise TypeError(f"train_set must be a SMOTEDataset; got {type(train_set).__name__}.")
        super().__init__(model, criterion, device=device, dtype=dtype, verbose=verbose)
        self.train_set = train_set

    def begin_epoch(self, epoch: int, **refresh: Any) -> None:
        """Call :func:`clesmote_losses.epochs.begin_epoch` with this task's loss and training set."""
        begin_epoch(self.criterion, self.train_set, epoch, **refresh)

    def end_epoch(self) -> dict[str, float]:
        """Call :func:`clesmote_losses.epochs.end_epoch` with this task's loss, and return its statistics."""
        return end_epoch(self.criterion)

    def get_task_state(self, module: nn.Module | None = None, ema: bool = False) -> dict[str, Tensor]:
        """Return centroids, counts and history; timm writes them beside the model's weights, not among them."""
        if ema:
            return {}
        tracker = tracker_of(self.criterion)
        return {"history": self.criterion.get_extra_state(), **({} if tracker is None else tracker.state_dict())}

    def load_task_state(
        self, state: dict[str, Tensor] | None, strict: bool = True, module: nn.Module | None = None, ema: bool = False
    ) -> None:
        """Restore the state of :meth:`get_task_state`; a checkpoint without it (of plain timm) leaves the centroids unknown."""
        of_tracker, tracker = dict(state or {}), tracker_of(self.criterion)
        if ema or not of_tracker:
            return
        if (history := of_tracker.pop("history", None)) is not None:  # earlier checkpoints have none
            self.criterion.set_extra_state(history)
        if of_tracker and tracker is not None:
            tracker.load_state_dict(of_tracker)
