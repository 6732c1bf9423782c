"""Fit the classifier of the best checkpoint again after the script has ended, and write a checkpoint beside it."""

import logging
from argparse import Namespace
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from clesmote_losses.atomic_write import atomic_write
from clesmote_losses.classifier import unwrap
from clesmote_losses.distributed import copy_from_rank_0, from_rank_0, get_rank, is_distributed
from clesmote_losses.hosts.timm.transforms import evaluation_transform
from clesmote_losses.rebalanced_head import Kind, rebalanced_head, writable_classifier
from clesmote_losses.smote.base_dataset import check_base

# of timm's checkpoint; optimizer and moving average belong to the old classifier
_KEPT = ("epoch", "arch", "version", "args")
_logger = logging.getLogger(__name__)


class HeadStage:
    """Watch the script's data sets and epochs, and fit the classifier when it has ended.

    Args:
        kind: As of :func:`rebalanced_head`.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._train_set: Any = None
        self._validation_set: Any = None
        self._epoch: Mapping[str, Any] | None = None

    def see_dataset(self, dataset: Any, is_training: bool) -> None:
        """Keep a data set of the script.

        Raises:
            TypeError, ValueError: If the training set is a stream or empty.
        """
        if is_training:
            check_base(dataset)
            self._train_set = dataset
        else:
            self._validation_set = dataset

    def see_epoch(self, arguments: Mapping[str, Any]) -> None:
        """Keep the arguments of ``train_one_epoch``.

        Raises:
            ValueError: Before the first epoch, if the classifier cannot be written.
        """
        if self._epoch is None:
            writable_classifier(unwrap(arguments["model"]), self.kind)
        self._epoch = arguments

    def finish(self, args: Namespace) -> None:
        """Load the best checkpoint, fit its classifier again, write the checkpoint and log the balanced accuracies.

        Every rank calls it. A script that has ended its process group leaves the work to the first rank.
        """
        if not is_distributed() and getattr(args, "rank", 0) != 0:
            return
        if self._epoch is None or self._train_set is None:
            _logger.warning("no epoch was trained, so the classifier is not fitted again.")
            return
        model, folder = unwrap(self._epoch["model"]), self._epoch.get("output_dir")

        def load() -> Path:
            from timm.models import load_checkpoint

            if not folder:
                raise ValueError(
                    "the script gives train_one_epoch no output_dir, so there is no checkpoint to fit the classifier of."
                )
            names = (f"{name}.pth.tar" for name in ("model_best", "last"))
            path = next((path for name in names if (path := Path(folder) / name).exists()), None)
            if path is None:
                raise ValueError(
                    f"{folder} has no model_best.pth.tar or last.pth.tar, whose classifier could be fitted again."
                )
            load_checkpoint(model, str(path))  # the moving average where there is one, as create_model does
            return path

        best = from_rank_0(load)
        copy_from_rank_0([*model.parameters(), *model.buffers()])
        with self._epoch.get("amp_autocast", nullcontext)():  # as in the script's evaluation
            scores = rebalanced_head(
                model,
                self._train_set,
                self.kind,
                validation_set=self._validation_set,
                transform=evaluation_transform(args, model),
                batch_size=getattr(args, "validation_batch_size", None) or args.batch_size,
                num_workers=args.workers,
            )
        if get_rank() == 0:
            written = best.with_name("model_best_rebalanced.pth.tar")
            state = torch.load(best, map_location="cpu", weights_only=False)
            with atomic_write(written) as path:
                torch.save(
                    {key: state[key] for key in _KEPT if key in state} | {"state_dict": model.state_dict()}, path
                )
            _logger.info(
                "CLE-SMOTE: classifier of %s fitted again (%s), balanced accuracy of the %s images %.3f -> %.3f: %s",
                best.name,
                self.kind,
                "training" if self._validation_set is None else "validation",
                *scores,
                written,
            )
