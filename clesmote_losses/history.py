"""What the loss did in each epoch, class by class, as plain numbers that stay in its state."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

_KEYS = ("synthetic", "real", "share_capped", "mean_cap", "loss_synthetic", "loss_real")


class LossHistory:
    """Keep the epochs of a loss, class by class; :attr:`CappedSMOTELoss.history` is one.

    Attributes:
        epochs: One dict for each epoch that ended, ascending: ``{"epoch": 3, "classes": {label: numbers}}`` with the classes
            that had samples, int. The numbers are over all ranks, and ``None`` where there is nothing to average:

            - ``synthetic``, ``real``: Number of samples that the loss saw, int. Ignored rows are left out.
            - ``share_capped``: Share of the samples subject to the cap that were over it, in ``[0, 1]``; with
              ``capped="oversampled"`` real samples too. It is 0 in epochs of warm-up.
            - ``mean_cap``: Mean of their finite caps in nats, before a class weight.
            - ``loss_synthetic``, ``loss_real``: Mean of the finite losses in nats before the cap, with the class weights, label
              smoothing and logit adjustment of the loss.

    Example:
        >>> criterion = CappedSMOTELoss(beta=1.0, distance=None)
        >>> target = encode_target(torch.tensor([0, 0]), torch.tensor([False, True]))
        >>> loss = criterion(torch.tensor([[0.0, 3.0], [0.0, 3.0]]), target)
        >>> stats = end_epoch(criterion)
        >>> criterion.history.rows()[0]["share_capped"]
        1.0
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, Any]] = []
        self.is_ended = False  # end_epoch was called, and neither begin_epoch nor reset_stats after it
        self._next = 0  # number of the running epoch, if nobody tells it

    def record(self, epoch: int | None, counts: Tensor, sums: Tensor) -> None:
        """Add an epoch. It replaces the epochs from its number on, which are run again.

        Args:
            epoch: Number of the epoch; ``None`` for the one after the last that :meth:`close` closed.
            counts, sums: As in :class:`LossCounts`, on the CPU. Without a sample, nothing is added.
        """
        classes = {
            label: _numbers(*tables)
            for label, tables in enumerate(zip(counts[1:].tolist(), sums[1:].tolist(), strict=True))
            if any(rows[0] for rows in tables[0])
        }
        if classes:
            number = self._next if epoch is None else epoch
            self.epochs[:] = [row for row in self.epochs if row["epoch"] < number]
            self.epochs.append({"epoch": number, "classes": classes})

    def close(self) -> None:
        """Let the next epoch without a number come after the last one."""
        self.is_ended = False
        self._next = self.epochs[-1]["epoch"] + 1 if self.epochs else 0

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat dict for each epoch and class, with ``epoch``, ``class`` and the numbers, as for a table.

        Example:
            >>> CappedSMOTELoss(distance=None).history.rows()
            []
        """
        return [
            {"epoch": row["epoch"], "class": label, **numbers}
            for row in self.epochs
            for label, numbers in row["classes"].items()
        ]

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
    ) -> Any:
        """Draw share capped, mean cap, and the losses of synthetic and of real samples, for each class over the epochs.

        It draws the classes with synthetic samples; if there are none, all. Of more than seven classes, those with the
        largest share capped have a colour, and the others are grey.

        Args:
            path: File to write, whole or not at all, in a format that matplotlib writes, such as ``"history.png"``.
            class_names: Name of each class, such as ``train_set.classes``, or of some by index; by default its index.

        Returns:
            A ``matplotlib.figure.Figure``.

        Raises:
            ImportError: If matplotlib is not installed.
            ValueError: If no epoch has ended, or a list of names has too few.
        """
        from clesmote_losses.drawing import save
        from clesmote_losses.history_figure import draw_history

        figure = draw_history(self.epochs, class_names)
        if path is not None:
            save(figure, path)
        return figure

    def to_json(self) -> str:
        """Return :attr:`epochs` as text."""
        return json.dumps(self.epochs)

    def load_json(self, text: str) -> None:
        """Replace the epochs by those of :meth:`to_json`."""
        self.epochs[:] = [
            # JSON knows text only as a key
            {"epoch": row["epoch"], "classes": {int(label): numbers for label, numbers in row["classes"].items()}}
            for row in json.loads(text)
        ]
        self.close()


def _numbers(counts: list[list[int]], sums: list[list[float]]) -> dict[str, Any]:
    """Return the numbers of a class from its row of each table, real and synthetic samples apart."""
    rows, subject, capped, with_cap, _, with_loss = zip(*counts, strict=True)
    cap, loss, _ = zip(*sums, strict=True)
    values = (
        rows[1],
        rows[0],
        _ratio(sum(capped), sum(subject)),
        _ratio(sum(cap), sum(with_cap)),
        _ratio(loss[1], with_loss[1]),
        _ratio(loss[0], with_loss[0]),
    )
    return dict(zip(_KEYS, values, strict=True))


def _ratio(total: float, number: int) -> float | None:
    return total / number if number else None


class KeepsHistory(nn.Module):
    """A module with a history that is part of its own ``state_dict()``, and not of that of a module around it.

    Attributes:
        history: The epochs that ended, class by class. An epoch ends at :func:`end_epoch`, or in an own loop at
            ``all_reduce_stats``, ``reset_stats`` or the next ``set_epoch``; without ``set_epoch`` each ``reset_stats`` ends
            one. After ``reset_stats`` inside an epoch its numbers are of the part that follows. Under ``torch.distributed``
            only epochs that ``all_reduce_stats`` summed are kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history = LossHistory()

    def get_extra_state(self) -> Tensor:
        """Return the history as uint8, since savers of a state, and users, take each entry for a tensor."""
        return torch.frombuffer(bytearray(self.history.to_json().encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore what :meth:`get_extra_state` gave."""
        self.history.load_json(state.cpu().numpy().tobytes().decode())

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if prefix:  # averages of a network (timm's EMA) and sharded checkpoints need tensors that keep their shapes
            del destination[f"{prefix}_extra_state"]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        # states of a network, of earlier versions, and of torch's cross-entropy have no history
        state_dict.setdefault(f"{prefix}_extra_state", self.get_extra_state())
        super()._load_from_state_dict(state_dict, prefix, *rest)
