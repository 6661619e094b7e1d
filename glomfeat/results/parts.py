"""The test rows of an arm's trials, and its metrics: as they are, or in replicates that weight the cases."""

from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from glomfeat.core.seeds import seed_for
from glomfeat.metrics.by_case import case_sums
from glomfeat.metrics.mean_recall import is_mean_recall, mean_recall_limits
from glomfeat.metrics.own_cases import own_cases
from glomfeat.metrics.resampling import jackknife_limits, leave_out_weights, resampling_units
from glomfeat.metrics.scores import decide
from glomfeat.metrics.table import METRICS, limits_of


@dataclass(frozen=True)
class Part:
    """A trial's test rows, with what was predicted.

    Attributes
    ----------
    repeat : int
    y, cases : ndarray of int, shape (n,)
    score : ndarray of float64, shape (n,) or (n, classes)
    threshold : float
    """

    repeat: int
    y: np.ndarray
    cases: np.ndarray
    score: np.ndarray
    threshold: float


def trial_parts(run, trials):
    """The test rows of each finished trial, with what was predicted.

    Parameters
    ----------
    run : Run
    trials : list of Trial

    Returns
    -------
    list of Part
        In the order of `trials`.
    """
    labels, cases = run.manifest.labels, run.manifest.cases
    parts = []
    for trial, record in run.done(trials).items():
        rows, score = run.tested(trial), np.asarray(record["scores"], np.float64)
        parts.append(Part(trial.repeat, labels[rows], cases[rows], score, record["threshold"]))
    return parts


def arms_of(run):
    """The trials of each arm, by its name, in the order of the plan: dict of str to list of Trial."""
    arms = {}
    for trial in run.trials:
        arms.setdefault(str(trial.arm), []).append(trial)
    return arms


def finished_arms(run):
    """The trials of each arm all of whose trials are done, as from `arms_of`."""
    arms = arms_of(run)
    return {name: trials for name, trials in arms.items() if status_of(map(run.record, trials)) == "done"}


def finished_parts(run):
    """The test rows, with what was predicted, of each arm all of whose trials are done.

    Returns
    -------
    dict of str to list of Part
        By arm, in the order of the plan.
    """
    return {name: trial_parts(run, trials) for name, trials in finished_arms(run).items()}


def status_of(records):
    """Sum up how trials ended: as all of them did, or ``partial``.

    Examples
    --------
    >>> status_of([{"status": "done"}, {"status": "done"}]), status_of([{"status": "done"}, {"status": "failed"}])
    ('done', 'partial')
    """
    states = {record["status"] for record in records}
    return states.pop() if len(states) == 1 else "partial"


def units_of(run):
    """The unit of each case of a run, from `glomfeat.metrics.resampling.resampling_units` with the run's seed."""
    return resampling_units(run.manifest.cases, seed=seed_for(run.seed, "units"))


def tested_units(run):
    """The units of `units_of`, numbered without those that no trial tests, such as the training cases of a hold-out.

    Returns
    -------
    ndarray of int64, shape (number of cases,)
        -1 for cases of units that are not tested.
    """
    units = units_of(run)
    tested = np.bincount(units[run.manifest.cases[run.ever_tested]], minlength=units.max() + 1) > 0
    return np.where(tested, np.cumsum(tested) - 1, -1)[units]


def regroup(parts, units):
    """Replace each case in the parts by its unit.

    Parameters
    ----------
    parts : list of Part
    units : ndarray of int, shape (number of cases,)

    Returns
    -------
    list of Part
    """
    return [replace(part, cases=units[part.cases]) for part in parts]


def pooled(parts, *fields):
    """Arrays such as ``y`` and ``cases`` of some parts, each as one for all of them."""
    return tuple(np.concatenate([getattr(part, field) for part in parts]) for field in fields)


def by_repeat(parts):
    """The parts of each repeat."""
    repeats = sorted({part.repeat for part in parts})
    return [[part for part in parts if part.repeat == repeat] for repeat in repeats]


def parts_by_unit(run):
    """Yield the test rows of each arm that has finished trials, with units in place of cases.

    Parameters
    ----------
    run : Run

    Yields
    ------
    (str, list of Part)
        In the order of the plan.
    """
    units = units_of(run)
    for name, trials in arms_of(run).items():
        parts = regroup(trial_parts(run, trials), units)
        if parts:
            yield name, parts


