"""Whether acting on an arm's scores does more good than acting on all images or on none."""

import numpy as np
import pandas as pd

from glomfeat.metrics.by_case import case_sums, ratio_by_case
from glomfeat.metrics.resampling import LEVEL, open_limits
from glomfeat.results.one_vs_rest import questions
from glomfeat.results.unfinished import note_unfinished

THRESHOLDS = np.arange(1, 100) / 100
COLUMNS = (
    *("arm", "class", "threshold", "net_benefit", "net_benefit_lo", "net_benefit_hi", "treat_all", "treat_none"),
    *("gain", "gain_lo", "gain_hi", "note", "split"),
)


def decision_curve_table(run):
    """The net benefit of each arm over thresholds; with more than two classes, for each class against the rest.

    With n images, net benefit at a threshold t is TP / n - FP / n * t / (1 - t), where a score of t or more is positive
    (Vickers & Elkin 2006): whoever acts from a probability of t on accepts (1 - t) / t false alarms for one find. Folds
    are pooled, repeats averaged. Limits come from leaving out each case. If fewer than two cases hold a false alarm, or
    a miss, that takes such errors for nearly impossible; but one may cost as much as 99 finds. The lower limits then
    allow for as many as Clopper & Pearson (1934) do if no case of the class holds one.

    Parameters
    ----------
    run : Run

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, a row for each of `THRESHOLDS`. ``treat_all`` and ``treat_none`` (0) call every image
        positive, or none; ``gain`` is the net benefit less that of the better of both. Limits are empty if no case
        changes a figure, as when nothing is called positive, and ``note`` says so. It also names arms whose figures
        are from some of their trials only.
    """
    rows = []
    for question in questions(run):
        y, score, cases = question.pooled()
        held, local = np.unique(cases, return_inverse=True)
        benefits, unseen = _benefits(y, score, local, len(held))
        whole, without = ratio_by_case(benefits, case_sums(np.ones(len(y)), local, len(held))[:, None])
        n = len(THRESHOLDS)
        better = np.where(whole[n:] > 0, whole[n:], 0)
        beside = np.where(whole[n:] > 0, without[:, n:], 0)
        for k, threshold in enumerate(THRESHOLDS):
            ends = _limits(whole[k], without[:, k], unseen[k])
            gain, left = whole[k] - better[k], without[:, k] - beside[:, k]
            further = _limits(gain, left, unseen[k])
            note = _why_without(ends, further, len(held))
            row = threshold, whole[k], *ends, whole[n + k], 0.0, gain, *further, note
            rows.append((question.arm, question.label, *row, run.manifest.split))
    return note_unfinished(pd.DataFrame(rows, columns=COLUMNS), run)


def _limits(value, left_out, unseen):
    """Limits of a benefit that errors which were not seen may lower; squared distances add up, as in `apart_limits`."""
    low, high = open_limits(value, left_out)
    return value - float(np.hypot(value - low, unseen)), high


def _why_without(benefit, gain, cases):
    """Say why one or both have no limits, given these; empty if both have some."""
    names = [name for name, ends in (("net benefit", benefit), ("gain", gain)) if np.isnan(ends[0])]
    if not names:
        return ""
    why = "all images are of one case" if cases < 2 else "it is the same without each case"
    return f"no limits of {' and '.join(names)}, for {why}"


def _benefits(y, score, cases, n_cases):
    """What each case adds to the net benefit, and what errors that were not seen may take from it.

    Returns
    -------
    benefits : ndarray of float, shape (cases, 2 * thresholds)
        Times images: for the arm at each threshold, and for treating all.
    unseen : ndarray of float, shape (thresholds,)
    """
    odds = THRESHOLDS / (1 - THRESHOLDS)
    reached = np.searchsorted(THRESHOLDS, score, side="right")  # how many thresholds a score reaches
    hits, alarms = (_reaching(cases[rows], reached[rows], n_cases) for rows in (y == 1, y != 1))
    ones, zeros = (case_sums((y == label).astype(float), cases, n_cases)[:, None] for label in (1, 0))
    unseen = np.hypot(_unseen(ones - hits, ones), _unseen(alarms, zeros) * odds) / len(y)
    return np.hstack([hits - alarms * odds, ones - zeros * odds]), unseen


def _unseen(errors, images):
    """How many errors of a class there may be at each threshold, beside fewer than two cases that hold one; else 0."""
    share = 1 - ((1 - LEVEL) / 2) ** (1 / max(1, np.count_nonzero(images)))
    return np.where(np.count_nonzero(errors, axis=0) < 2, images.sum() * share, 0)


def _reaching(cases, reached, n_cases):
    """How many images of each case (row) reach each threshold (column)."""
    width = len(THRESHOLDS) + 1
    counts = np.bincount(cases * width + reached, minlength=n_cases * width).reshape(n_cases, width)
    return counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
