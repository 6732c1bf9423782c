"""The history of the loss in a host: its file in the folder of a run, and its columns class by class."""

import math
from pathlib import Path

from clesmote_losses.atomic_write import atomic_write
from clesmote_losses.distributed import from_rank_0
from clesmote_losses.history import LossHistory
from clesmote_losses.smote.class_names import names_by_index
from clesmote_losses.smote.dataset import SMOTEDataset

HISTORY_FILE = "smote-history.json"  # in the folder of a run
MOST_CLASSES = 20  # with columns of their own
_COLUMNS = ("share_capped", "mean_cap", "loss_synthetic", "loss_real")


def classes_with_columns(train_set: SMOTEDataset) -> dict[int, str]:
    """Return the names of the classes with over-sampled or synthetic samples; none if there are over :data:`MOST_CLASSES`."""
    names, classes = names_by_index(train_set.base), train_set.capped_classes
    return {} if len(classes) > MOST_CLASSES else {label: names.get(label, str(label)) for label in classes}


def class_columns(history: LossHistory, classes: dict[int, str]) -> dict[str, float]:
    """Return the numbers of the last epoch, such as ``share_capped_cat``; NaN where there is none."""
    numbers = history.epochs[-1]["classes"] if history.epochs else {}
    values = {f"{key}_{name}": numbers.get(label, {}).get(key) for label, name in classes.items() for key in _COLUMNS}
    return {column: math.nan if value is None else value for column, value in values.items()}


def save_history(history: LossHistory, folder: Path) -> None:
    """Write the epochs of all classes, as of :attr:`LossHistory.epochs`, in JSON."""
    with atomic_write(folder / HISTORY_FILE) as path:
        path.write_text(history.to_json())


def load_history(history: LossHistory, folder: Path, epoch: int) -> Path | None:
    """Restore the epochs before ``epoch`` on every rank; return the file if it is missing, else ``None``.

    Raises:
        ValueError: If the file holds something else.
    """
    file = folder / HISTORY_FILE
    text = from_rank_0(lambda: file.read_text() if file.exists() else None)
    if text is None:
        return file
    try:
        history.load_json(text)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(
            f"{file} is no history of a loss ({error!r}): delete it, and the history begins anew."
        ) from error
    history.epochs[:] = [row for row in history.epochs if row["epoch"] < epoch]
    return None