def rank(parts, weights=None, metric="auroc"):
    """A ranking metric of an arm: within each trial's test rows, and averaged over trials.

    Parameters
    ----------
    parts : list of Part
    weights : ndarray of float, shape (replicates, cases), optional
    metric : str
        A metric of `glomfeat.metrics.table.METRICS` that is taken within folds.

    Returns
    -------
    ndarray of float64, shape (replicates,)
        A trial does not count in a replicate that leaves it without one of the classes.
    """
    row = METRICS[metric]
    if weights is None:
        found = np.array([[row.function(part.y, part.score)] for part in parts])
    else:
        weights = np.asarray(weights, np.float64)
        found = np.array([row.by_case(part.y, part.score, part.cases, weights) for part in parts])
    return mean_known(found)


def mean_known(values):
    """The mean over trials (rows), in each replicate (column) of those that have a value."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis=0) / known.sum(axis=0)


def measure(parts, classes, weights=None):
    """The metrics of an arm, from all its finished trials.

    Scores of different folds come from different models, so the ranking metrics are taken within each fold and averaged
    over folds and repeats. All others are taken from a repeat's pooled out-of-fold scores or decisions and averaged.
    `glomfeat.metrics.table.METRICS` says which.

    Parameters
    ----------
    parts : list of Part
    classes : int
    weights : ndarray of float, shape (replicates, cases), optional
        For example from `glomfeat.metrics.resampling.case_weights`: how often each case counts in each replicate.

    Returns
    -------
    dict of str to ndarray, shape (replicates,)
        By the names in `METRICS`; with `weights` only those that have limits. Without `weights` there is one replicate,
        in which every case counts once. Metrics at a threshold are NaN with more than two classes.
    """
    ranked = {name: rank(parts, weights, name) for name, metric in METRICS.items() if metric.by_fold}
    return ranked | measure_pooled(parts, classes, weights)


def measure_pooled(parts, classes, weights=None):
    """The metrics of `measure` that are taken from a repeat's pooled out-of-fold scores or decisions.

    Parameters and returns are those of `measure`.
    """
    weights, named = None if weights is None else np.asarray(weights, np.float64), {}
    for mine in by_repeat(parts):
        for name, values in _pooled(mine, classes, weights).items():
            named.setdefault(name, []).append(values)
    return {name: np.mean(values, axis=0) for name, values in named.items()}


def find_limits(parts, classes):
    """95 % limits of an arm's metrics, from `glomfeat.metrics.resampling.jackknife_limits`, leaving out each case.

    How sure each is depends on the number of cases behind it, `glomfeat.metrics.own_cases.own_cases`. If a class is
    called without errors, limits of balanced accuracy are those of `glomfeat.metrics.mean_recall.mean_recall_limits`.
    Limits of false negatives and positives are for as many positive and negative images (with more than two classes:
    all images) as were tested.

    Parameters
    ----------
    parts : list of Part
        The cases may be units from `regroup`.
    classes : int

    Returns
    -------
    dict of str to (float, float)
        By the names of those in `METRICS` that have limits; NaN where the metric is, or if fewer than two cases are
        behind it, even within one repeat, as under a hold-out.
    """
    weights, found = leave_out_weights(max(part.cases.max() for part in parts) + 1), {}
    whole, without = measure(parts, classes), measure(parts, classes, weights)
    owned = cache(partial(_own_cases, parts, len(weights), classes))
    for name, metric in METRICS.items():
        if metric.limits is None:
            continue
        (low, high), left_out = metric.bounds(classes), without[name]
        if metric.errors_of is not None:
            tested, left = (_tested(parts, metric.errors_of, classes, each) for each in (None, weights))
            low, high = low * float(tested[0]), high * float(tested[0])
            with np.errstate(invalid="ignore"):  # none of the class is left if one case holds all of it
                left_out = high * left_out / left
        own, holders = owned("all" if metric.errors_of is not None and classes > 2 else metric.made_of)
        found[name] = jackknife_limits(float(whole[name][0]), left_out[own], low, high, holders)
        if is_mean_recall(name, classes):
            found[name] = recall_limits(found[name], float(whole[name][0]), parts, classes)
    return found


def recall_limits(ends, value, parts, classes, at_threshold=False):
    """Limits of an arm's balanced accuracy, from `glomfeat.metrics.mean_recall.mean_recall_limits`."""
    y, cases = pooled(parts, "y", "cases")
    called = [decide(part.score, part.threshold if at_threshold else None) for part in parts]
    return mean_recall_limits(ends, value, y, np.concatenate(called), cases, classes)


