"""Calls side by side in the worker processes of a cluster: sent, tried again if workers die, and taken back."""

import math
import queue
import uuid
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from joblib.externals.loky.backend.reduction import dumps

from glomfeat.core.cluster.backends import INSTALL, Connection, awaited
from glomfeat.core.cluster.worker import ClusterError, Run, borrow
from glomfeat.core.disk import CACHE, writing
from glomfeat.core.memory import SHARE
from glomfeat.core.progress import waiting_for
from glomfeat.core.workers import LOOK_S, Ended, why_lost

MOST_TRIES = 30  # for a call that no worker survives to begin
SENT_BYTES = 500  # the largest array that is sent with a call; a larger one is lent


@dataclass(frozen=True)
class Lending:
    """Arrays that calls share, each in one file of the run's folder, which workers open themselves."""

    folder: Path
    lent: dict = field(default_factory=dict)

    def __call__(self, array):
        """What to send for an array: how to open its file or, if it is small, the array itself."""
        if array.nbytes <= SENT_BYTES or array.dtype.hasobject:
            return array.__reduce__()
        if id(array) not in self.lent:
            path = self.folder / f"array-{len(self.lent)}.npy"
            with writing(self.folder.parent, CACHE, needs=array.nbytes):
                np.save(path, array)
            self.lent[id(array)] = str(path), array  # as long as it is held, no other array has its identity
        return borrow, (self.lent[id(array)][0],)


@dataclass(frozen=True)
class Cluster:
    """Worker processes that are fit for a study's work, on other machines or on this one."""

    run: Run
    at: Connection
    lend: Lending
    budget: int  # bytes for the smallest
    workers: int  # how many there were when the study began

    def each(self, function, calls, threads):
        """Make calls, one at a time in each worker process.

        When a worker is lost, another repeats its call. A call during which two were lost is not made a third time.

        Parameters
        ----------
        function, calls, threads
            As for `glomfeat.core.workers.side_by_side`.

        Yields
        ------
        Ended
            In the order in which they end.

        Raises
        ------
        ClusterError
            The cluster is gone, or a worker that has joined it cannot do the work.
        """
        stage, ended, running, tries = uuid.uuid4().hex[:12], queue.SimpleQueue(), {}, Counter()

        def submit(number):
            packed = pack(function, calls[number].item, self.lend)
            running[number] = self.at.submit(stage, self.run, stage, number, packed, threads)
            running[number].add_done_callback(lambda future: ended.put((number, future)))

        try:
            for number in range(len(calls)):
                submit(number)
            while running:
                number, future = self._next(ended)
                del running[number]
                try:
                    found, most_bytes, killed = self.at.result(future)
                except self.at.died:
                    tries[number] += 1
                    self._check(tries[number])
                    submit(number)
                except ImportError as error:
                    raise ClusterError(f"the workers cannot do the work ({error}): {INSTALL}") from error
                else:
                    lost = why_lost(calls[number], self.budget, "the workers' machines") if killed else ""
                    yield Ended(calls[number].item, found, lost, most_bytes)
        finally:
            if running and self.at.alive():
                self.at.cancel(list(running.values()))

    def _next(self, ended):
        with waiting_for(lambda: self.at.alive() and awaited(self.at.missing)):
            while True:
                try:
                    return ended.get(timeout=LOOK_S)  # in steps, so that Ctrl-C is heard between them on every system
                except queue.Empty:
                    self._check()

    def _check(self, tries=0):
        if not self.at.alive():
            raise ClusterError(
                "the cluster is gone: what is finished is kept; start it and run the same command again to continue"
            )
        if tries > MOST_TRIES:
            raise ClusterError(f"workers end before they begin their work: {INSTALL}")


def pack(function, item, lend):
    """Pack a function and what it is given into so few bytes that a scheduler can hold thousands."""
    return zlib.compress(dumps((function, item), reducers={np.ndarray: lend}), 1)


def budget_of(seen):
    """What each worker may use: 80 % of what the cluster grants it or of its share of its machine, whichever is less.

    Parameters
    ----------
    seen : list of Seen

    Returns
    -------
    int
        Bytes, for the smallest worker.

    Raises
    ------
    ClusterError
        Workers cannot do the work.

    Examples
    --------
    >>> from glomfeat.core.cluster.worker import Seen
    >>> budget_of([Seen("a", 8_000, None, ()), Seen("a", 8_000, 3_000, ()), Seen("b", 9_000, None, ())])
    2400
    """
    wrong = [(one.host, problem) for one in seen for problem in one.wrong]
    if wrong:
        hosts = {host for host, problem in wrong if problem == wrong[0][1]}
        raise ClusterError(f"the workers on {', '.join(sorted(hosts))} cannot do the work: {wrong[0][1]}")
    on_host = Counter(one.host for one in seen)
    return int(SHARE * min(min(one.own_bytes or math.inf, one.limit_bytes / on_host[one.host]) for one in seen))
