"""Calls side by side in the worker processes of a Dask or Ray cluster, through joblib's backends for both."""

import contextlib
import math
import time
import uuid
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import delayed
from joblib.externals.loky.backend.reduction import dumps

from glomfeat.core.cluster.backends import INSTALL, Broken
from glomfeat.core.cluster.worker import ClusterError, Run, borrow, call
from glomfeat.core.disk import CACHE, writing
from glomfeat.core.memory import SHARE
from glomfeat.core.workers import Ended, why_lost

IDLE_ROUNDS, PAUSE_S = 30, 2.0  # a worker that was lost is started anew within this time
SENT_BYTES = 500  # of an array: a larger one is lent
MACHINES = "the workers' machines"


@dataclass(frozen=True)
class Cluster:
    """Worker processes, on other machines or on this one, that are fit for a study's work.

    Attributes
    ----------
    run : Run
    parallel : joblib.Parallel
    budget : int
        Bytes of the smallest.
    alive : callable
        Whether the cluster still answers.
    lend : Lending
    workers : int
        How many there were when the study began.
    """

    run: Run
    parallel: Any
    budget: int
    alive: Any
    lend: Any
    workers: int = 0

    def each(self, function, calls, threads):
        """Do calls, one at a time in each worker process.

        What a worker did when it was lost is done again by another. A call during which two were lost is not done a
        third time.

        Parameters
        ----------
        function, calls, threads
            As `glomfeat.core.workers.side_by_side`.

        Yields
        ------
        Ended
            As they end.

        Raises
        ------
        ClusterError
            The cluster is gone, or a worker that has joined it cannot do the work.
        """
        stage, waiting, idle = uuid.uuid4().hex[:12], list(range(len(calls))), 0
        while waiting and idle < IDLE_ROUNDS:
            packed = ((k, pack(function, calls[k].item, self.lend)) for k in waiting)
            work = (delayed(call)(self.run, stage, k, data, threads) for k, data in packed)
            again = []
            with _closing(self.parallel(work)) as ended:
                for number, found, most_bytes, killed in ended:
                    if not isinstance(found, Broken):
                        lost = why_lost(calls[number], self.budget, MACHINES) if killed else ""
                        yield Ended(calls[number].item, found, lost, most_bytes)
                    elif found.died:
                        again.append(number)
                    elif isinstance(found.error, ImportError):
                        raise ClusterError(f"the workers cannot do the work ({found.error}): {INSTALL}")
                    else:
                        raise found.error
            if again and not self.alive():
                raise ClusterError(
                    "the cluster is gone: what is finished is kept; start it and run the same command again to go on"
                )
            idle = idle + 1 if len(again) == len(waiting) else 0
            time.sleep(PAUSE_S if again else 0)
            waiting = again
        for number in waiting:
            yield Ended(calls[number].item, None, why_lost(calls[number], self.budget, MACHINES), 0)


@contextlib.contextmanager
def _closing(results):
    """Close results in the end; where they were not all taken, joblib is not to warn of it."""
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.close()


class Lending:
    """Arrays that calls have in common, each in one file of the run's folder, which workers open themselves.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder):
        self.folder, self.lent = folder, {}

    def __call__(self, array):
        """What an array is sent as: how to open its file or, where it is small, the array itself."""
        if array.nbytes <= SENT_BYTES or array.dtype.hasobject:
            return array.__reduce__()
        if id(array) not in self.lent:
            path = self.folder / f"array-{len(self.lent)}.npy"
            with writing(self.folder.parent, CACHE, needs=array.nbytes):
                np.save(path, array)
            self.lent[id(array)] = str(path), array  # as long as it is held, no other has its identity
        return borrow, (self.lent[id(array)][0],)


def pack(function, item, lend):
    """A function and what it is given: names and numbers, few enough for a scheduler to hold thousands.

    Parameters
    ----------
    function : callable
    item : object
    lend : Lending

    Returns
    -------
    bytes
    """
    return zlib.compress(dumps((function, item), reducers={np.ndarray: lend}), 1)


def budget_of(seen):
    """What each worker may use: 80 % of what the cluster grants it or, if that is less, of its share of its machine.

    Parameters
    ----------
    seen : list of Seen

    Returns
    -------
    int
        Bytes, of the smallest worker.

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
