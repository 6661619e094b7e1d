"""The test rows of an arm's trials, and its metrics: as they are, or in replicates that weigh the cases."""

from dataclasses import dataclass, replace

import numpy as np

from glomfeat.core.seeds import seed_for
from glomfeat.metrics.by_case import auroc_by_case, average_precision_by_case, case_sums
from glomfeat.metrics.resampling import jackknife_limits, leave_out_weights, resampling_units
from glomfeat.metrics.scores import ECE_BINS, auroc, average_precision, decide, ece, rates, sureness, two_class

RANKED = ("auroc", "average_precision")
DECIDED = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "f1", "mcc")
ERRORS = ("fn", "fp")
AT_THRESHOLD = ("sensitivity", "specificity", *ERRORS)
METRICS = (*RANKED, *DECIDED, *ERRORS, "brier", "ece", *(f"{name}_t" for name in AT_THRESHOLD))


@dataclass(frozen=True)
class Part:
    """A trial's test rows with what was predicted.

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
    for trial in trials:
        record = run.record(trial)
        if record["status"] == "done":
            rows = run.tested(trial)
            score = np.asarray(record["scores"], np.float64)
            parts.append(Part(trial.repeat, labels[rows], cases[rows], score, record["threshold"]))
    return parts


def arms_of(run):
    """The trials of each arm, by its name, in the order of the plan.

    Returns
    -------
    dict of str to list of Trial
    """
    arms = {}
    for trial in run.trials:
        arms.setdefault(str(trial.arm), []).append(trial)
    return arms


def units_of(run):
    """The unit of each case of a run, `glomfeat.metrics.resampling.resampling_units`, by the run's seed."""
    return resampling_units(run.manifest.cases, seed=seed_for(run.seed, "units"))


def regroup(parts, units):
    """The parts with each case replaced by its unit.

    Parameters
    ----------
    parts : list of Part
    units : ndarray of int, shape (number of cases,)

    Returns
    -------
    list of Part
    """
    return [replace(part, cases=units[part.cases]) for part in parts]


def rank(parts, weights=None, metric="auroc"):
    """A ranking metric of an arm: within each trial's test rows, and averaged over trials.

    Parameters
    ----------
    parts : list of Part
    weights : ndarray of float, shape (replicates, cases), optional
    metric : {"auroc", "average_precision"}

    Returns
    -------
    ndarray of float64, shape (replicates,)
        A trial that a replicate leaves without one class does not count in it.
    """
    plain, by_case = {
        "auroc": (auroc, auroc_by_case),
        "average_precision": (average_precision, average_precision_by_case),
    }[metric]
    if weights is None:
        found = np.array([[plain(part.y, part.score)] for part in parts])
    else:
        weights = np.asarray(weights, np.float64)
        found = np.array([by_case(part.y, part.score, part.cases, weights) for part in parts])
    finite = np.isfinite(found)
    with np.errstate(invalid="ignore"):
        return np.where(finite, found, 0).sum(axis=0) / finite.sum(axis=0)


def measure(parts, classes, weights=None):
    """The metrics of an arm, from all its finished trials.

    Scores of different folds come of different models, so the ranking metrics are taken within each fold and
    averaged over folds and repeats. All others are of a repeat's pooled out-of-fold decisions, averaged over
    repeats.

    Parameters
    ----------
    parts : list of Part
    classes : int
    weights : ndarray of float, shape (replicates, cases), optional
        Of `glomfeat.metrics.resampling.case_weights`, say: how often each case counts in each replicate.

    Returns
    -------
    dict of str to ndarray, shape (replicates,)
        The names of `METRICS`. One replicate, in which every case counts once, without `weights`.
    """
    weights = None if weights is None else np.asarray(weights, np.float64)
    named = {name: [] for name in METRICS if name not in RANKED}
    for repeat in sorted({part.repeat for part in parts}):
        mine = [part for part in parts if part.repeat == repeat]
        for name, values in _pooled(mine, classes, weights).items():
            named[name].append(values)
    ranked = {name: rank(parts, weights, name) for name in RANKED}
    return ranked | {name: np.mean(values, axis=0) for name, values in named.items()}


def find_limits(parts, classes):
    """95 % limits of an arm's metrics, `glomfeat.metrics.resampling.jackknife_limits` from leaving out each case.

    Limits of false negatives and positives are of as many positive and negative images (of more than two classes: of
    all images) as were tested.

    Parameters
    ----------
    parts : list of Part
        Cases may be `regroup`-ed.
    classes : int

    Returns
    -------
    dict of str to (float, float)
        The names of `METRICS`; NaN where the metric is.
    """
    y, cases = (np.concatenate([getattr(part, field) for part in parts]) for field in ("y", "cases"))
    weights = leave_out_weights(cases.max() + 1)
    whole, without = measure(parts, classes), measure(parts, classes, weights)
    tested, tested_without = _tested(parts, classes), _tested(parts, classes, weights)
    holders, found = min(len(np.unique(cases[y == label])) for label in np.unique(y)), {}
    for name in METRICS:
        low, high, left_out, error = 0.0, 1.0, without[name], name.removesuffix("_t")
        if name == "mcc":
            low = -1.0
        elif name == "brier" and classes > 2:
            high = 2.0
        elif error in ERRORS:
            high = float(tested[error][0])
            left_out = high * left_out / tested_without[error]
        found[name] = jackknife_limits(float(whole[name][0]), left_out, low, high, holders)
    return found


def _tested(parts, classes, weights=None):
    """How many images a repeat false negatives and false positives are of."""
    repeats, found = len({part.repeat for part in parts}), {}
    for name, label in (("fn", 1), ("fp", 0)):
        rows = [part.y == label if classes == 2 else np.ones(len(part.y)) for part in parts]
        found[name] = sum(_summed(part, own, weights) for part, own in zip(parts, rows, strict=True)) / repeats
    return found


def _summed(part, values, weights):
    """Sums over the rows of a part in each replicate: (replicates,), or (replicates, k) of values in k columns."""
    if weights is None:
        return np.ones((1, len(values))) @ values
    return weights @ case_sums(values, part.cases, weights.shape[1])


def _pooled(parts, classes, weights):
    """The metrics of one repeat's pooled decisions."""
    counts = counts_t = error = total = gaps = 0
    for part in parts:
        cells = np.eye(classes * classes)
        counts = counts + _summed(part, cells[part.y * classes + decide(part.score)], weights)
        counts_t = counts_t + _summed(part, cells[part.y * classes + decide(part.score, part.threshold)], weights)
        truth = part.y if two_class(part.score) else np.eye(classes)[part.y]
        distance = (part.score - truth) ** 2
        error = error + _summed(part, distance if two_class(part.score) else distance.sum(axis=1), weights)
        total = total + _summed(part, np.ones(len(part.y)), weights)
        sure, true, bins = sureness(part.y, part.score)
        gaps = gaps + _summed(part, np.eye(ECE_BINS)[bins] * (sure - true)[:, None], weights)
    at_half, at_threshold = (rates(found.reshape(-1, classes, classes)) for found in (counts, counts_t))
    named = {name: at_half[name] for name in (*DECIDED, *ERRORS)}
    for name in AT_THRESHOLD:
        named[f"{name}_t"] = at_threshold[name] if classes == 2 else np.full(len(total), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        named |= {"brier": error / total, "ece": np.abs(gaps).sum(axis=1) / total}
    if weights is None:  # summed in the order of the images, so that it is to the last bit `ece` of them
        pooled = (np.concatenate([getattr(part, field) for part in parts]) for field in ("y", "score"))
        named["ece"] = np.array([ece(*pooled)])
    return named
