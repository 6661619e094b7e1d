"""Each case counted once: AUROC in which all cases weigh the same, and one call for each case."""

from dataclasses import replace

import numpy as np
import pandas as pd

from glomfeat.metrics.by_case import auroc_by_case, case_sums
from glomfeat.metrics.own_cases import own_cases
from glomfeat.metrics.resampling import jackknife_limits, leave_out_weights
from glomfeat.metrics.scores import BLOCK, auroc, decide, two_class
from glomfeat.metrics.table import limits_of
from glomfeat.results.parts import (
    arms_of,
    find_limits,
    in_columns,
    mean_known,
    measure,
    pooled,
    regroup,
    status_of,
    trial_parts,
    units_of,
)

WEIGHTED, OF_WEIGHTED = "auroc_case_weighted", "AUROC, each case once"
MEAN, MAXIMUM, SHARE = "mean", "maximum", "share"
FIGURES = ("auroc", "average_precision", "sensitivity_t", "specificity_t", "sensitivity", "specificity", "accuracy")
COLUMNS = (
    *("arm", "rule", "status", "n_trials", "cases", "positives"),
    *(name for figure in FIGURES for name in (figure, *limits_of(figure))),
    "split",
)


def case_weighted(parts, units):
    """AUROC in which each case of a fold has the same weight, shared by its images; with 95 % limits.

    A case of 430 images then counts as much as one of two, so the figure is about patients rather than images. It is
    taken within each fold and averaged, as AUROC is.

    Parameters
    ----------
    parts : list of Part
    units : ndarray of int, shape (number of cases,)
        From `glomfeat.results.parts.units_of`.

    Returns
    -------
    value, low, high : float
        Limits are those of `glomfeat.metrics.resampling.jackknife_limits`.
    """
    whole, left_out = [], []
    without = leave_out_weights(units.max() + 1)
    for part in parts:
        tested, local = np.unique(part.cases, return_inverse=True)
        each = 1 / np.bincount(local)
        whole.append(auroc(part.y, part.score, each[local][None])[0])
        step = max(1, BLOCK // len(tested))
        of_cases = [without[k : k + step, units[tested]] * each for k in range(0, len(without), step)]
        left_out.append(np.concatenate([auroc_by_case(part.y, part.score, local, some) for some in of_cases]))
    y, cases = np.concatenate([part.y for part in parts]), np.concatenate([units[part.cases] for part in parts])
    value, left_out = mean_known(np.array(whole)[:, None])[0], mean_known(np.array(left_out))
    own, holders = own_cases("each", y, cases, len(without))
    return float(value), *jackknife_limits(float(value), left_out[own], holders=holders)


def one_class_each(manifest):
    """Whether cases are known and the images of each case all have one class, as in breast data.

    The percentage of positive images in a case is then 0 or 100 %, and the case itself has a class.
    """
    pairs = np.unique(np.stack([manifest.cases, manifest.labels]), axis=1)
    return manifest.by_case and pairs.shape[1] == len(np.unique(manifest.cases))


def why_uncalled(run):
    """Say why cases have no single call; empty if each has one class, and is tested in one fold of a repeat.

    Parameters
    ----------
    run : glomfeat.results.run.Run

    Returns
    -------
    str
    """
    if not one_class_each(run.manifest):
        return "cases hold several classes or are not known, so none has a single call"
    if run.manifest.torn and _in_several_folds(run):
        return "some cases are tested in several folds, by several models, so these have no single call"
    return ""


def _in_several_folds(run):
    """Whether a repeat tests a case in several folds."""
    tested = {(trial.repeat, trial.fold): run.manifest.cases[run.tested(trial)] for trial in run.trials}
    pairs = [(repeat, case) for (repeat, _), cases in tested.items() for case in np.unique(cases)]
    return len(set(pairs)) < len(pairs)


def as_cases(part, rule, classes):
    """Turn the test rows of a trial into one row per case, with a score from those of its images.

    Parameters
    ----------
    part : Part
        Its cases hold one class each.
    rule : {"mean", "maximum", "share"}
        The mean or the largest score, to which the threshold of the trial applies; or the share of images that are
        called positive (with more than two classes: called each class) at that threshold, which must reach a half.
    classes : int

    Returns
    -------
    Part
    """
    cases, local = np.unique(part.cases, return_inverse=True)
    n, threshold, score = np.bincount(local), part.threshold, part.score
    if rule == SHARE:
        called = decide(score, part.threshold if two_class(score) else None)
        score, threshold = (called.astype(float), 0.5) if two_class(score) else (np.eye(classes)[called], threshold)
    if rule == MAXIMUM:
        found = np.full((len(cases), *score.shape[1:]), -np.inf)
        np.maximum.at(found, local, score)
    else:
        # sums of equal scores may differ in the last bit, and that must not rank cases
        found = np.round((case_sums(score, local, len(cases)).T / n).T, 12)
    y = np.zeros(len(cases), part.y.dtype)
    y[local] = part.y
    return replace(part, y=y, cases=cases, score=found, threshold=threshold)


def case_level_table(run, rule=MEAN):
    """Figures for each arm with one call per case.

    Parameters
    ----------
    run : glomfeat.results.run.Run
        Each of its cases can be called: `why_uncalled` is empty.
    rule : {"mean", "maximum", "share"}
        As for `as_cases`.

    Returns
    -------
    pandas.DataFrame
        One row per arm, columns `COLUMNS`. All figures are those of `glomfeat.results.parts.measure` and `find_limits`,
        on rows that are cases. Those without ``_t`` decide on the score of a case at 0.5. With ``share`` this is also
        its threshold, so they are those with ``_t``.
    """
    classes, units, rows = len(run.manifest.classes), units_of(run), []
    for arm, trials in arms_of(run).items():
        parts = [as_cases(part, rule, classes) for part in trial_parts(run, trials)]
        row = {"arm": arm, "rule": rule, "status": status_of(map(run.record, trials)), "n_trials": len(parts)}
        if parts:
            y, cases = pooled(parts, "y", "cases")
            row |= {"cases": len(np.unique(cases)), "positives": len(np.unique(cases[y == classes - 1]))}
            found, ends = measure(parts, classes), find_limits(regroup(parts, units), classes)
            for name in FIGURES:
                row |= in_columns(name, (float(found[name][0]), *ends[name]))
        rows.append(row | {"split": run.manifest.split})
    return pd.DataFrame(rows).reindex(columns=COLUMNS)
