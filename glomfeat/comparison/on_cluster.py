"""A study on the worker processes of a cluster: connecting, checking the workers, and closing."""

import contextlib
import shutil
import sys
import uuid
from dataclasses import replace
from pathlib import Path

from glomfeat.core.cluster.backends import to_dask, to_ray
from glomfeat.core.cluster.calls import Cluster, Lending, budget_of
from glomfeat.core.cluster.worker import TOKEN, Run
from glomfeat.core.disk import CACHE, writing
from glomfeat.core.environment import versions
from glomfeat.core.memory import format_bytes
from glomfeat.core.own_modules import files_of
from glomfeat.core.plugins import name_of
from glomfeat.core.progress import waiting_for
from glomfeat.core.words import number_of
from glomfeat.data.files import is_seen


@contextlib.contextmanager
def opened(prepared, say):
    """Connect a study to its cluster, and check that the workers there can do its work.

    Parameters
    ----------
    prepared : glomfeat.comparison.prepare.Prepared
    say : callable
        Called with a line that the user should read.

    Yields
    ------
    Prepared
        With the cluster and the memory budget of each worker; unchanged if the study runs on this machine.

    Raises
    ------
    ClusterError
        The message says what to do.
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
        sees=is_seen,
        modules=own_modules(named),
        versions=versions(),
    )
    try:
        with writing(folder.parent, CACHE):
            folder.mkdir(parents=True)
            (folder / TOKEN).write_text(run.token)
        with connect(study.scheduler) as at:
            with waiting_for(lambda: f"waiting for the workers of {study.backend} to say what they have"):
                seen = at.ask(run)
            budget = min(prepared.budget, budget_of(seen))
            say(
                f"cluster: {number_of(len(seen), 'worker')} of {study.backend} on "
                f"{number_of(len({one.host for one in seen}), 'machine')}, each with a budget of {format_bytes(budget)}"
            )
            cluster = Cluster(run, at, Lending(folder), budget, len(seen))
            store = replace(prepared.store, folder=str(folder.parent))
            yield replace(prepared, cluster=cluster, budget=budget, store=store)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def own_modules(names):
    """The user's modules: those in ``module:function``, what these import, and those in the current folder.

    Parameters
    ----------
    names : iterable of str
        Names of features, reducers, heads and networks, which have been resolved.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> own_modules(["math:sqrt", "svm", "resnet18:finetune"])
    ('math',)
    """
    named = {name.partition(":")[0] for name in names if ":" in name} & set(sys.modules)
    here = Path.cwd()
    beside = {name for name, module in list(sys.modules.items()) if _folder(module) == here and "." not in name}
    found = {name.partition(".")[0] for name in {*named, *beside, *files_of(named | beside)}}
    return tuple(sorted(name for name in found if not name.startswith("__")))


def _folder(module):
    file = getattr(module, "__file__", None)
    return Path(file).parent if file else None
