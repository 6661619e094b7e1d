"""The harness: every trial of every arm on the same folds, nested, seeded, within memory, journaled as it ends."""

import contextlib
import time
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from glomfeat.ensemble import mean_trial
from glomfeat.heads import make_head
from glomfeat.inner import score_inner
from glomfeat.memory import PeakMemory, format_bytes
from glomfeat.plugins import is_own
from glomfeat.progress import track
from glomfeat.reductions import FEW_ROWS, Reduction, stored_sum
from glomfeat.scoring import scores_of
from glomfeat.selection import COMPONENTS, fit_chosen, mean_by_row
from glomfeat.study import FLOOR
from glomfeat.workers import PROCESS_BYTES, Call, side_by_side

ROWS_EACH = 5  # training rows for each component, below which a line says so


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
    except MemoryError as error:
        said = f"memory: the system gives no more ({error}): free some, or {task.plan.remedy}"
        return {**record, "status": "skipped", "reason": said}
    except Exception as error:
        return {**record, "status": "failed", "reason": f"{type(error).__name__}: {error}"}
    return {**record, "status": "done", **found, "peak_rss_mb": megabytes(memory.peak_bytes)}


def megabytes(size):
    """Bytes as the tables show them."""
    return round(size / 1e6, 1)


def _which(task):
    """What a journal record is known by."""
    return {"arm": str(task.trial.arm), "repeat": task.trial.repeat, "fold": task.trial.fold, "seed": task.seed}


def _fit_and_score(task):
    X, reduce_s, transform_s, notes = _rows(task)
    reduced, prefixes = not (task.reduction is None or task.reduction.does_nothing), ()
    scored, inner_s = None, 0.0
    if task.reduction is not None:
        prefixes, (scored, inner_s, noted) = task.reduction.prefixes, score_inner(task.models, task.inner)
        notes = [*notes, *noted]
    start = time.perf_counter()
    head = make_head(task.trial.arm.head, task.seed, reduced)
    given = task.labels, task.train, task.inner, task.classes, task.rule, task.calibration
    chosen = fit_chosen(head, X, *given, prefixes, scored)
    fitted = time.perf_counter()
    tested = X[task.test][:, : chosen.params.get(COMPONENTS)]
    scores = chosen.calibration.apply(scores_of(chosen.estimator, tested, task.classes))
    ended = time.perf_counter()
    if not np.isfinite(scores).all():
        raise ValueError("scores of the test rows are not finite")
    return {
        "reason": "; ".join(dict.fromkeys([*notes, *_few_rows(task, X.shape[1], chosen.params), *chosen.notes])),
        "params": dict(sorted(chosen.params.items())),
        "threshold": chosen.threshold,
        "inner_auroc": chosen.inner_auroc,
        **_how_calibrated(chosen.calibration),
        "scores": scores.tolist(),
        **_inner_scores(task, chosen.inner_scores),
        "n_train": len(task.train),
        "fit_s": round(reduce_s + inner_s + fitted - start, 4),
        "predict_s": round(transform_s * len(task.test) / len(X) + ended - fitted, 5),
    }


def _few_rows(task, width, params):
    """A note where the components that are read are many for the training rows."""
    if task.reduction is None or task.reduction.does_nothing or is_own(task.reduction.name):
        return
    k = min(width, params.get(COMPONENTS, width))
    if COMPONENTS in params:
        yield f"reads {k} of {width} components"
    if k * ROWS_EACH > len(task.train):
        yield f"{k} {FEW_ROWS}"


def _how_calibrated(calibration):
    """The maps of a calibration for the journal; nothing where there are none."""
    return {"calibration": {calibration.kind: list(calibration.maps)}} if calibration.maps else {}


def _inner_scores(task, scores):
    """The inner out-of-fold scores for the journal, if needed, of rows in ascending order."""
    return {"inner_scores": mean_by_row(task.inner, scores)[1].tolist()} if task.is_member else {}


