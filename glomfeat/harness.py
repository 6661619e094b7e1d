"""The harness: every trial of every arm on the same folds, nested, seeded, within memory, journaled as it ends."""

import contextlib
import time
import warnings
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from glomfeat.heads import make_head, scores_of
from glomfeat.memory import PeakMemory, format_bytes
from glomfeat.metrics import auroc, choose_threshold
from glomfeat.progress import track
from glomfeat.reducers import leaves_as_is, parse_reducer, reduce_rows, reducer_bytes
from glomfeat.seeds import seed_for
from glomfeat.selection import fit_chosen
from glomfeat.splits import fold_rows, inner_splits, inner_valid_split
from glomfeat.store import Store, digest_of
from glomfeat.study import FLOOR, Trial

HEAD_BYTES = 5 * 8


class WorkerLostError(RuntimeError):
    """A process that ran trials was killed from outside."""


@dataclass(frozen=True)
class Task:
    """What a trial needs, small enough to be sent to another process.

    Attributes
    ----------
    trial : Trial
    seed : int
        Of the trial, by its name.
    labels : ndarray of int64, shape (n,)
    train, test : ndarray of int64
        Rows of the manifest.
    inner : list of (fit, inner_valid)
        Of a network only one, on whose inner-valid rows epochs and threshold are chosen.
    classes : int
    rule : str
        The threshold's.
    threads : int
        Sums depend on their number in the last bits, so it is the study's and does not follow ``--jobs``.
    matrix : Matrix or None
        The feature, or a network's pixels; None for the floor, which reads none.
    key : dict
        What the reduced rows depend on: the feature, the reducer, and the digests of training rows and all rows.
    standardise : bool
    store : Store
    net : dict
        Settings of `glomfeat.nets.make_net`; empty for heads.
    need : int
        Bytes of memory at the most; of networks only, heads derive it from the matrix.
    """

    trial: Trial
    seed: int
    labels: np.ndarray
    train: np.ndarray
    test: np.ndarray
    inner: list
    classes: int
    rule: str
    threads: int
    matrix: Any
    key: dict
    standardise: bool
    store: Store
    net: dict = field(default_factory=dict)
    need: int = 0


def make_tasks(trials, study, folds, extracted, standardise, store, nets=None):
    """Turn trials into tasks: their rows, inner splits, seeds and matrices.

    Parameters
    ----------
    trials : list of Trial
    study : Study
    folds : pandas.DataFrame
        Of `glomfeat.splits.make_folds`.
    extracted : Extracted
    standardise : dict of str to bool
        By the feature's name.
    store : Store
    nets : dict of str to (dict, int), optional
        By the network's name, its settings and how many bytes training it takes.

    Returns
    -------
    list of Task
    """
    manifest, nets = extracted.manifest, nets or {}
    labels, cases, digests = manifest.labels, manifest.cases, manifest.table["digest"].tolist()
    everything, rows_of, tasks = digest_of(digests), {}, []
    for trial in trials:
        where = trial.repeat, trial.fold
        if where not in rows_of:
            train, test, valid = fold_rows(folds, *where)
            of_heads = inner_splits(labels, cases, train, valid, seed_for(study.seed, "inner", *where))
            of_nets = []
            if nets:
                of_nets = [inner_valid_split(labels, cases, train, valid, seed_for(study.seed, "inner-valid", *where))]
            rows_of[where] = train, test, of_heads, of_nets, digest_of([digests[row] for row in train])
        train, test, of_heads, of_nets, trained_on = rows_of[where]
        feature, reducer, net = trial.arm.feature, trial.arm.reducer, trial.arm.net
        settings, need = nets.get(net, ({}, 0))
        key = {"reduced": "v2", "reducer": reducer, "train": trained_on, "rows": everything, "threads": study.threads}
        key["standardise"], key["of"] = standardise.get(feature, False), extracted.keys.get(feature, {})
        tasks.append(
            Task(
                trial=trial,
                seed=seed_for(study.seed, *trial.key),
                labels=labels,
                train=train,
                test=test,
                inner=of_nets if net else of_heads,
                classes=len(manifest.classes),
                rule=study.threshold,
                threads=study.threads,
                matrix=extracted.pixels[settings["side"]] if net else extracted.matrices.get(feature),
                key=key,
                standardise=standardise.get(feature, False),
                store=store,
                net=settings,
                need=need,
            )
        )
    return tasks


def task_bytes(task):
    """Memory that a trial takes at the most, in bytes: its reduction, then its head's copies of the rows."""
    if task.matrix is None or task.net:
        return task.need
    width, reducer = task.matrix.shape[1], task.trial.arm.reducer
    components = width if leaves_as_is(reducer, width) else parse_reducer(reducer)[1] or width
    head = len(task.train) * components * HEAD_BYTES
    return max(reducer_bytes(reducer, width, len(task.matrix)), head + len(task.matrix) * components * 4)


def reduced(task):
    """The reduced rows of a trial: stored once for all heads of the fold.

    Returns
    -------
    rows : ndarray of float32, shape (n, components)
    fit_s, transform_s : float
        Seconds when it was computed; of all rows.
    notes : list of str
    """
    if task.matrix is None:
        assert str(task.trial.arm) == FLOOR
        return np.zeros((len(task.labels), 1), np.float32), 0.0, 0.0, []
    reducer, width = task.trial.arm.reducer, task.matrix.shape[1]
    if leaves_as_is(reducer, width):
        notes = [] if reducer == "none" else [f"{reducer} leaves the {width} columns as they are"]
        return np.asarray(task.matrix[:], np.float32), 0.0, 0.0, notes
    arrays = task.store.shard(task.key, lambda: reduce_rows(reducer, task.matrix, task.train, task.standardise))
    rows, k = arrays["rows"], parse_reducer(reducer)[1]
    notes = [f"{reducer} lowered to {rows.shape[1]}: the training rows allow no more"] if rows.shape[1] < k else []
    return rows, arrays["fit_s"].item(), arrays["transform_s"].item(), notes


