"""What runs in the worker processes of a cluster: a check whether they are fit for a study, and its calls."""

import contextlib
import importlib.machinery
import importlib.metadata
import importlib.util
import pickle
import socket
import sys
import threading
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import parallel_config

from glomfeat.core.environment import versions
from glomfeat.core.errors import UserError
from glomfeat.core.memory import PeakMemory, limits, tree_bytes
from glomfeat.core.threads import limited_threads
from glomfeat.core.workers import LOOK_S

TRIES = 2
TOKEN = "token"
_ALONE = threading.Lock()
_KEPT, _BEGUN = {}, {}


class ClusterError(UserError, ValueError):
    """A cluster cannot be reached, or workers cannot do a study's work; the message says what to do."""


@dataclass(frozen=True)
class Run:
    """What every worker is told about the run of a study."""

    token: str  # also in the file ``token`` of `folder`
    folder: str  # in the cache; the marks of the calls under way lie there too
    here: str  # the folder in which the study was started
    images: tuple[str, ...]  # some of those that workers must be able to read
    sees: Callable  # ``path -> bool``: whether a process finds an image
    modules: tuple[str, ...]  # the user's own, which may have been edited since a worker last imported them
    versions: dict  # from `glomfeat.core.environment.versions`


@dataclass(frozen=True)
class Seen:
    """What a worker says about itself."""

    host: str
    limit_bytes: int  # the smallest of `glomfeat.core.memory.limits`, for all processes of the host or container
    own_bytes: int | None  # what the cluster grants the worker
    wrong: tuple[str, ...]  # why it cannot do the work; empty if it can


def look(run, dask_worker=None):
    """Check whether this process can do the work of a run; Dask fills in its worker."""
    own = getattr(dask_worker, "memory_manager", None)
    found = socket.gethostname(), min(limits().values()), getattr(own, "memory_limit", None) or None
    return Seen(*found, tuple(_wrong(run)))


def _wrong(run):
    mine, folder = versions(), Path(run.folder)
    other = [
        f"{name} {mine.get(name, 'is not installed')} there, {run.versions.get(name, 'is not installed')} here"
        for name in sorted({*mine, *run.versions})
        if mine.get(name) != run.versions.get(name)
    ]
    if other:
        yield f"other versions, with which numbers differ ({'; '.join(other)}): install the same on all machines"
    try:
        there = (folder / TOKEN).read_text() == run.token
        mine_alone = folder / uuid.uuid4().hex
        mine_alone.touch(exist_ok=False)
        mine_alone.unlink()
    except OSError:
        there = False
    if not there:
        cache = folder.parent
        yield f"it cannot read and write the cache {cache}: name a folder that all machines share with --cache"
    if not Path(run.here).is_dir():
        yield f"it does not see the folder {run.here}: start the study in a folder that all machines share"
        return
    with contextlib.chdir(run.here):
        unseen = [path for path in run.images if not run.sees(path)]
        if unseen:
            yield f"it cannot read the image {unseen[0]}: put the images on a file system that all machines share"
        for name in run.modules:
            if not (importlib.util.find_spec(name) or importlib.machinery.PathFinder.find_spec(name, [run.here])):
                yield f"it has no module {name}: put it into {run.here}, or on the PYTHONPATH of the workers"


def call(run, stage, number, packed, threads):
    """Make a call of a run once no other call is being made in this process.

    Parameters
    ----------
    run : Run
    stage : str
        Names the calls that were given out together.
    number : int
        Number of the call among these.
    packed : bytes
        From `glomfeat.core.cluster.calls.pack`.
    threads : int
        Threads of numeric libraries.

    Returns
    -------
    found : object
        What the function returned.
    tree_bytes : int
        The most that this process and all below it held.
    killed : bool
        Whether the call was given up, because `TRIES` processes ended while they made it.

    Raises
    ------
    ClusterError
        This process cannot do the work.
    """
    with _ALONE:
        _begin(run, stage)
        marks = [Path(run.folder) / f"{stage}-{number}-{k}" for k in range(TRIES)]
        if not any(map(_made, marks)):
            return None, 0, True
        try:
            # what scikit-learn and heads do side by side would take more than this worker's share of its machine
            alone = parallel_config(backend="sequential"), limited_threads(threads)
            with contextlib.chdir(run.here), alone[0], alone[1], PeakMemory(tree_bytes, LOOK_S) as memory:
                function, item = pickle.loads(zlib.decompress(packed))
                found = function(item)
        finally:
            for mark in marks:
                mark.unlink(missing_ok=True)
    return found, memory.peak_bytes, False


def _made(mark):
    """Make a file, and say whether it is new."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _begin(run, stage):
    """Make sure, at its first call, that a process can do the work of a run and imports modules as they are now."""
    if _BEGUN.get("stage") != stage:
        for _, release in _KEPT.values():
            release()
        _KEPT.clear()
    if _BEGUN.get("run") != run.token:
        wrong = list(_wrong(run))
        if wrong:
            raise ClusterError(f"a worker on {socket.gethostname()} cannot do the work: {'; '.join(wrong)}")
        if _BEGUN.get("here") in sys.path:
            sys.path.remove(_BEGUN["here"])
        sys.path.append(run.here)
        importlib.invalidate_caches()
        for name in list(sys.modules):
            if name.partition(".")[0] in run.modules:
                del sys.modules[name]
    _BEGUN.update(run=run.token, stage=stage, here=run.here)


def borrow(path):
    """An array that the calls of a stage share: opened once in each process, read from the disk, read-only."""
    if path not in _KEPT:
        keep(path, np.asarray(np.load(path, mmap_mode="r")))
    return _KEPT[path][0]


def keep(name, thing, release=lambda: None):
    """The first thing that a process was given under a name, for all calls that were given out together.

    This way networks are built once. They are let go of when other calls come: `release` of the first is then called.

    Examples
    --------
    >>> keep("a name", "first"), keep("a name", "second")
    ('first', 'first')
    """
    return _KEPT.setdefault(name, (thing, release))[0]
