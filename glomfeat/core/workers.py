"""Calls side by side in worker processes, as many as the memory budget has room for."""

import re
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor

from glomfeat.core.memory import PeakMemory, format_bytes, held_bytes, tree_bytes
from glomfeat.core.part_errors import PartError, placed, what_raised
from glomfeat.core.progress import track, waiting_for
from glomfeat.core.starting import deaf_to_ctrl_c
from glomfeat.core.watched import NotSent, how_it_ended, limited, pack, watch

PROCESS_BYTES = 260_000_000
LOOK_S = 0.5
IDLE_S = 600
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Call:
    """A call to make in a worker process.

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
        What the function returned; None if its worker was killed.
    lost : str
        Why there is no result; empty if there is one.
    tree_bytes : int
        The most that all processes together held while it ran.
    by_itself : bool
        Whether it was lost through its own doing, and not for lack of memory.
    """

    item: Any
    found: Any
    lost: str
    tree_bytes: int
    by_itself: bool = False

    @property
    def status(self):
        """The status of a trial whose call was lost."""
        return "failed" if self.by_itself else "skipped"


_KEPT = []  # processes that wait for the next call, with what they were started for


@contextmanager
def no_workers_left():
    """End all worker processes after a block.

    They look for a user's modules where they were started. And joblib, finding those that scikit-learn uses in the
    place of its own, takes them for its own.
    """
    try:
        yield
    finally:
        with waiting_for(lambda: "waiting for worker processes of this machine to end"):
            while _KEPT:
                _KEPT.pop()[1].shutdown(wait=True)
            get_reusable_executor().shutdown(wait=True)


def how_many(calls, jobs, budget):
    """How many processes may run side by side, and how many bytes their calls may take together.

    Parameters
    ----------
    calls : list of Call
    jobs : int
        At most this many.
    budget : int
        Bytes for all processes, including this one.

    Returns
    -------
    workers, free : int
        At least one worker.
    """
    rest = budget - held_bytes(psutil.Process())
    largest = max(call.need for call in calls)
    workers = max([1, *(n for n in range(1, jobs + 1) if rest - n * PROCESS_BYTES >= largest)])
    return min(workers, len(calls)), rest - workers * PROCESS_BYTES


def side_by_side(function, calls, what, jobs, budget, threads=1, cluster=None, apart=False, seconds=None):
    """Make calls in worker processes, largest first, each as soon as the needs of all that run fit the budget.

    If a worker is killed, as systems do when memory runs out, its call is made again, alone; if that worker is killed
    too, the call is lost and the others go on. A call that ends its process itself, or takes too long, is lost at once.

    Parameters
    ----------
    function : callable
        Defined in a module, so that it can be sent.
    calls : list of Call
    what : str
        Shown with the progress.
    jobs : int
        At most this many processes. With 1 the calls are made in this process.
    budget : int
        Bytes for all processes.
    threads : int
        Threads of numeric libraries in each worker.
    cluster : glomfeat.core.cluster.calls.Cluster or None
        Makes the calls instead of processes of this machine, one at a time in each of its workers; `jobs`, `budget` and
        the parameters below are then not used.
    apart : bool
        Whether to use a worker process even with one job, because parts of the user's own may end it. What cannot be
        sent there is done in this process.
    seconds : float, optional
        How long each block of `glomfeat.core.watched.limited` in the function may take. Calls are then made `apart`.

    Yields
    ------
    Ended
        In the order in which they end.

    Examples
    --------
    >>> [ended.found for ended in side_by_side(abs, [Call(-1, 0), Call(2, 0)], "calls", 1, 10**9)]
    [1, 2]
    """
    # what takes much memory mostly takes long, and should not begin when all others have ended
    in_turn = sorted(calls, key=lambda call: -call.need)
    if calls and cluster:
        yield from track(cluster.each(function, in_turn, threads), what, len(calls))
    elif calls and jobs == 1 and not apart and seconds is None:
        yield from track(_here(function, calls), what, len(calls))
    elif calls:
        yield from track(_in_workers(function, in_turn, jobs, budget, threads, seconds), what, len(calls))


def alone(function, *arguments, threads=1, seconds=None):
    """Call a function of the user's own in a worker process, or in this one if it cannot be sent.

    Parameters
    ----------
    function : callable
    *arguments
    threads, seconds
        As for `side_by_side`; the limit is for the whole call.

    Returns
    -------
    object

    Raises
    ------
    PartError
        It ended its process or took too long. What the function raises comes through.

    Examples
    --------
    >>> alone(divmod, 7, 3)
    (2, 1)
    """
    call = Call((function, arguments), 0)
    with TemporaryDirectory() as folder:
        for _ in range(2):
            one = None
            try:
                with deaf_to_ctrl_c():
                    one = _start(_call_limited, threads, seconds, folder, call, 0)
                wait([one.future])
            except BaseException:
                if one:
                    one.end()
                raise
            _take_back(one)
            if not one.killed():
                ended = _ended(_call_limited, one, 0, seconds)
                if ended.lost:
                    raise PartError(ended.lost)
                return ended.found
            if why := one.why(seconds):
                raise PartError(why)
    raise PartError("its worker process was killed twice")


def _call_limited(item):
    function, arguments = item
    with limited():
        try:
            return function(*arguments)
        except SystemExit as error:
            raise PartError(f"it {what_raised(error)}{placed(error)}") from error


