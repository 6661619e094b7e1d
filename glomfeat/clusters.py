"""Calls side by side in the worker processes of a Dask or Ray cluster, through joblib's backends for both."""

import contextlib
import math
import shutil
import sys
import time
import uuid
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from joblib.externals.loky.backend.reduction import dumps

from glomfeat.connections import INSTALL, Broken, to_dask, to_ray
from glomfeat.functions import name_of
from glomfeat.memory import SHARE, format_bytes
from glomfeat.remote import TOKEN, ClusterError, Run, borrow, call, versions
from glomfeat.workers import Ended, why_lost

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
            As `glomfeat.workers.side_by_side`.

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


@contextlib.contextmanager
def opened(prepared, say):
    """Connect a study to the cluster that it names, and make sure that the workers there can do its work.

    Parameters
    ----------
    prepared : glomfeat.comparison.Prepared
    say : callable
        Called with a line that the user should read.

    Yields
    ------
    Prepared
        With the cluster, and the memory budget of each worker; as it was where the study runs on this machine.

    Raises
    ------
    ClusterError
        With the remedy.
    """
    study = prepared.study
    if study.backend == "local":
        yield prepared
        return
    connect = {"dask": to_dask, "ray": to_ray}[study.backend]
    paths = prepared.manifest.table["path"]
    named = (*study.features, *study.reducers, *study.heads, *study.nets, str(name_of(study.threshold)))
    folder = Path(prepared.store.folder).absolute() / f"cluster-{uuid.uuid4().hex}"
    run = Run(
        token=folder.name,
        folder=str(folder),
        here=str(Path.cwd()),
        images=tuple(path for path in (paths.iloc[0], paths.iloc[-1]) if path),
        modules=own_modules(named),
        versions=versions(),
    )
    folder.mkdir(parents=True)
    try:
        (folder / TOKEN).write_text(run.token)
        with (
            connect(study.scheduler) as (backend, alive, ask),
            Parallel(
                n_jobs=-1, backend=backend, return_as="generator_unordered", batch_size=1, pre_dispatch="all"
            ) as parallel,
        ):
            cluster = Cluster(run, parallel, prepared.budget, alive, Lending(folder))
            seen = ask(cluster)
            budget = min(prepared.budget, budget_of(seen))
            say(
                f"cluster: {len(seen)} workers of {study.backend} on {len({one.host for one in seen})} machines, each "
                f"with a budget of {format_bytes(budget)}"
            )
            cluster = replace(cluster, workers=len(seen), budget=budget)
            store = replace(prepared.store, folder=str(folder.parent))
            yield replace(prepared, cluster=cluster, budget=budget, store=store)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def own_modules(names):
    """The user's modules: those of ``module:function``, and those beside them in the current folder.

    Parameters
    ----------
    names : iterable of str
        Of features, reducers, heads and networks, which have been resolved.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> own_modules(["math:sqrt", "svm", "resnet18:finetune"])
    ('math',)
    """
    named = {name.partition(":")[0].partition(".")[0] for name in names if ":" in name} & set(sys.modules)
    here = Path.cwd()
    beside = {name for name, module in list(sys.modules.items()) if _folder(module) == here and "." not in name}
    return tuple(sorted(name for name in named | beside if not name.startswith("__")))


def _folder(module):
    file = getattr(module, "__file__", None)
    return Path(file).parent if file else None


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
    >>> from glomfeat.remote import Seen
    >>> budget_of([Seen("a", 8_000, None, ()), Seen("a", 8_000, 3_000, ()), Seen("b", 9_000, None, ())])
    2400
    """
    wrong = [(one.host, problem) for one in seen for problem in one.wrong]
    if wrong:
        hosts = {host for host, problem in wrong if problem == wrong[0][1]}
        raise ClusterError(f"the workers on {', '.join(sorted(hosts))} cannot do the work: {wrong[0][1]}")
    on_host = Counter(one.host for one in seen)
    return int(SHARE * min(min(one.own_bytes or math.inf, one.limit_bytes / on_host[one.host]) for one in seen))
