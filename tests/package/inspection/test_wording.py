"""How names, numbers and shares are written."""

import numpy as np
import pytest
import timm

from clesmote_losses.inspection.wording import (
    class_name,
    file_names,
    loss_in_words,
    nats,
    network_in_words,
    percent,
    shorten,
)
from tests.support.inspections import NAMES, inspected


def test_a_long_name_keeps_its_start_and_more_of_its_end():
    name = "virus/person1710_bacteria_4526.jpeg"
    assert shorten(name, len(name)) == name
    assert shorten(name, 20) == "virus/…ria_4526.jpeg"
    assert all(len(shorten(name, n)) == n for n in range(4, len(name)))


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.003, "0.3 %"), (0.0001, "under 0.1 %"), (0.874, "87 %"), (0.9999, "over 99.9 %"), (1, "100 %")],
)
def test_only_nothing_is_zero_percent_and_only_all_is_a_hundred(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"), [(3.14159, "3.14"), (0.00321, "0.003"), (0, "0.00"), (np.inf, "∞"), (np.nan, "not a number")]
)
def test_small_losses_keep_a_digit(value, text):
    assert nats(value) == text


def test_a_loss_is_written_beside_its_cap():
    assert loss_in_words(2, 1) == "loss 2.00, over its cap of 1.00"
    assert loss_in_words(1, 1) == "loss 1.00, within its cap of 1.00"
    assert loss_in_words(1, np.inf) == "loss 1.00, no cap"


def test_files_are_named_with_their_folder_and_classes_by_name_or_number():
    inspection = inspected()
    assert file_names(inspection, [3])[0].startswith("<b>rare & $x$/long")
    assert file_names(inspection, [3])[0].endswith("003.png")
    assert class_name(inspection, 0) == NAMES[0]
    assert class_name(inspection, 7) == "7"


def test_a_network_of_timm_has_its_name_there():
    assert network_in_words(timm.create_model("test_resnet", num_classes=2)) == "test_resnet, 0.37 million parameters"
