"""Run every trial of every arm on the same folds: nested, seeded, within memory, and journaled as it ends."""

from dataclasses import dataclass

from glomfeat.comparison.ensembles import mean_trial
from glomfeat.comparison.perturbed import note_changed
from glomfeat.comparison.trial import known_by, megabytes, run_trial
from glomfeat.core.disk import DiskError
from glomfeat.core.memory import PeakMemory, format_bytes
from glomfeat.core.plugins import is_own
from glomfeat.core.progress import track
from glomfeat.core.threads import limited_threads
from glomfeat.core.watched import limited
from glomfeat.core.workers import PROCESS_BYTES, Call, side_by_side
from glomfeat.metrics.thresholds import parse_threshold
from glomfeat.models.card import at_once_on
from glomfeat.models.nets import is_own_net
from glomfeat.models.reducers.cached import Reduction, stored_sum

NO_INNER_VALID = (
    "the training cases of this fold cannot be split into cases to learn and inner-valid cases with every class on "
    "both sides, which a network needs: train on more cases of the rarest class, or leave the network out"
)


@dataclass(frozen=True)
class Before:
    """A step before trials: a reduction that heads share, and the inner models that learn from its rows.

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
    """Compute and store a step before trials; anything that fails here fails again in the trials, which report it.

    Returns
    -------
    int
        The peak memory of the process, in bytes.
    """
    with PeakMemory() as memory, limited_threads(before.reduction.threads):
        if not before.reduction.does_nothing:
            _try(before.reduction.rows)
        for models in before.models:
            _try(models.scores)
    return memory.peak_bytes


def _try(compute):
    """Do a step, which may take as long as a trial; a disk that cannot be written ends the run."""
    with limited():
        try:
            compute()
        except (DiskError, KeyboardInterrupt):
            raise
        except BaseException:  # includes what the user's own part may raise to end the program
            return


def run(tasks, journal, jobs, budget, free, failed=None, cluster=None, seconds=None):
    """Run everything that the journal does not hold yet, and append each record as its trial ends.

    Parameters
    ----------
    tasks : list of Task
    journal : Journal
    jobs : int
        Most processes; fewer are used if the memory budget requires it.
    budget : int
        Bytes for all processes together.
    free : int
        Bytes, as `free_bytes` returns them: a trial that needs more is skipped.
    failed : dict of str to str, optional
        Features that could not be computed; their trials are recorded with the reason.
    cluster : glomfeat.core.cluster.calls.Cluster, optional
        Where trials run instead of on this machine, see `glomfeat.core.workers.side_by_side`.
    seconds : float, optional
        How long a trial may take, and each step before trials.

    Returns
    -------
    dict of (arm, repeat, fold) to dict
        The records of all trials.
    """
    failed, done, waiting = failed or {}, journal.done(), []
    means, tasks = [task for task in tasks if task.members], [task for task in tasks if not task.members]

    def skip(task, status, reason):
        planned = {"planned_mb": megabytes(task.plan.most.bytes + PROCESS_BYTES)}
        journal.append({**known_by(task), "status": status, "reason": reason, **planned})

    for task in tasks:
        if task.trial.key in done:
            continue
        need = task.plan.most
        if task.trial.arm.feature in failed:
            skip(task, "failed", failed[task.trial.arm.feature])
        elif need.bytes > free:
            why = f"memory: needs {format_bytes(need.bytes)} ({need.how}) of {format_bytes(max(free, 0))}"
            skip(task, "skipped", f"{why}: {need.remedy(free)}{task.plan.otherwise}")
        elif task.net and not task.inner:
            skip(task, "skipped", NO_INNER_VALID)
        else:
            waiting.append(task)
    shared = all_before(waiting)
    make_sums([one.reduction for one in shared if not one.reduction.does_nothing], jobs, cluster)
    threads, lost, before = max((task.threads for task in waiting), default=1), {}, {}
    calls = [Call(one, one.need) for one in shared]
    where = threads, cluster, any(map(has_own, waiting)), seconds
    for ended in side_by_side(do_before, calls, "reductions and inner models", jobs, budget, *where):
        key = ended.item.reduction.identity
        before[key] = ended
        if ended.lost:
            lost[key] = ended
    asked = {task.trial.key: [one.identity for one in reductions_of(task)] for task in waiting}
    for task in waiting:
        if ended := next((lost[key] for key in asked[task.trial.key] if key in lost), None):
            skip(task, ended.status, ended.lost)
    waiting = [task for task in waiting if not set(asked[task.trial.key]) & set(lost)]
    named = zip(heads_and_nets(waiting, jobs), ("trials", "trials of networks"), strict=True)
    for (part, at_once), what in named:
        calls = [Call(task, task.plan.trial.bytes) for task in part]
        for ended in side_by_side(run_trial, calls, what, at_once, budget, *where):
            if ended.lost:
                skip(ended.item, ended.status, ended.lost)
            else:
                if inside := ended.found.pop("inside", None):
                    which = {"arm": ended.found["arm"], "fold": ended.found["fold"]}
                    journal.append({"inside": which | inside})
                for name, scores in ended.found.pop("changed", {}).items():  # a finished trial has them all
                    note_changed(journal, ended.item.trial, name, scores)
                prior = [before[key] for key in asked[ended.item.trial.key] if key in before]
                journal.append(ended.found | _sizes(ended, prior))
    return _run_means([task for task in means if task.trial.key not in done], journal, budget, seconds)


def _run_means(tasks, journal, budget, seconds):
    """Run the trials of ensembles, and return the records of all trials."""
    records = journal.read()
    calls = [Call((task, {key: records.get(key) for key, _ in task.members}), 0) for task in tasks]
    where = 1, None, any(map(has_own, tasks)), seconds
    for ended in side_by_side(_mean_trial, calls, "trials of ensembles", 1, budget, *where):
        found = {"status": ended.status, "reason": ended.lost} if ended.lost else ended.found
        journal.append(known_by(ended.item[0]) | found)
    return journal.read()


def _mean_trial(item):
    with limited():
        return mean_trial(*item)


def heads_and_nets(tasks, jobs):
    """Tasks of heads, and tasks of networks, each with how many may run in parallel.

    Parameters
    ----------
    tasks : list of Task
    jobs : int

    Returns
    -------
    list of (list of Task, int)
    """
    heads, nets = ([task for task in tasks if bool(task.net) == of_nets] for of_nets in (False, True))
    at_once = [at_once_on(task.net.get("device", "cpu"), task.plan.most.bytes, jobs) for task in nets]
    return [(heads, jobs), (nets, min(at_once, default=jobs))]


def has_own(task):
    """Whether a trial calls code of the user's own, which may crash its process."""
    arm = task.trial.arm
    own_rule = parse_threshold(task.rule)[0] == "own"
    return own_rule or is_own(arm.head) or is_own(arm.reducer) or is_own_net(arm.network)


