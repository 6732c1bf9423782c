"""Results on disk: lines, arrays, claims of several processes."""

import io
import multiprocessing
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sweep.store import Results, open_results, read_records
from tests.support.committed import RESULTS


def test_a_claim_is_of_one_process_at_a_time(tmp_path):
    first, second = Results(tmp_path), Results(tmp_path)
    with first.claim("a") as mine, second.claim("a") as theirs, second.claim("b") as other:
        assert (mine, theirs, other) == (True, False, True)
        first.add({"id": "a"})
    with second.claim("a") as again:
        assert not again  # it is done
    assert second.has("a")


def test_two_processes_keep_each_others_lines(tmp_path):
    first, second = Results(tmp_path), Results(tmp_path)  # each has seen an empty file
    for i, results in enumerate((first, second, first, second)):
        results.add({"id": f"run{i}"})
    assert list(Results(tmp_path).records) == ["run0", "run1", "run2", "run3"]
    assert list(first.records) == ["run0", "run1", "run2"]
    first.reload()
    assert list(first.records) == ["run0", "run1", "run2", "run3"]


def test_a_line_that_is_no_record_is_named(tmp_path):
    Results(tmp_path).add({"id": "a"})
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write("[1]\n")
    with pytest.raises(ValueError, match=r"line 2 of .* is no record of a run"):
        read_records(tmp_path)


def test_lines_of_several_files_are_read_together(tmp_path):
    Results(tmp_path).add({"id": "a"})
    (tmp_path / "another-machine.jsonl").write_text('{"id": "b"}\n')
    assert read_records(tmp_path).keys() == {"a", "b"}


def test_arrays_belong_to_their_line(tmp_path):
    results = Results(tmp_path)
    results.add({"id": "a"}, {"scores": np.arange(3)})
    assert results.arrays("a")["scores"].tolist() == [0, 1, 2]
    assert results.has("a")
    (tmp_path / "runs" / "a.npz").unlink()
    assert not Results(tmp_path).has("a")


def test_a_line_without_line_feed_does_not_count_and_is_overwritten(tmp_path):
    Results(tmp_path).add({"id": "a"})
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"id": "killed"}')
    results = Results(tmp_path)
    assert results.records.keys() == {"a"}
    results.add({"id": "b"})
    assert (tmp_path / "runs.jsonl").read_text() == '{"id": "a"}\n{"id": "b"}\n'


def test_a_run_whose_network_is_wanted_is_done_when_that_is_there(tmp_path):
    results = Results(tmp_path)
    results.add({"id": "a"})
    assert results.has("a")
    assert not results.has("a", with_weights=True)
    results.weights("a").touch()
    assert results.has("a", with_weights=True)


def test_a_failed_run_can_be_claimed_again_and_a_done_one_leaves_no_lock(tmp_path):
    results = Results(tmp_path)
    with suppress(RuntimeError), results.claim("a") as is_mine:
        assert is_mine
        raise RuntimeError
    with results.claim("a") as is_mine:
        assert is_mine
    assert not list(tmp_path.glob("runs/a.*"))


class SlowFile(io.BufferedRandom):
    def read(self, *given):
        content = super().read(*given)
        time.sleep(0.005)  # for another process to write meanwhile, if nothing prevents it
        return content


def add_many(folder, name):
    results = Results(folder)
    results.reload = lambda: None
    Path.open = lambda path, mode: SlowFile(io.FileIO(path, mode))
    for i in range(10):
        results.add({"id": f"{name}{i}"})


def test_processes_that_write_at_the_same_time_lose_no_line(tmp_path):
    # threads that a fork loses would not matter: the children only write files
    processes = [multiprocessing.get_context("fork").Process(target=add_many, args=(tmp_path, name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(read_records(tmp_path)) == 30
    assert (tmp_path / "runs.jsonl").read_text().count("\n") == 30


def test_the_committed_lines_are_readable():
    folders = sorted({path.parent for path in RESULTS.glob("*/*.jsonl")})
    assert len(folders) > 5
    assert all(read_records(folder) for folder in folders)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^--out .*file/a cannot be written to: Not a directory\.$"):
        open_results(tmp_path / "file" / "a")


def test_a_hidden_file_beside_the_lines_is_not_read(tmp_path):
    (tmp_path / "runs.jsonl").write_text('{"id": "a"}\n')
    (tmp_path / "._runs.jsonl").write_bytes(b"\x00\x05\x16\x07\n")  # macOS leaves one when it copies the folder
    assert list(read_records(tmp_path)) == ["a"]
