"""Calls side by side in worker processes, as many as the memory budget has room for."""

from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psutil
from joblib.externals.loky import get_reusable_executor

from glomfeat.core.memory import PeakMemory, format_bytes, held_bytes, tree_bytes
from glomfeat.core.progress import track, waiting_for

PROCESS_BYTES = 260_000_000
LOOK_S = 0.5
IDLE_S = 600
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Call:
    """Something to be done in a worker process.

    Attributes
    ----------
    item : object
        Given to the function.
    need : int
        Bytes that it takes on top of what its process holds.
    """

    item: Any
    need: int


@dataclass(frozen=True)
class Ended:
    """A call that has ended.

    Attributes
    ----------
    item : object
    found : object
        What the function returned; None where its worker was killed.
    lost : str
        Why there is no result; empty where there is one.
    tree_bytes : int
        The most that all processes together held while it ran.
    """

    item: Any
    found: Any
    lost: str
    tree_bytes: int


@contextmanager
def no_workers_left():
    """End worker processes on leaving.

    They look for a user's modules where they were started, and joblib, which finds them in the place of its own, takes
    them for its own.
    """
    try:
        yield
    finally:
        with waiting_for(lambda: "waiting for worker processes of this machine to end"):
            get_reusable_executor().shutdown(wait=True)


def how_many(calls, jobs, budget):
    """How many processes may run side by side, and how many bytes their calls may take together.

    Parameters
    ----------
    calls : list of Call
    jobs : int
        At the most.
    budget : int
        Bytes of all processes, this one included.

    Returns
    -------
    workers, free : int
        One worker at the least.
    """
    rest = budget - held_bytes(psutil.Process())
    largest = max(call.need for call in calls)
    workers = max([1, *(n for n in range(1, jobs + 1) if rest - n * PROCESS_BYTES >= largest)])
    return min(workers, len(calls)), rest - workers * PROCESS_BYTES


def side_by_side(function, calls, what, jobs, budget, threads=1, cluster=None):
    """Do calls in worker processes, each admitted as soon as the needs of all that run fit the budget, largest first.

    Where a worker is killed, as systems do for want of memory, what ran at that moment is done again, each call
    alone; a call whose worker is then killed once more is lost, and the others go on.

    Parameters
    ----------
    function : callable
        Of a module, so that it can be sent.
    calls : list of Call
    what : str
        Shown with the progress.
    jobs : int
        Processes at the most. With 1 the calls are done in this process.
    budget : int
        Bytes of all processes.
    threads : int
        Of numeric libraries in each worker.
    cluster : glomfeat.core.cluster.calls.Cluster or None
        Does the calls instead of processes of this machine, one at a time in each of its workers; `jobs` and `budget`
        are then not used.

    Yields
    ------
    Ended
        As they end.

    Examples
    --------
    >>> [ended.found for ended in side_by_side(abs, [Call(-1, 0), Call(2, 0)], "calls", 1, 10**9)]
    [1, 2]
    """
    # what takes much mostly takes long, and what takes long must not begin when the others have ended
    in_turn = sorted(calls, key=lambda call: -call.need)
    if calls and cluster:
        yield from track(cluster.each(function, in_turn, threads), what, len(calls))
    elif calls and jobs == 1:
        yield from track(_here(function, calls), what, len(calls))
    elif calls:
        yield from track(_in_workers(function, in_turn, jobs, budget, threads), what, len(calls))


def _here(function, calls):
    for call in calls:
        with PeakMemory(tree_bytes, LOOK_S) as memory:
            found = function(call.item)
        yield Ended(call.item, found, "", memory.peak_bytes)


def _in_workers(function, calls, jobs, budget, threads):
    workers, free = how_many(calls, jobs, budget)
    suspects = []
    start = partial(get_reusable_executor, workers, timeout=IDLE_S, env={name: str(threads) for name in THREADS})
    try:
        for call, killed, ended in _until_done(function, calls, workers, free, start):
            if killed:
                suspects.append(call)
            else:
                yield ended
        for suspect in suspects:
            for call, killed, ended in _until_done(function, [suspect], 1, free, start):
                yield replace(ended, lost=why_lost(call, budget)) if killed else ended
    except BaseException:
        start().shutdown(wait=False, kill_workers=True)
        raise


def _until_done(function, waiting, workers, free, start):
    """Give each call, whether a worker was killed while it ran, and how it ended."""
    running, peaks, memory = {}, {}, PeakMemory(tree_bytes)
    while waiting or running:
        pool = start()
        for call in _admitted(waiting, list(running.values()), workers, free):
            future = pool.submit(function, call.item)
            running[future], peaks[future] = call, 0
        ended, _ = wait(running, LOOK_S, FIRST_COMPLETED)
        now = memory.look_if_rested()
        peaks = {future: max(peaks[future], now) for future in running}
        if any(isinstance(future.exception(), BrokenProcessPool) for future in ended):
            ended, _ = wait(running)  # all that ran fail with it
            pool.shutdown(wait=True, kill_workers=True)
        for future in ended:
            call, killed = running.pop(future), isinstance(future.exception(), BrokenProcessPool)
            yield call, killed, Ended(call.item, None if killed else future.result(), "", peaks[future])


def _admitted(waiting, running, workers, free):
    """Take out of the queue what may be given out now: as much again as workers do, lest one of them waits for more.

    They do it in order, so that whichever run at a moment fit the budget: the largest do. What does not fit beside
    anything runs alone.
    """
    given = [call.need for call in running]
    for call in list(waiting):
        if len(given) == 2 * workers:
            return
        if not given or sum(sorted([*given, call.need])[-workers:]) <= free:
            waiting.remove(call)
            given.append(call.need)
            yield call


def why_lost(call, budget, where="this machine"):
    """What is said of a call that was lost.

    Parameters
    ----------
    call : Call
    budget : int
        Bytes.
    where : str
        Where there was most likely too little memory.

    Returns
    -------
    str
    """
    took = f"{format_bytes(call.need)} beside {format_bytes(PROCESS_BYTES)} of the process"
    return (
        f"memory: its worker process was killed twice, most likely for want of memory (planned {took}, budget "
        f"{format_bytes(budget)}): free memory on {where}, or take a smaller reducer, and run the same command "
        "again"
    )