def _rows(task):
    """The reduced rows of a trial, as `Reduction.rows`; the floor's head needs rows, and looks at none."""
    if task.reduction is None:
        assert str(task.trial.arm) == FLOOR
        return np.zeros((len(task.labels), 1), np.float32), 0.0, 0.0, []
    return task.reduction.rows()


def _train_and_score(task):
    from glomfeat.nets.run import train_and_score

    settings = {**task.net, "seed": task.seed, "classes": task.classes}
    rows = task.train, task.inner, task.test
    how = task.rule, task.calibration, task.threads, task.inside
    chosen, scores, about = train_and_score(task.trial.arm.net, settings, task.pixels, task.labels, *rows, *how)
    return {
        **about,
        "reason": "; ".join(chosen.notes),
        "params": chosen.params,
        "threshold": chosen.threshold,
        "inner_auroc": chosen.inner_auroc,
        **_how_calibrated(chosen.calibration),
        "scores": chosen.calibration.apply(scores).tolist(),
        **_inner_scores(task, chosen.inner_scores),
    }


@dataclass(frozen=True)
class Before:
    """What comes before trials: a reduction that heads share, and the inner models that learn from its rows.

    Attributes
    ----------
    reduction : Reduction
    models : tuple of InnerModels
    need : int
        Bytes.
    """

    reduction: Reduction
    models: tuple
    need: int


def do_before(before):
    """Compute and store what comes before trials; what fails here fails again in the trials, which say so.

    Returns
    -------
    int
        Bytes: the peak of the process.
    """
    with PeakMemory() as memory, threadpool_limits(before.reduction.threads):
        if not before.reduction.does_nothing:
            with contextlib.suppress(Exception):
                before.reduction.rows()
        for models in before.models:
            with contextlib.suppress(Exception):
                models.scores()
    return memory.peak_bytes


def run(tasks, journal, jobs, budget, free, failed=None, cluster=None):
    """Run what the journal does not hold yet, and append each record as its trial ends.

    Parameters
    ----------
    tasks : list of Task
    journal : Journal
    jobs : int
        Processes at the most; fewer if the memory budget asks for it.
    budget : int
        Bytes, of all processes together.
    free : int
        Bytes, of `free_bytes`: a trial that needs more is skipped.
    failed : dict of str to str, optional
        Features that could not be computed: their trials are recorded with the reason.
    cluster : glomfeat.clusters.Cluster, optional
        Where it is done instead, see `glomfeat.workers.side_by_side`.

    Returns
    -------
    dict of (arm, repeat, fold) to dict
        The records of all trials.
    """
    failed, done, waiting = failed or {}, journal.done(), []
    means, tasks = [task for task in tasks if task.members], [task for task in tasks if not task.members]

    def skip(task, status, reason):
        planned = {"planned_mb": megabytes(task.plan.most.bytes + PROCESS_BYTES)}
        journal.append({**_which(task), "status": status, "reason": reason, **planned})

    for task in tasks:
        if task.trial.key in done:
            continue
        need = task.plan.most
        if task.trial.arm.feature in failed:
            skip(task, "failed", failed[task.trial.arm.feature])
        elif need.bytes > free:
            why = f"memory: needs {format_bytes(need.bytes)} ({need.how}) of {format_bytes(max(free, 0))}"
            skip(task, "skipped", f"{why}: {need.remedy(free)}, or {task.plan.remedy}")
        else:
            waiting.append(task)
    shared = all_before(waiting)
    make_sums([one.reduction for one in shared if not one.reduction.does_nothing], jobs, cluster)
    threads, lost, before = max((task.threads for task in waiting), default=1), {}, {}
    calls = [Call(one, one.need) for one in shared]
    for ended in side_by_side(do_before, calls, "reductions and inner models", jobs, budget, threads, cluster):
        key = ended.item.reduction.identity
        before[key] = ended
        if ended.lost:
            lost[key] = ended.lost
    asked = {task.trial.key: [one.identity for one in reductions_of(task)] for task in waiting}
    for task in waiting:
        if why := next((lost[key] for key in asked[task.trial.key] if key in lost), ""):
            skip(task, "skipped", why)
    heads = [task for task in waiting if not task.net and not set(asked[task.trial.key]) & set(lost)]
    nets = [task for task in waiting if task.net]
    # networks on a GPU would share its memory and gain nothing
    on_gpu = any(task.net.get("device", "cpu").startswith("cuda") for task in nets)
    for part, what, at_once in ((heads, "trials", jobs), (nets, "trials of networks", 1 if on_gpu else jobs)):
        calls = [Call(task, task.plan.trial.bytes) for task in part]
        for ended in side_by_side(run_trial, calls, what, at_once, budget, threads, cluster):
            if ended.lost:
                skip(ended.item, "skipped", ended.lost)
            else:
                if inside := ended.found.pop("inside", None):
                    which = {"arm": ended.found["arm"], "fold": ended.found["fold"]}
                    journal.append({"inside": which | inside})
                prior = [before[key] for key in asked[ended.item.trial.key] if key in before]
                journal.append(ended.found | _sizes(ended, prior))
    records = journal.read()
    for task in means:
        if task.trial.key not in done:
            journal.append(_which(task) | mean_trial(task, records))
    return journal.read() if means else records


