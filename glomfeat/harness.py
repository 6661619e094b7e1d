"""The harness: every trial of every arm on the same folds, nested, seeded, within memory, journaled as it ends."""

import contextlib
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from glomfeat.heads import make_head, scores_of
from glomfeat.memory import PeakMemory, format_bytes
from glomfeat.progress import track
from glomfeat.reducers import leaves_as_is, parse_reducer, reduce_rows, reducer_bytes
from glomfeat.seeds import seed_for
from glomfeat.selection import fit_chosen
from glomfeat.splits import fold_rows, inner_splits
from glomfeat.store import Store, digest_of
from glomfeat.study import Trial

# Sums depend on the number of threads in their last bits, so it must not follow --jobs.
THREADS = 1
HEAD_BYTES = 5 * 8


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
    classes : int
    rule : str
        The threshold's.
    matrix : Matrix or None
        The feature; None for the floor, which reads none.
    key : dict
        What the reduced rows depend on: the feature, the reducer, and the digests of training rows and all rows.
    standardise : bool
    store : Store
    """

    trial: Trial
    seed: int
    labels: np.ndarray
    train: np.ndarray
    test: np.ndarray
    inner: list
    classes: int
    rule: str
    matrix: Any
    key: dict
    standardise: bool
    store: Store


def make_tasks(trials, study, folds, extracted, standardise, store):
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

    Returns
    -------
    list of Task
    """
    manifest = extracted.manifest
    labels, cases, digests = manifest.labels, manifest.cases, manifest.table["digest"].tolist()
    everything, rows_of, tasks = digest_of(digests), {}, []
    for trial in trials:
        where = trial.repeat, trial.fold
        if where not in rows_of:
            train, test, valid = fold_rows(folds, *where)
            inner = inner_splits(labels, cases, train, valid, seed_for(study.seed, "inner", *where))
            rows_of[where] = train, test, inner, digest_of([digests[row] for row in train])
        train, test, inner, trained_on = rows_of[where]
        feature, reducer = trial.arm.feature, trial.arm.reducer
        key = {"reduced": "v2", "reducer": reducer, "train": trained_on, "rows": everything}
        key["standardise"], key["of"] = standardise.get(feature, False), extracted.keys.get(feature, {})
        tasks.append(
            Task(
                trial=trial,
                seed=seed_for(study.seed, *trial.key),
                labels=labels,
                train=train,
                test=test,
                inner=inner,
                classes=len(manifest.classes),
                rule=study.threshold,
                matrix=extracted.matrices.get(feature),
                key=key,
                standardise=standardise.get(feature, False),
                store=store,
            )
        )
    return tasks


def task_bytes(task):
    """Memory that a trial takes at the most, in bytes: its reduction, then its head's copies of the rows."""
    if task.matrix is None:
        return 0
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
    record = {"arm": str(task.trial.arm), "repeat": task.trial.repeat, "fold": task.trial.fold, "seed": task.seed}
    try:
        with threadpool_limits(THREADS), PeakMemory() as memory:
            found = _fit_and_score(task)
    except Exception as error:
        return {**record, "status": "failed", "reason": f"{type(error).__name__}: {error}"}
    return {**record, "status": "done", **found, "peak_rss_mb": round(memory.peak_bytes / 1e6, 1)}


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


def warm_reduction(task):
    """Compute and store a fold's reduction, so that its heads find it; if it fails, each of them will say so."""
    with threadpool_limits(THREADS), contextlib.suppress(Exception):
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
    """
    failed, done = failed or {}, journal.read()
    waiting = []
    for task in tasks:
        if done.get(task.trial.key, {}).get("status") == "done":
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
        where = {"arm": str(task.trial.arm), "repeat": task.trial.repeat, "fold": task.trial.fold, "seed": task.seed}
        journal.append({**where, "status": status, "reason": reason})
    side_by_side = max(1, min(jobs, budget // max([1, *map(task_bytes, waiting)])))
    pool = Parallel(n_jobs=side_by_side, return_as="generator_unordered")

    shared = {digest_of([str(sorted(task.key.items()))]): task for task in waiting if _has_reduction(task)}
    for _ in track(pool(delayed(warm_reduction)(task) for task in shared.values()), "reductions", len(shared)):
        pass
    for record in track(pool(delayed(run_trial)(task) for task in waiting), "trials", len(waiting)):
        journal.append(record)
    return journal.read()


def _has_reduction(task):
    return task.matrix is not None and not leaves_as_is(task.trial.arm.reducer, task.matrix.shape[1])