def _sizes(ended, before):
    """Memory that was planned for a trial and for what this run computed for it, and memory that they took."""
    peaks = [ended.found.get("peak_rss_mb", 0.0), *(megabytes(one.found) for one in before)]
    return {
        "planned_mb": megabytes(ended.item.plan.most.bytes + PROCESS_BYTES),
        "peak_rss_mb": max(peaks),
        "tree_pss_mb": megabytes(max(part.tree_bytes for part in [ended, *before])),
    }


def reductions_of(task):
    """All reductions of a trial: of its training rows, and of the rows that its inner models learn from."""
    return [] if task.reduction is None else [task.reduction, *(models.reduction for models in task.models)]


def all_before(tasks):
    """The steps before some trials: each reduction once, with the inner models that use it.

    Parameters
    ----------
    tasks : list of Task

    Returns
    -------
    list of Before
        Only those that are not stored yet.
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
    """Compute and store the sums that folds share, one after the other with all threads, or on a cluster.

    Parameters
    ----------
    reductions : iterable of Reduction
    jobs : int
    cluster : glomfeat.core.cluster.calls.Cluster, optional
    """
    sums = {str(sorted(key.items())): (r, place) for r in reductions for place, (key, _) in enumerate(r.sums)}
    missing = [(r, place) for r, place in sums.values() if not r.store.has(r.sums[place][0])]
    what = "sums for exact components"
    if cluster:
        calls = [Call((r, place, r.threads), r.route.shared.bytes) for r, place in missing]
        for _ in side_by_side(_make_sum, calls, what, jobs, cluster.budget, 1, cluster):
            pass  # if one is lost, the reductions that need it try again
        return
    for r, place in track(missing, what, len(missing)):
        _make_sum((r, place, jobs))


def _make_sum(part):
    reduction, place, threads = part
    key, make = reduction.sums[place]
    stored_sum(reduction.store, key, make, threads)