def _here(function, calls):
    with PeakMemory(tree_bytes, LOOK_S) as memory:  # one for all: a look takes longer than many a call
        for call in calls:
            memory.begin_anew()
            yield Ended(call.item, function(call.item), "", memory.peak_bytes)


@dataclass(frozen=True)
class _Running:
    """A call in a worker process of its own, so that its end touches no other."""

    call: Call
    worker: tuple  # what it was started for, and the executor; empty if there is none
    future: Any
    mark: str

    def end(self, wait=False):
        """Kill the process."""
        for executor in self.worker[1:]:
            until = time.monotonic() + LOOK_S
            while not (self.future.running() or self.future.done()) and time.monotonic() < until:
                time.sleep(0.001)  # loky's thread fails if the call is taken away before it has handed it over
            executor.shutdown(wait=wait, kill_workers=True)

    def killed(self):
        """Whether the process ended before the call did."""
        return isinstance(self.future.exception(), BrokenProcessPool)

    def why(self, seconds):
        """Say why it did, if that was its own doing."""
        codes = re.findall(r"\((-?\d+)\)", str(self.future.exception()).rpartition("{")[2])
        return how_it_ended(self.mark, int(codes[0]) if codes else None, seconds)


def _in_workers(function, calls, jobs, budget, threads, seconds):
    workers, free = how_many(calls, jobs, budget)
    suspects, running = [], {}
    with TemporaryDirectory() as folder:
        start = partial(_start, function, threads, seconds, folder)
        try:
            for once, queue, at_once in ((True, calls, workers), (False, suspects, 1)):
                for one, peak in _until_done(start, queue, running, at_once, free):
                    if not one.killed():
                        yield _ended(function, one, peak, seconds)
                    elif why := one.why(seconds):
                        yield Ended(one.call.item, None, why, peak, by_itself=True)
                    elif once:
                        suspects.append(one.call)
                    else:
                        yield Ended(one.call.item, None, why_lost(one.call, budget), peak)
        except BaseException:
            for one in running.values():
                one.end()
            raise


def _start(function, threads, seconds, folder, call, number):
    """Give a call to a process, or say why it cannot be sent."""
    packed, mark = pack(function, call.item), str(Path(folder) / str(number))
    if isinstance(packed, NotSent):
        future = Future()
        future.set_result(packed)
        return _Running(call, (), future, mark)
    key = threads, Path.cwd(), tuple(sys.path)  # a process looks for modules where it was started
    for other in [one for one in _KEPT if one[0] != key]:
        _KEPT.remove(other)
        other[1].shutdown(wait=True)  # else its pipes would be closed at some other moment
    Path(mark).unlink(missing_ok=True)
    while _KEPT:
        worker = _KEPT.pop()
        with suppress(BrokenProcessPool):  # it was killed while it waited
            return _Running(call, worker, worker[1].submit(watch, packed, mark, seconds), mark)
    worker = key, ProcessPoolExecutor(1, timeout=IDLE_S, env={name: str(threads) for name in THREADS})
    return _Running(call, worker, worker[1].submit(watch, packed, mark, seconds), mark)


def _until_done(start, waiting, running, workers, free):
    """Yield each call when it has ended, and the most that all processes held meanwhile."""
    peaks, number, memory = {}, 0, PeakMemory(tree_bytes)
    while waiting or running:
        for call in _admitted(waiting, [one.call for one in running.values()], workers, free):
            with deaf_to_ctrl_c():
                one, number = start(call, number), number + 1
                running[one.future], peaks[one.future] = one, 0
        ended, _ = wait(running, LOOK_S, FIRST_COMPLETED)
        now = memory.look_if_rested()
        peaks = {future: max(peaks[future], now) for future in running}
        for future in ended:
            one = running.pop(future)
            _take_back(one)
            yield one, peaks[future]


def _take_back(one):
    """Keep the process of a call that has ended, or clear away what is left of it."""
    if one.killed():
        one.end(wait=True)
    elif one.worker:
        _KEPT.append(one.worker)


def _ended(function, one, peak, seconds):
    """What a call returned; one that could not be sent is made here, where nothing can end it."""
    found = one.future.result()
    if not isinstance(found, NotSent):
        return Ended(one.call.item, found, "", peak)
    if seconds is not None:
        why = f"it cannot be sent to a worker process ({found.why}), which --timeout needs: leave that out"
        return Ended(one.call.item, None, why, peak, by_itself=True)
    (ended,) = _here(function, [one.call])
    return ended


def _admitted(waiting, running, workers, free):
    """Take out of the queue what may start now, in order: what fits beside what runs, or one call to run alone."""
    taken, count = sum(call.need for call in running), len(running)
    for call in list(waiting):
        if count < workers and (count == 0 or taken + call.need <= free):
            waiting.remove(call)
            taken, count = taken + call.need, count + 1
            yield call


def why_lost(call, budget, where="this machine"):
    """Say why a call was lost.

    Parameters
    ----------
    call : Call
    budget : int
        Bytes.
    where : str
        Where memory most likely ran out.

    Returns
    -------
    str
    """
    took = f"{format_bytes(call.need)} beside {format_bytes(PROCESS_BYTES)} of the process"
    return (
        f"memory: its worker process was killed twice, most likely because memory ran out (planned {took}, budget "
        f"{format_bytes(budget)}): free memory on {where}, or take a smaller reducer, and run the same command "
        "again"
    )
