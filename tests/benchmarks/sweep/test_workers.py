"""Several processes that make runs, one that is killed, and a run that fails."""

import multiprocessing
import time

import pytest

from benchmarks.__main__ import main
from benchmarks.sweep.store import Results
from benchmarks.training.run import Run
from tests.support.run_process import run_waves
from tests.support.tiny_runs import command, lines, without_times, write_waves


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_waves(tmp_path_factory.mktemp("waves"))


@pytest.fixture
def start(data, tmp_path):
    """Start ``run`` in a process of its own. All are forked from one server, which imports torch and timm only once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.run_process"])
    started = []

    def start(**options):
        log = tmp_path / f"stderr-{len(started)}.txt"
        process = context.Process(target=run_waves, args=(data, tmp_path, log), kwargs=options)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def wait_until(condition, process, folder):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.is_alive(), [path.read_text() for path in folder.glob("stderr-*.txt")]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_run_is_made_again_and_nothing_else_and_two_processes_share_the_work(start, tmp_path):
    options = {"methods": ("none", "smote"), "steps": 40, "trials": 3}
    path = tmp_path / "runs.jsonl"
    process = start(**options)
    wait_until(lambda: path.exists() and path.read_bytes(), process, tmp_path)
    process.kill()
    process.join()
    first = path.read_bytes()
    done = len(first.splitlines())
    assert 1 <= done < 6
    with path.open("ab") as file:
        file.write(b'{"id": "none-seed')  # killed while it wrote
    processes = [start(**options) for _ in range(2)]
    for process in processes:
        process.join(240)
    assert [process.exitcode for process in processes] == [0, 0]
    assert path.read_bytes().startswith(first)
    records = lines(tmp_path)
    assert len(records) == len({record["id"] for record in records}) == 6


@pytest.mark.slow
def test_several_processes_make_the_same_lines_as_one(data, tmp_path):
    options = ("--methods", "none", "smote", "cle-smote", "--lr", "1e-3", "1e-2")
    found = []
    for jobs in ("1", "2"):
        main(command(data, tmp_path / jobs, *options, "--jobs", jobs))
        found.append({record["id"]: without_times(record) for record in lines(tmp_path / jobs)})
    assert found[0] == found[1]


@pytest.mark.slow
def test_workers_end_with_the_process_that_was_killed(start, tmp_path):
    process = start(methods=("none", "smote"), steps=20_000, trials=2, jobs=2)
    wait_until(lambda: len(list(tmp_path.glob("runs/*.lock"))) >= 2, process, tmp_path)
    process.kill()
    process.join()
    deadline = time.monotonic() + 60
    locks = list(tmp_path.glob("runs/*.lock"))
    results = Results(tmp_path)
    for lock in locks:  # a claim is held as long as its process lives
        while True:
            with results.claim(lock.stem) as is_free:
                if is_free:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_run_that_fails_stops_no_other(data, tmp_path, monkeypatch, capsys):
    make = Run.make

    def fails(run, *given, **options):
        if run.method.name == "smote":
            raise ValueError("no neighbours")
        return make(run, *given, **options)

    monkeypatch.setattr(Run, "make", fails)
    with pytest.raises(SystemExit, match=r"error: 2 runs have failed: smote-seed0-.*: ValueError: no neighbours"):
        main(command(data, tmp_path, "--methods", "smote", "none", "--no-tuning"))
    assert [record["config"]["method"]["name"] for record in lines(tmp_path)] == ["none", "none"]
    assert "no neighbours" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2 runs have failed"):  # tuning runs; their trials are not waited for
        main(command(data, tmp_path, "--methods", "smote", "--lr", "1e-3", "1e-2"))
    monkeypatch.undo()
    main(command(data, tmp_path, "--methods", "smote", "none", "--no-tuning"))
    assert len(lines(tmp_path)) == 4