def count_holders(parts, classes, made_of="each"):
    """How many cases are behind a figure of an arm, from `glomfeat.metrics.own_cases.own_cases`."""
    return _own_cases(parts, max(part.cases.max() for part in parts) + 1, classes, made_of)[1]


def _own_cases(parts, n_cases, classes, made_of):
    y, cases = pooled(parts, "y", "cases")
    called = np.concatenate([decide(part.score) == 1 for part in parts])
    return own_cases(made_of, y, cases, n_cases, classes, called)


def of_calls(figure, parts, rows, columns, classes):
    """A figure of two kinds of calls, such as truth and an arm's: from a repeat's pooled images, averaged over repeats.

    Parameters
    ----------
    figure : callable
        ``(counts) -> values``, from confusion matrices of shape (..., classes, classes).
    parts : list of Part
    rows, columns : list of ndarray of int
        Classes of each part's images by the one and by the other.
    classes : int

    Returns
    -------
    callable
        ``(weights) -> values``, as `with_limits` takes it.
    """
    cells = np.eye(classes * classes)

    def measured(weights):
        counts = {}
        for part, row, column in zip(parts, rows, columns, strict=True):
            counts[part.repeat] = counts.get(part.repeat, 0) + _summed(part, cells[row * classes + column], weights)
        return np.mean([figure(of.reshape(-1, classes, classes)) for of in counts.values()], axis=0)

    return measured


def with_limits(figure, parts, low=0.0, high=1.0, made_of="each", called=None):
    """A figure of some parts with its 95 % limits, from `glomfeat.metrics.resampling.jackknife_limits`.

    Parameters
    ----------
    figure : callable
        ``(weights) -> values``: for each row of case weights, or with all cases once if `weights` is None.
    parts : list of Part
        The cases may be units from `regroup`.
    low, high : float
        The bounds of the figure.
    made_of : {"all", "each", "positive", "other", "called"}
        As for `glomfeat.metrics.own_cases.own_cases`.
    called : ndarray of bool, optional
        Whether each row of all parts is called positive.

    Returns
    -------
    value, low, high : float
        No limits if one case holds everything behind the figure, so that nothing is left without it.
    """
    y, cases = pooled(parts, "y", "cases")
    value, left_out = float(figure(None)[0]), left_out_of(figure, cases)
    own, holders = own_cases(made_of, y, cases, cases.max() + 1, called=called)
    return value, *jackknife_limits(value, left_out[own[np.unique(cases)]], low, high, holders)


def in_columns(name, found):
    """Name a figure and its limits, from `with_limits`, by their columns.

    Examples
    --------
    >>> in_columns("kappa", (0.5, 0.25, 0.75))
    {'kappa': 0.5, 'kappa_lo': 0.25, 'kappa_hi': 0.75}
    """
    return dict(zip((name, *limits_of(name)), found, strict=True))


def left_out_of(figure, cases):
    """The values of a figure, as for `with_limits`, without each of the cases."""
    return figure(leave_out_weights(cases.max() + 1))[np.unique(cases)]


def _tested(parts, label, classes, weights=None):
    """How many images of a class a repeat has tested; with more than two classes, how many images in all."""
    of_parts = (_summed(part, part.y == label if classes == 2 else np.ones(len(part.y)), weights) for part in parts)
    return sum(of_parts) / len({part.repeat for part in parts})


def _summed(part, values, weights):
    """Sums over the rows of a part in each replicate: (replicates,), or (replicates, k) for values in k columns."""
    if weights is None:
        return np.ones((1, len(values))) @ values
    return weights @ case_sums(values, part.cases, weights.shape[1])


def _pooled(parts, classes, weights):
    """The metrics of one repeat's pooled decisions."""
    counts, cells = {"0.5": 0, "threshold": 0}, np.eye(classes * classes)
    for part in parts:
        for at, threshold in (("0.5", None), ("threshold", part.threshold)):
            counts[at] = counts[at] + _summed(part, cells[part.y * classes + decide(part.score, threshold)], weights)
    y, score, cases = pooled(parts, "y", "score", "cases")
    named = {}
    for name, metric in METRICS.items():
        if metric.by_fold or (metric.limits is None and weights is not None):
            continue
        if metric.at == "threshold" and classes > 2:
            named[name] = np.full(len(counts[metric.at]), np.nan)
        elif metric.at:
            named[name] = metric.function(counts[metric.at].reshape(-1, classes, classes))
        elif weights is None:
            named[name] = np.array([metric.function(y, score)])
        else:
            named[name] = metric.by_case(y, score, cases, weights)
    return named
