"""Start and end an epoch of any training loop."""

from typing import Any

from clesmote_losses.capped_loss import CappedSMOTELoss
from clesmote_losses.centroids import ClassCentroidTracker
from clesmote_losses.errors import check_numbers, warn_user
from clesmote_losses.smote.dataset import SMOTEDataset

_OF_LOSS = ("train", "set_epoch", "reset_stats", "set_oversampled_classes", "all_reduce_stats", "stats", "tracker")
_OF_SET = ("set_epoch", "is_synthetic", "oversampled_classes")


def _check_loss(criterion: Any) -> None:
    """Raise ``TypeError`` unless it is a loss, or has all that is used of one."""
    if not all(hasattr(criterion, name) for name in _OF_LOSS):
        raise TypeError(
            f"criterion must be a CappedSMOTELoss; got {type(criterion).__name__}. Call begin_epoch(criterion, train_set, epoch) and "
            "end_epoch(criterion). With another loss, call neither, but train_set.set_epoch(epoch)."
        )


def begin_epoch(criterion: CappedSMOTELoss, train_set: SMOTEDataset, epoch: int, **refresh: Any) -> None:
    """Prepare training set, loss and tracker for an epoch; under ``torch.distributed`` every rank calls it.

    It draws the samples of the epoch (:meth:`SMOTEDataset.set_epoch`), puts the loss into training mode, tells it the
    epoch and the over-sampled classes, sets its counts to zero, and refreshes the centroids of its tracker. Call it before
    iterating over the loader.
    Called on one rank only, it waits for the others for ever.

    Args:
        criterion: The loss.
        train_set: The training set.
        epoch: Number of the epoch, counted from 0.
        refresh: Options of :meth:`ClassCentroidTracker.refresh`, such as ``transform`` and ``batch_size``.

    Raises:
        TypeError: If ``criterion`` or ``train_set`` is something else.
        TypeError, ValueError: As :meth:`ClassCentroidTracker.refresh`.

    Example:
        >>> train_set = SMOTEDataset(TensorDataset(torch.rand(16, 3, 32, 32), torch.tensor([0] * 10 + [1] * 6)))
        >>> model = timm.create_model("test_resnet", num_classes=2)
        >>> criterion = CappedSMOTELoss(tracker=ClassCentroidTracker(model, num_classes=2))
        >>> loader = torch.utils.data.DataLoader(train_set, batch_size=10, shuffle=True)
        >>> for epoch in range(2):
        ...     begin_epoch(criterion, train_set, epoch)
        ...     for images, target in loader:
        ...         criterion(model(images), target).backward()
        ...     stats = end_epoch(criterion)
        >>> stats["synthetic"]
        4.0
    """
    _check_loss(criterion)
    if not all(hasattr(train_set, name) for name in _OF_SET):
        raise TypeError(
            f"train_set must be the SMOTEDataset; got {type(train_set).__name__}. Pass the data set itself, not its loader "
            "(loader.dataset), its base, or a data set around it: split and concatenate before SMOTEDataset(base)."
        )
    check_numbers(epoch=epoch)
    train_set.set_epoch(epoch)
    criterion.train()
    criterion.set_epoch(epoch)
    criterion.reset_stats(expected_synthetic=int(train_set.is_synthetic.sum()))
    criterion.set_oversampled_classes(train_set.oversampled_classes)
    if (tracker := tracker_of(criterion)) is not None:
        tracker.refresh(train_set, **refresh)


def end_epoch(criterion: CappedSMOTELoss) -> dict[str, float]:
    """Return the :attr:`CappedSMOTELoss.stats` of the epoch over all ranks; under ``torch.distributed`` every rank calls it.

    A tracker in mode ``"online"`` turns its running means into centroids here. A checkpoint written between two epochs
    therefore holds the same centroids on every rank. Ranks may have seen different numbers of batches.

    It warns if the loss saw no synthetic sample although the training set has some and, once for each class, if less than
    half of the loss of an over-sampled class still trains, or if none of its samples had a centroid (which is right in the
    first epoch of mode ``"online"``).

    Args:
        criterion: The loss, after the last batch of the epoch.

    Returns:
        ``synthetic``, ``capped``, ``share_capped``, ``mean_cap``, ``without_centroid`` and ``mass_kept`` as floats.

    Example:
        >>> criterion = CappedSMOTELoss(beta=1.0, distance=None)
        >>> target = encode_target(torch.tensor([0, 0]), torch.tensor([False, True]))
        >>> loss = criterion(torch.tensor([[0.0, 3.0], [0.0, 3.0]]), target)
        >>> end_epoch(criterion)["share_capped"]
        1.0
    """
    _check_loss(criterion)
    history = getattr(criterion, "history", None)  # a host's own loss has none
    if history is not None and history.is_ended:
        warn_user(
            "end_epoch was called twice, and neither begin_epoch nor criterion.reset_stats() between: the statistics are sums over both "
            "epochs, and centroids may be those of an earlier network. Call begin_epoch(criterion, train_set, epoch) at the start "
            "of every epoch."
        )
    criterion.all_reduce_stats()
    if history is not None:
        history.is_ended = True
    tracker = tracker_of(criterion)
    if tracker is not None and tracker.mode == "online":
        tracker.refresh()
    return {name: float(value) for name, value in criterion.stats.items()}


def tracker_of(criterion: CappedSMOTELoss | None) -> ClassCentroidTracker | None:
    """Return the :class:`ClassCentroidTracker` of a loss; ``None`` if it has none, or one of the user's own."""
    tracker = None if criterion is None else criterion.tracker
    return tracker if isinstance(tracker, ClassCentroidTracker) else None
