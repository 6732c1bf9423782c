"""The functions that replace those of timm's ``train.py``."""

import inspect
import logging
import sys
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
import yaml  # which timm needs too
from torch import nn

from clesmote_losses.capped_loss import CappedSMOTELoss
from clesmote_losses.classifier import unwrap
from clesmote_losses.epochs import begin_epoch, end_epoch, tracker_of
from clesmote_losses.hosts import recipe
from clesmote_losses.hosts.class_balance import balance_options, keeps_own_loss
from clesmote_losses.hosts.history import (
    HISTORY_FILE,
    MOST_CLASSES,
    class_columns,
    classes_with_columns,
    load_history,
    save_history,
)
from clesmote_losses.hosts.options import Options
from clesmote_losses.hosts.timm.flags import TESTED, check_script_arguments, errors_as_flags
from clesmote_losses.hosts.timm.head import HeadStage
from clesmote_losses.hosts.timm.report import ReportStage
from clesmote_losses.hosts.timm.script_loss import OwnLoss, loss_options, warn_of_uneven_weights
from clesmote_losses.hosts.timm.transforms import evaluation_transform, normalized_transform
from clesmote_losses.rebalanced_head import Kind
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.transform_probe import Transform

_OF_THE_DATA_SET = ("reader", "parser", "filename", "filenames", "classes", "class_to_idx")  # that a script may ask for
_REPLACED = ("_parse_args", "create_dataset", "create_loader", "train_one_epoch")
_logger = logging.getLogger(__name__)