def run_trial(task):
    """Run a trial: reduce, choose inside the training cases, fit, score the test rows once.

    Returns
    -------
    dict
        A journal record. A failure is a record too, with its reason.
    """
    record = _which(task)
    try:
        with threadpool_limits(task.threads), PeakMemory() as memory:
            found = _train_and_score(task) if task.net else _fit_and_score(task)
    except Exception as error:
        return {**record, "status": "failed", "reason": f"{type(error).__name__}: {error}"}
    return {**record, "status": "done", **found, "peak_rss_mb": round(memory.peak_bytes / 1e6, 1)}


def _which(task):
    """What a journal record is known by."""
    return {"arm": str(task.trial.arm), "repeat": task.trial.repeat, "fold": task.trial.fold, "seed": task.seed}


def _fit_and_score(task):
    X, reduce_s, transform_s, notes = reduced(task)
    start = time.perf_counter()
    head = make_head(task.trial.arm.head, task.seed)
    chosen = fit_chosen(head, X, task.labels, task.train, task.inner, task.classes, task.rule)
    fitted = time.perf_counter()
    scores = scores_of(chosen.estimator, X[task.test], task.classes)
    scored = time.perf_counter()
    if not np.isfinite(scores).all():
        raise ValueError("scores of the test rows are not finite")
    return {
        "reason": "; ".join([*notes, *chosen.notes]),
        "params": dict(sorted(chosen.params.items())),
        "threshold": chosen.threshold,
        "inner_auroc": chosen.inner_auroc,
        "scores": scores.tolist(),
        "n_train": len(task.train),
        "fit_s": round(reduce_s + fitted - start, 4),
        "predict_s": round(transform_s * len(task.test) / len(X) + scored - fitted, 5),
    }


def _train_and_score(task):
    from glomfeat.nets.run import train_and_score

    fit, valid = task.inner[0]
    found = train_and_score(
        task.trial.arm.net,
        {**task.net, "seed": task.seed, "classes": task.classes},
        task.matrix,
        task.labels,
        fit,
        valid,
        task.test,
        task.threads,
    )
    scores, of_valid = found.pop("scores"), found.pop("inner_valid_scores")
    two = task.classes == 2
    scores, of_valid = (part[:, 1] if two else part for part in (scores, of_valid))
    threshold = choose_threshold(task.labels[valid], of_valid, task.rule) if two else float("nan")
    chosen_by = {"threshold": threshold, "inner_auroc": auroc(task.labels[valid], of_valid), "n_train": len(fit)}
    return {**found, **chosen_by, "scores": scores.tolist()}


def warm_reduction(task):
    """Compute and store a fold's reduction, so that its heads find it; if it fails, each of them will say so."""
    with threadpool_limits(task.threads), contextlib.suppress(Exception):
        reduced(task)


def run(tasks, journal, jobs, budget, failed=None):
    """Run what the journal does not hold yet, and append each record as its trial ends.

    Parameters
    ----------
    tasks : list of Task
    journal : Journal
    jobs : int
        Processes at the most; fewer if the memory budget asks for it.
    budget : int
        Bytes.
    failed : dict of str to str, optional
        Features that could not be computed: their trials are recorded with the reason.

    Returns
    -------
    dict of (arm, repeat, fold) to dict
        The records of all trials.

    Raises
    ------
    WorkerLostError
        What was finished until then is in the journal.
    """
    failed, done, waiting = failed or {}, journal.done(), []
    for task in tasks:
        if task.trial.key in done:
            continue
        reason = status = ""
        if task.trial.arm.feature in failed:
            status, reason = "failed", failed[task.trial.arm.feature]
        elif (need := task_bytes(task)) > budget:
            status = "skipped"
            reason = f"memory: needs {format_bytes(need)} of {format_bytes(budget)}: raise --memory or use ipca128"
        if not status:
            waiting.append(task)
            continue
        journal.append({**_which(task), "status": status, "reason": reason})
    heads, nets = [task for task in waiting if not task.net], [task for task in waiting if task.net]
    shared = {digest_of([str(sorted(task.key.items()))]): task for task in heads if _has_reduction(task)}
    for _ in _side_by_side(warm_reduction, list(shared.values()), "reductions", jobs, budget):
        pass
    for part, what in ((heads, "trials"), (nets, "trials of networks")):
        for record in _side_by_side(run_trial, part, what, jobs, budget):
            journal.append(record)
    return journal.read()


def _side_by_side(function, tasks, what, jobs, budget):
    """Call a function on tasks in as many processes as the budget allows; give what it returns as it comes.

    Networks on a GPU run one after the other: they would share its memory and gain nothing.
    """
    on_gpu = any(task.net.get("device", "cpu").startswith("cuda") for task in tasks)
    fit = 1 if on_gpu else budget // max([1, *map(task_bytes, tasks)])
    pool = Parallel(n_jobs=max(1, min(jobs, fit)), return_as="generator_unordered")
    with warnings.catch_warnings():
        # a process that has loaded torch has grown, and joblib replaces it; nothing is lost
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        try:
            yield from track(pool(delayed(function)(task) for task in tasks), what, len(tasks))
        except BrokenProcessPool as error:
            raise WorkerLostError(
                "a worker process was killed, most likely for want of memory: what is finished is kept, run the same "
                "command again with fewer --jobs or a smaller --memory"
            ) from error


def _has_reduction(task):
    return task.matrix is not None and not leaves_as_is(task.trial.arm.reducer, task.matrix.shape[1])