def _sizes(ended, before):
    """What a trial, and what was computed for it in this run, was planned to take, and took."""
    peaks = [ended.found.get("peak_rss_mb", 0.0), *(megabytes(one.found) for one in before)]
    return {
        "planned_mb": megabytes(ended.item.plan.most.bytes + PROCESS_BYTES),
        "peak_rss_mb": max(peaks),
        "tree_pss_mb": megabytes(max(part.tree_bytes for part in [ended, *before])),
    }


def reductions_of(task):
    """All reductions that a trial looks at: of its training rows, and of the rows that its inner models learn from."""
    return [] if task.reduction is None else [task.reduction, *(models.reduction for models in task.models)]


def all_before(tasks):
    """What is to be computed before some trials: each reduction once, with the inner models on it.

    Parameters
    ----------
    tasks : list of Task

    Returns
    -------
    list of Before
        Only of what is not stored yet.
    """
    reductions, models, needs = {}, {}, {}
    for task in tasks:
        for reduction in reductions_of(task):
            key = reduction.identity
            reductions.setdefault(key, reduction)
            before = [task.plan.trial.bytes] + ([reduction.route.fold.bytes] if reduction.route else [])
            needs[key] = max(needs.get(key, 0), *before)
        for one in task.models:
            models.setdefault(one.reduction.identity, {}).setdefault((one.head, one.seed), one)
    found = []
    for key, reduction in reductions.items():
        left = tuple(one for one in models.get(key, {}).values() if not (is_own(one.head) or one.is_stored))
        if left or not (reduction.does_nothing or reduction.store.has(reduction.key)):
            found.append(Before(reduction, left, needs[key]))
    return found


def make_sums(reductions, jobs, cluster=None):
    """Compute and store the sums that folds share, one after the other, each in all threads; or by a cluster.

    Parameters
    ----------
    reductions : iterable of Reduction
    jobs : int
    cluster : glomfeat.clusters.Cluster, optional
    """
    sums = {str(sorted(key.items())): (r, place) for r in reductions for place, (key, _) in enumerate(r.sums)}
    missing = [(r, place) for r, place in sums.values() if not r.store.has(r.sums[place][0])]
    what = "sums for exact components"
    if cluster:
        calls = [Call((r, place, r.threads), r.route.shared.bytes) for r, place in missing]
        for _ in side_by_side(_make_sum, calls, what, jobs, cluster.budget, 1, cluster):
            pass  # one that was lost is tried again by the reductions that need it
        return
    for r, place in track(missing, what, len(missing)):
        _make_sum((r, place, jobs))


def _make_sum(part):
    reduction, place, threads = part
    key, make = reduction.sums[place]
    stored_sum(reduction.store, key, make, threads)
