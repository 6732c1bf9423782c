"""Making of runs: by this process, by several, or by several that were started separately with the same folder."""

import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from tqdm import tqdm

from benchmarks.sweep.schedule import Schedule
from benchmarks.sweep.store import Results
from benchmarks.training.run import Record, Run

_PAUSE = 0.5  # seconds


class RunsFailedError(RuntimeError):
    """Some runs have failed, and the others were made."""


class Runs(Protocol):
    """What says which runs to make; a :class:`Schedule` is one."""

    def ready(self, records: dict[str, Record]) -> tuple[Sequence[Run], int]:
        """Return the runs that can be made now, in order, and how many wait for them."""


class Job(Protocol):
    """Plain values that each worker makes the same schedule of."""

    @property
    def threads(self) -> int:
        """Return the number of threads of torch on the CPU."""

    @property
    def save_weights(self) -> bool:
        """Return whether the network of each run is kept."""

    def lay_out(self) -> tuple[Schedule, Results, torch.device]:
        """Return the runs, where they are kept and the device."""


def work(
    schedule: Runs,
    results: Results,
    device: torch.device,
    *,
    save_weights: bool,
    on_steps: Callable[[int], object],
) -> None:
    """Make runs until all are done; those that other processes make are waited for.

    Raises:
        RunsFailedError: At the end, if runs have failed; the others were made.
    """
    failed: dict[str, str] = {}

    def make(run: Run) -> bool:
        """Make a run, unless another process does; return whether it was tried."""
        with results.claim(run.id, with_weights=save_weights) as is_mine:
            if is_mine:
                weights = results.weights(run.id) if save_weights else None
                try:
                    results.add(*run.make(device, on_steps=on_steps, weights=weights))
                except Exception as error:  # one method on one experiment must not stop all others
                    traceback.print_exc()
                    failed[run.id] = f"{type(error).__name__}: {error}"
            return is_mine

    while True:
        results.reload()
        ready, waiting = schedule.ready(results.records)
        missing = [run for run in ready if not results.has(run.id, with_weights=save_weights)]
        left = [run for run in missing if run.id not in failed]
        if not left and (failed or not waiting):
            break
        if not any(make(run) for run in left):
            time.sleep(_PAUSE)  # others make them all
    if failed:
        raise RunsFailedError(
            f"{len(failed)} runs have failed: {'; '.join(f'{run}: {why}' for run, why in failed.items())}"
        )


def work_in_processes(job: Job, processes: int, total_steps: int) -> None:
    """Let several processes work, and show their progress.

    Raises:
        RunsFailedError: If one of them fails; its message is on stderr.
    """
    # not forked: threads of torch do not survive it
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    workers = [context.Process(target=_worker, args=(job, counter), daemon=True) for _ in range(processes)]
    for worker in workers:
        worker.start()
    try:
        with progress_bar(total_steps) as bar:
            while any(worker.is_alive() for worker in workers):
                time.sleep(_PAUSE)
                bar.update(counter.value - bar.n)
            bar.update(counter.value - bar.n)
        if any(worker.exitcode for worker in workers):
            raise RunsFailedError("a worker has failed; what it said is above. Runs that were done are kept.")
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _worker(job: Job, counter: Any) -> None:
    torch.set_num_threads(job.threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them; the parent ends the workers

    parent = multiprocessing.parent_process()

    def count(steps: int) -> None:
        if parent is not None and not parent.is_alive():
            sys.exit(1)  # killed: nobody is there to stop this process
        with counter.get_lock():
            counter.value += steps

    schedule, results, device = job.lay_out()
    try:
        work(schedule, results, device, save_weights=job.save_weights, on_steps=count)
    except RunsFailedError as error:
        sys.exit(str(error))


def progress_bar(total_steps: int) -> "tqdm[Any]":
    """Return a progress bar of optimizer steps, with the time left; a log file gets a line every ten seconds."""
    on_screen = sys.stderr.isatty()
    return tqdm(
        total=total_steps,
        unit="step",
        disable=not total_steps,
        mininterval=0.1 if on_screen else 10,
        dynamic_ncols=on_screen,
    )
