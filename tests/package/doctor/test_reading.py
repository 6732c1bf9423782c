from pathlib import Path
from typing import Any

import numpy as np
import torch

from clesmote_losses.doctor.image_facts import facts_of
from clesmote_losses.doctor.reading import look_at_files, look_at_items
from clesmote_losses.restore import random_states
from tests.support.class_folders import picture, write_pictures


def test_workers_read_the_same_in_the_same_order(tmp_path: Path) -> None:
    paths = sorted(map(str, write_pictures(tmp_path, {"a": 40}).rglob("*.png")))
    Path(paths[7]).write_bytes(b"")
    before = random_states()
    here, there = (look_at_files(paths, num_workers=workers) for workers in (0, 2))
    assert random_states() == before
    assert [one.digest for one in here] == [one.digest for one in there]
    assert [bool(one.error) for one in there].index(True) == 7
    assert len({one.digest for one in here}) == 40


def test_items_are_read_with_their_labels() -> None:
    def read(index: int) -> tuple[Any, Any]:
        if index == 2:
            raise OSError("gone")
        return picture(index), torch.tensor(index)

    facts, labels = look_at_items(read, 4)
    assert labels == [0, 1, None, 3]
    assert facts[2].error == "OSError: gone"
    assert facts[3].digest == facts_of(picture(3)).digest


def test_random_numbers_that_an_item_draws_are_given_back() -> None:
    before = random_states()
    look_at_items(lambda index: (np.random.rand(8, 8), 0), 3)
    assert random_states() == before