class Stages:
    """Run the method inside the script: synthetic samples in its training set, pretraining before its first epoch, caps.

    Args:
        given: Flags of the method on the command line. Without any, and without a recorded run as ``--config``, the
            script's functions run unchanged.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.original: dict[str, Any] = {}
        self.refusal: str | None = None
        self.args = Namespace()
        self.options: Options | None = None
        self.train_set: SMOTEDataset | None = None
        self.evaluation_set: Any = None
        self.criterion: Any = None  # CappedSMOTELoss or OwnLoss
        self.eval_transform: Transform | None = None
        self.head: HeadStage | None = None
        self.report: ReportStage | None = None
        self.columns: dict[int, str] = {}  # classes that have some in summary.csv, and their names

    def put_into(self, script: ModuleType) -> None:
        """Replace the functions of the script.

        Raises:
            ValueError: If flags of the method were given and the script lacks a function.
        """
        missing = [name for name in (*_REPLACED, "main") if not callable(getattr(script, name, None))]
        if "train_one_epoch" not in missing:
            parameters = inspect.signature(script.train_one_epoch).parameters
            missing += [f"train_one_epoch({n}=)" for n in ("epoch", "model", "loader", "args") if n not in parameters]
            if not parameters.keys() & {"task", "loss_fn"}:
                missing.append("train_one_epoch(task=) or (loss_fn=)")
        if missing:
            self.refusal = (
                f"{script.__file__} has no {', '.join(missing)}, so it is not a train.py that the flags support. Tested with {TESTED}. "
                "For your own loop see integrations/plain_loop.py."
            )
        if missing and self.given:
            raise ValueError(self.refusal)
        for name in _REPLACED:
            if name not in missing:
                self.original[name] = getattr(script, name)
                setattr(script, name, getattr(self, name.lstrip("_")))

    def parse_args(self) -> tuple[Namespace, str]:
        """Parse the script's arguments, and add the options of the method as ``clesmote``."""
        args, text = self.original["_parse_args"]()
        if self.given == {"smote": "none"}:
            args.clesmote = None
            return args, yaml.safe_dump(vars(args), default_flow_style=False)
        recorded = getattr(args, "clesmote", None)  # of an earlier run's args.yaml, as --config
        resumed = getattr(args, "resume", None)
        if not self.given and not recorded:
            if resumed and (Path(resumed).parent / recipe.PLAN_FILE).exists():
                _logger.warning(
                    "%s was trained with the method, and this run goes on without it: add its flags, or -c %s.",
                    resumed,
                    Path(resumed).parent / "args.yaml",
                )
            return args, text
        with errors_as_flags():
            if self.refusal is not None:
                raise ValueError(self.refusal)
            options = Options.from_given(self.given, recorded)
            if options.makes_samples:
                check_script_arguments(args, options)
                self.options = options
        if options.rebalance_head is not None:
            self.head = HeadStage(cast(Kind, options.rebalance_head))
        if options.smote_report:
            self.report = ReportStage()
        self.args = args
        args.clesmote = options.recorded()
        return args, yaml.safe_dump(vars(args), default_flow_style=False)

    def create_dataset(self, *values: Any, **keywords: Any) -> Any:
        """Make the script's data set; wrap it if it is the training set.

        Raises:
            SystemExit: With a message, if the data do not suit the options, or classes differ between training and validation.
        """
        dataset = self.original["create_dataset"](*values, **keywords)
        if self.head is not None:
            with errors_as_flags():
                self.head.see_dataset(dataset, bool(keywords.get("is_training")))
        if self.options is None:
            return dataset
        if not keywords.get("is_training"):
            self.evaluation_set = dataset
            if self.train_set is not None:
                with errors_as_flags():
                    recipe.check_same_classes(self.train_set, dataset)  # which knows the script's reader
            return dataset
        resumed = getattr(self.args, "resume", None)
        with errors_as_flags(OSError, RuntimeError):
            self.train_set = recipe.training_set(
                dataset,
                self.options,
                num_classes=getattr(self.args, "num_classes", None),
                resumed_plan=Path(resumed).parent / recipe.PLAN_FILE if resumed else None,
            )
            recipe.check_same_classes(dataset, self.evaluation_set)
        for name in _OF_THE_DATA_SET:
            if hasattr(dataset, name) and not hasattr(self.train_set, name):
                vars(self.train_set)[name] = getattr(dataset, name)  # to read: assigning it is refused
        self._log(recipe.description(self.train_set))
        real, all_samples = len(dataset), len(self.train_set)
        if all_samples > real:
            self._log(
                f"an epoch has {all_samples} samples instead of {real}: with the same number of epochs the run makes "
                f"{all_samples / real:.2f} times as many steps, and what counts epochs (schedules, warm-up) lasts as much longer"
            )
        classes, outputs = len(np.unique(self.train_set.labels)), getattr(self.args, "num_classes", None)
        if outputs is not None and outputs != classes:
            _logger.warning("the training set has %d classes and the model num_classes=%d.", classes, outputs)
        return self.train_set

    def create_loader(self, *values: Any, **keywords: Any) -> Any:
        """Make the script's loader."""
        if (self.options or self.head) is not None and keywords.get("num_workers") == 0:
            # timm up to 1.0.28 asks for persistent workers even without workers, which torch refuses
            keywords.setdefault("persistent_workers", False)
        return self.original["create_loader"](*values, **keywords)

    def train_one_epoch(self, *values: Any, **keywords: Any) -> Any:
        """Train the script's epoch with the capped loss, and add its counts to the metrics."""
        original = self.original["train_one_epoch"]
        if self.options is None and self.head is None:
            return original(*values, **keywords)
        call = inspect.signature(original).bind(*values, **keywords)
        if self.head is not None:
            with errors_as_flags():
                self.head.see_epoch(dict(call.arguments))
        if self.options is None:
            return original(*values, **keywords)
        given, epoch = call.arguments, call.arguments["epoch"]
        if self.train_set is None:
            raise SystemExit(
                "clesmote-timm: error: the script made no training set by create_dataset(is_training=True)."
            )
        if self.criterion is None:
            self.criterion = self._start(self.options, self.train_set, given)
        sampler: Any = getattr(given["loader"], "sampler", None)
        if hasattr(sampler, "set_epoch"):
            # most scripts set the epoch of the sampler only if the data set has no set_epoch, and SMOTEDataset has one
            sampler.set_epoch(epoch)
        if self.report is not None:
            self.report.begin_epoch(given, self.criterion, self.train_set, self.eval_transform)
        batch_size = getattr(self.args, "validation_batch_size", None) or self.args.batch_size
        world_size = getattr(self.args, "world_size", 1)
        reading = recipe.refresh_options(
            self.train_set, batch_size=batch_size, num_workers=self.args.workers, world_size=world_size
        )
        with given.get("amp_autocast", nullcontext)():  # as in the forward passes of training
            begin_epoch(self.criterion, self.train_set, epoch, transform=self.eval_transform, **reading)
        if "task" in given:
            given["task"].criterion = self.criterion
        else:
            given["loss_fn"] = self.criterion
        metrics = original(*call.args, **call.kwargs)
        stats = recipe.statistics(end_epoch(self.criterion), self.options)
        self._log(f"epoch {epoch}: " + recipe.describe_statistics(stats))
        tracker, folder = tracker_of(self.criterion), given.get("output_dir")
        if folder and tracker is not None and tracker.mode == "online":
            interval = getattr(self.args, "val_interval", 1)

            def is_kept(earlier: int) -> bool:  # the last checkpoint saved may be as old as the interval
                return earlier >= epoch - interval or (Path(folder) / f"checkpoint-{earlier}.pth.tar").exists()

            recipe.save_centroids(tracker, Path(folder), epoch, is_kept)
        if isinstance(self.criterion, CappedSMOTELoss):
            stats |= class_columns(self.criterion.history, self.columns)
            if folder:
                save_history(self.criterion.history, Path(folder))
        if isinstance(metrics, dict):
            metrics.update(stats)  # timm writes them to summary.csv, and to W&B with --log-wandb
        return metrics

    def finish(self) -> None:
        """Write the report and fit the classifier again, if asked for, after the script's ``main`` has returned.

        Raises:
            SystemExit: With a message, if it cannot be fitted. The checkpoints of the script are written by then.
        """
        if self.report is not None:
            self.report.finish()
        if self.head is not None:
            with errors_as_flags(OSError, RuntimeError):
                self.head.finish(self.args)

    def _start(self, options: Options, train_set: SMOTEDataset, given: dict[str, Any]) -> Any:
        """Pretrain, and make tracker and loss, before the first epoch."""
        args, model = given["args"], unwrap(given["model"])
        self.eval_transform = evaluation_transform(args, model)
        with errors_as_flags():
            replaced = getattr(given["task"], "criterion", None) if "task" in given else given["loss_fn"]
            if keeps_own_loss(options) and callable(replaced):
                criterion: Any = OwnLoss(replaced)
            else:
                of_loss = balance_options(train_set, args.num_classes, options, **loss_options(replaced))
                criterion = recipe.build_loss(model, args.num_classes, options, **of_loss)
        warn_of_uneven_weights(replaced, train_set.oversampled_classes)
        tracker, resumed = tracker_of(criterion), getattr(args, "resume", None)
        if isinstance(criterion, CappedSMOTELoss):
            self.columns = classes_with_columns(train_set)
            if not self.columns and train_set.blended_classes:
                self._log(
                    f"over {MOST_CLASSES} classes have synthetic samples: their numbers are in {HISTORY_FILE} alone"
                )
            if resumed:
                with errors_as_flags():
                    missing = load_history(criterion.history, Path(resumed).parent, given["epoch"])
                if missing is not None:
                    self._log(f"{missing} is missing: the history begins with epoch {given['epoch']}")
        if resumed and tracker is not None and tracker.mode == "online":
            with errors_as_flags():
                missing = recipe.load_centroids(tracker, Path(resumed).parent, given["epoch"] - 1)
            if missing is not None:
                self._log(f"{missing} is missing: the first epoch has no caps")
        if options.triplet_epochs and resumed:
            self._log("no triplet pretraining in a resumed run")
        elif options.triplet_epochs:
            self._pretrain(options, train_set, model, given)
        self._log(
            f"the loss is {' '.join(str(criterion).split())}"
            + ("" if tracker is None else f", centroids by {tracker.mode}")
        )
        if given.get("output_dir"):
            train_set.plan.save(Path(given["output_dir"]) / recipe.PLAN_FILE)
        return criterion

    def _pretrain(self, options: Options, train_set: SMOTEDataset, model: nn.Module, given: dict[str, Any]) -> None:
        args, transform = given["args"], train_set.transform
        # with --train-img-sizes the data set has no transform: the loader has one for each size
        own = self.eval_transform if transform is None else normalized_transform(transform, given["loader"])
        recipe.pretrain(
            model,
            train_set,
            options,
            transform=own,
            batch_size=args.batch_size,
            amp=getattr(torch, args.amp_dtype) if args.amp else None,
            num_workers=args.workers,
            seed=args.seed,
            progress=sys.stderr.isatty(),  # no bar in a log file
        )
        # the moving average still has the weights from before the pretraining
        average: Any = given.get("model_ema") or getattr(given.get("task"), "trainable_module_ema", None)
        if average is not None:
            getattr(average, "_orig_mod", average).set(model)

    def _log(self, message: str) -> None:
        if getattr(self.args, "rank", 0) == 0:
            _logger.info("CLE-SMOTE: %s", message)
