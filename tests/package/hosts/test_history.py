"""The history in a host: columns of the classes that are raised, and its file."""

import math
from pathlib import Path

import pytest
import torch
from imblearn.over_sampling import SMOTE
from torch.utils.data import TensorDataset

from clesmote_losses import CappedSMOTELoss, SMOTEDataset, begin_epoch, end_epoch
from clesmote_losses.history import LossHistory
from clesmote_losses.hosts.history import (
    HISTORY_FILE,
    MOST_CLASSES,
    class_columns,
    classes_with_columns,
    load_history,
    save_history,
)


class Named(TensorDataset):
    """As torchvision's ImageFolder, it knows the names of some classes."""

    class_to_idx = {"big": 0, "cat": 1}  # noqa: RUF012


def train_set(small: int, base: type[TensorDataset] = Named) -> SMOTEDataset:
    """One class of 4 images, and some of 3."""
    labels = torch.tensor([0] * 4 + [label for label in range(1, small + 1) for _ in range(3)])
    return SMOTEDataset(base(torch.rand(len(labels), 3, 4, 4), labels), sampler=SMOTE(k_neighbors=2))


def trained(epochs: int) -> LossHistory:
    criterion = CappedSMOTELoss(0.5, distance=None, gradient="scale")
    for epoch in range(epochs):
        begin_epoch(criterion, train_set(2), epoch)
        flags = torch.tensor([False, True, False])
        criterion(torch.zeros(3, 3), torch.tensor([0, 1, 1]), is_synthetic=flags)
        end_epoch(criterion)
    return criterion.history


def test_the_raised_classes_have_columns_of_their_folder_or_index() -> None:
    classes = classes_with_columns(train_set(2))
    assert classes == {1: "cat", 2: "2"}
    columns = class_columns(trained(1), classes)
    cat = {"share_capped_cat": 1, "mean_cap_cat": 0.5, "loss_synthetic_cat": math.log(3), "loss_real_cat": math.log(3)}
    none = {f"{key[:-4]}_2": math.nan for key in cat}
    assert columns == pytest.approx(cat | none, nan_ok=True)
    assert list(class_columns(LossHistory(), classes)) == list(columns)  # the header of a file of rows does not change


def test_more_classes_than_a_table_holds_have_no_columns() -> None:
    assert len(classes_with_columns(train_set(MOST_CLASSES, TensorDataset))) == MOST_CLASSES
    assert classes_with_columns(train_set(MOST_CLASSES + 1, TensorDataset)) == {}


def test_a_file_gives_back_the_epochs_before_the_one_that_begins(tmp_path: Path) -> None:
    whole, resumed = trained(3), LossHistory()
    save_history(whole, tmp_path)
    assert load_history(resumed, tmp_path, 2) is None
    assert resumed.epochs == whole.epochs[:2]
    assert load_history(resumed, tmp_path / "elsewhere", 2) == tmp_path / "elsewhere" / HISTORY_FILE
    for text in ("", "{}}", "[1]", '[{"epoch": 0}]', '[{"epoch": 0, "classes": []}]'):
        (tmp_path / HISTORY_FILE).write_text(text)
        with pytest.raises(ValueError, match=rf"{HISTORY_FILE} is no history of a loss .*: delete it"):
            load_history(LossHistory(), tmp_path, 2)
