"""The harness: every trial of every arm on the same folds, nested, seeded, within memory, journaled as it ends."""

import contextlib
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from glomfeat.ensemble import mean_trial
from glomfeat.heads import head_bytes, make_head
from glomfeat.images import LANCZOS
from glomfeat.memory import Need, PeakMemory, format_bytes
from glomfeat.nets import converges
from glomfeat.progress import track
from glomfeat.reducers import leaves_as_is, parse_reducer
from glomfeat.reductions import Reduction, Route, blocks_of, digests_of, find_route, stored_sum
from glomfeat.scoring import scores_of
from glomfeat.seeds import seed_for
from glomfeat.selection import fit_chosen
from glomfeat.splits import fold_rows, inner_splits, inner_valid_split
from glomfeat.study import FLOOR, Trial
from glomfeat.workers import PROCESS_BYTES, Call, side_by_side

TORCH_BYTES = 450_000_000
PARENT_BYTES = 250_000_000
IMAGE_BYTES = 3_000  # names, paths, digests, folds and scores of an image, and the tables made of them


@dataclass(frozen=True)
class Plan:
    """What an arm takes.

    Attributes
    ----------
    route : Route or None
        Of its reduction; None where nothing is reduced.
    trial : Need
        Of a trial whose reduction is stored.
    remedy : str
        What else helps than more memory.
    """

    route: Route | None
    trial: Need
    remedy: str = "take a smaller reducer such as ipca128"

    @property
    def most(self):
        """The largest need, of a trial or of what comes before it."""
        before = [self.route.fold, self.route.shared] if self.route else []
        return max([self.trial, *filter(None, before)], key=lambda need: need.bytes)


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
        Of a network that is trained in epochs only one, on whose inner-valid rows calibration and threshold are chosen.
    classes : int
    rule : str or callable
        The threshold's.
    calibration : str
    threads : int
        Sums depend on their number in the last bits, so it is the study's and does not follow ``--jobs``.
    plan : Plan
    reduction : Reduction or None
        What the head reads; None for the floor, which reads nothing, and for networks.
    pixels : Matrix or None
        What a network reads.
    net : dict
        Settings of `glomfeat.nets.make_net`; empty for heads.
    inside : int
        Into how many test images of each kind to look when a network is trained, of the first trial of each arm.
    members : tuple of (key, rows)
        Of an ensemble, the trials of its members on the same fold, and their inner-valid rows in the order of scores.
    is_member : bool
        Whether an ensemble needs the trial's inner out-of-fold scores.
    """

    trial: Trial
    seed: int
    labels: np.ndarray
    train: np.ndarray
    test: np.ndarray
    inner: list
    classes: int
    rule: str
    calibration: str
    threads: int
    plan: Plan
    reduction: Reduction | None = None
    pixels: Any = None
    net: dict = field(default_factory=dict)
    inside: int = 0
    members: tuple = ()
    is_member: bool = False


def free_bytes(budget, torch, images=0):
    """What a study may plan with: its budget less what its own process and one worker hold.

    It is a function of the study alone, so that what fits, and by which route, is the same when it is resumed.

    Parameters
    ----------
    budget : int
    torch : bool
        Whether there are deep features or networks.
    images : int
        How many the study has, where that is known.
    """
    return budget - PARENT_BYTES - PROCESS_BYTES - TORCH_BYTES * torch - IMAGE_BYTES * images


def plan_arm(arm, study, matrix, standardise, free, nets):
    """How an arm goes about its work, and what memory that takes.

    Parameters
    ----------
    arm : Arm
    study : Study
    matrix : Matrix or Shape or None
        The feature, of which only shape and type are looked at; None of networks and of the floor.
    standardise : bool
    free : int
        Bytes, of `free_bytes`.
    nets : dict of str to (dict, int)
        As `make_tasks`.

    Returns
    -------
    Plan
    """
    if arm.net:
        batch = "parameters, gradients, moments and activations of a batch, and torch"
        return Plan(None, Need(nets[arm.net][1] + TORCH_BYTES, batch), "pass a smaller --batch")
    if matrix is None:
        return Plan(None, Need(0, "nothing"))
    (n, width), k = matrix.shape, parse_reducer(arm.reducer)[1]
    as_is = leaves_as_is(arm.reducer, width)
    columns = width if as_is else k or width
    size = n * columns * 4 + head_bytes(arm.head, n, columns)
    rows = Need(size, f"{n} rows of {columns} columns, and what {arm.head} makes of them")
    if as_is:
        return Plan(None, rows)
    return Plan(find_route(arm.reducer, matrix, study.repeats, study.tested, standardise, free), rows)


def make_tasks(trials, study, folds, extracted, standardise, store, free, nets=None):
    """Turn trials into tasks: their rows, inner splits, seeds, reductions and needs.

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
    free : int
        Bytes, of `free_bytes`.
    nets : dict of str to (dict, int), optional
        By the network's name, its settings and how many bytes training it takes.

    Returns
    -------
    list of Task
    """
    manifest, nets = extracted.manifest, nets or {}
    labels, cases, digests = manifest.labels, manifest.cases, manifest.table["digest"].tolist()
    rows_of, plans, tasks = {}, {}, []
    needed = {member for trial in trials for member in trial.arm.members}
    in_epochs = {name for name, (settings, _) in nets.items() if not converges(name, settings)}
    for trial in trials:
        where, arm = (trial.repeat, trial.fold), trial.arm
        if where not in rows_of:
            train, test, valid = fold_rows(folds, *where)
            of_heads = inner_splits(labels, cases, train, valid, seed_for(study.seed, "inner", *where))
            of_nets = []
            if nets:
                of_nets = [inner_valid_split(labels, cases, train, valid, seed_for(study.seed, "inner-valid", *where))]
            blocks = blocks_of(folds, trial.repeat, train)
            rows_of[where] = train, test, of_heads, of_nets, blocks, digests_of(digests, train, blocks)
        train, test, of_heads, of_nets, blocks, stand_for = rows_of[where]
        matrix, own = extracted.matrices.get(arm.feature), standardise.get(arm.feature, False)
        first = arm not in plans
        if first:
            plans[arm] = plan_arm(arm, study, matrix, own, free, nets)
        reduction = None
        if matrix is not None:
            of = extracted.keys[arm.feature]
            parts = arm.reducer, matrix, train, blocks, own, of, stand_for, plans[arm].route, study.tested
            reduction = Reduction(*parts, store, study.threads)
        settings = nets[arm.net][0] if arm.net else {}
        members = [
            (replace(trial, arm=member).key, of_nets if member.net in in_epochs else of_heads) for member in arm.members
        ]
        tasks.append(
            Task(
                trial=trial,
                seed=seed_for(study.seed, *trial.key),
                labels=labels,
                train=train,
                test=test,
                inner=of_nets if arm.net in in_epochs else of_heads,
                classes=len(manifest.classes),
                rule=study.threshold,
                calibration=study.calibration,
                threads=study.threads,
                plan=plans[arm],
                reduction=reduction,
                pixels=extracted.pixels[settings["side"], LANCZOS] if arm.net else None,
                net=settings,
                inside=study.inside if first else 0,
                members=tuple((key, np.concatenate([rows for _, rows in splits])) for key, splits in members),
                is_member=arm in needed,
            )
        )
    return tasks


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
    start = time.perf_counter()
    head = make_head(task.trial.arm.head, task.seed)
    chosen = fit_chosen(head, X, task.labels, task.train, task.inner, task.classes, task.rule, task.calibration)
    fitted = time.perf_counter()
    scores = chosen.calibration.apply(scores_of(chosen.estimator, X[task.test], task.classes))
    scored = time.perf_counter()
    if not np.isfinite(scores).all():
        raise ValueError("scores of the test rows are not finite")
    return {
        "reason": "; ".join([*notes, *chosen.notes]),
        "params": dict(sorted(chosen.params.items())),
        "threshold": chosen.threshold,
        "inner_auroc": chosen.inner_auroc,
        **_how_calibrated(chosen.calibration),
        "scores": scores.tolist(),
        **_inner_scores(task, chosen.inner_scores),
        "n_train": len(task.train),
        "fit_s": round(reduce_s + fitted - start, 4),
        "predict_s": round(transform_s * len(task.test) / len(X) + scored - fitted, 5),
    }


def _how_calibrated(calibration):
    """The maps of a calibration for the journal; nothing where there are none."""
    return {"calibration": {calibration.kind: list(calibration.maps)}} if calibration.maps else {}


def _inner_scores(task, scores):
    """The inner out-of-fold scores for the journal, of the rows of the inner splits one after the other, if needed."""
    return {"inner_scores": scores.tolist()} if task.is_member else {}


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


def warm_reduction(reduction):
    """Compute and store a fold's reduction, so that its heads find it; if it fails, each of them will say so.

    Returns
    -------
    int
        Bytes: the peak of the process.
    """
    with PeakMemory() as memory, threadpool_limits(reduction.threads), contextlib.suppress(Exception):
        reduction.rows()
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
    shared = {_stands_for(task.reduction): task.reduction for task in waiting if _stands_for(task.reduction)}
    shared = {key: reduction for key, reduction in shared.items() if not reduction.store.has(reduction.key)}
    make_sums(shared.values(), jobs, cluster)
    threads, lost, before = max((task.threads for task in waiting), default=1), {}, {}
    calls = [Call(reduction, reduction.route.fold.bytes) for reduction in shared.values()]
    for ended in side_by_side(warm_reduction, calls, "reductions", jobs, budget, threads, cluster):
        key = _stands_for(ended.item)
        before[key] = ended
        if ended.lost:
            lost[key] = ended.lost
    for task in waiting:
        if _stands_for(task.reduction) in lost:
            skip(task, "skipped", lost[_stands_for(task.reduction)])
    heads = [task for task in waiting if not task.net and _stands_for(task.reduction) not in lost]
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
                journal.append(ended.found | _sizes(ended, before.get(_stands_for(ended.item.reduction))))
    records = journal.read()
    for task in means:
        if task.trial.key not in done:
            journal.append(_which(task) | mean_trial(task, records))
    return journal.read() if means else records


def _sizes(ended, before):
    """What a trial and, if it was computed in this run, its reduction were planned to take, and took."""
    parts = [ended, before] if before else [ended]
    peaks = [ended.found.get("peak_rss_mb", 0.0), *([megabytes(before.found)] if before else [])]
    return {
        "planned_mb": megabytes(ended.item.plan.most.bytes + PROCESS_BYTES),
        "peak_rss_mb": max(peaks),
        "tree_pss_mb": megabytes(max(part.tree_bytes for part in parts)),
    }


def _stands_for(reduction):
    """What is the same of equal reductions; empty where there is none to be stored."""
    return "" if reduction is None or reduction.does_nothing else str(sorted(reduction.key.items()))


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
