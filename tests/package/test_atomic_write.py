"""A file is replaced in one piece or not at all."""

from pathlib import Path

import pytest

from clesmote_losses.atomic_write import atomic_write


def test_a_body_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_text("old")

    def killed() -> None:
        with atomic_write(path) as unfinished:
            unfinished.write_text("half of the ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as unfinished:
        unfinished.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_permissions_that_others_of_this_process_have(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "whole") as unfinished:
        unfinished.touch(mode=0o600)  # as safetensors does
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode
