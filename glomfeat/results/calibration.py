"""Whether scores can be read as probabilities: slope and intercept with limits, and a smoothed curve."""

import numpy as np
import pandas as pd
from scipy.special import expit

from glomfeat.metrics.by_case import case_sums, ratio_by_case
from glomfeat.metrics.own_cases import own_cases
from glomfeat.metrics.recalibration import (
    calibration_line,
    fit_logistic,
    fit_without_cases,
    lines_without_cases,
    logits,
)
from glomfeat.metrics.resampling import open_limits, open_p
from glomfeat.metrics.scores import sureness
from glomfeat.results.one_vs_rest import questions
from glomfeat.results.parts import parts_by_unit
from glomfeat.results.unfinished import note_unfinished

COLUMNS = (
    *("arm", "class", "slope", "slope_lo", "slope_hi", "slope_p", "intercept", "intercept_lo", "intercept_hi"),
    *("mean_score", "share", "gap_lo", "gap_hi", "gap_p", "n_images", "n_cases", "note", "split"),
)
CURVE_COLUMNS = ("arm", "score", "frequency", "lo", "hi", "split")
EDGE = 0.001  # in the curve, scores closer to 0 or 1 count as this far away, because a few of them would bend all of it
KNOTS = (5, 35, 65, 95)
POINTS = 50
NO_LINE = "a threshold parts the classes, or all scores are one: no line fits"
FEW_HOLDERS = "a class is held by fewer than two cases: no limits"
ONE_DECIDES = "without one of the cases a threshold parts the classes, and no line fits: no limits"


def calibration_table(run):
    """The calibration line of each arm; with more than two classes, one for each class against the rest.

    It is the logistic regression of the class on the logit of the score (Cox 1958; Van Calster et al. 2019), over the
    images of all repeats; see `glomfeat.metrics.recalibration.calibration_line`. Limits come from leaving out each
    case.

    Parameters
    ----------
    run : Run

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`. They include the mean score and the share of positives; ``gap_lo`` and ``gap_hi`` are limits
        of the former less the latter. ``slope_p`` is the p-value of a slope of 1, and ``gap_p`` of a gap of 0.
        ``n_images`` is for one repeat.
        ``note`` says why there is no line, or why there are no limits, and names arms whose figures are from some of
        their trials only.
    """
    rows = []
    for question in questions(run):
        y, score, units = question.pooled()
        row = {"arm": question.arm, "class": question.label, "mean_score": score.mean(), "share": y.mean()}
        row |= zip(("gap_lo", "gap_hi", "gap_p"), _gap(y, score, units), strict=True)
        row |= {"n_images": len(y) / question.repeats, "n_cases": question.n_cases, "note": ""}
        rows.append(row | _line(y, score, units, question.holders()) | {"split": run.manifest.split})
    return note_unfinished(pd.DataFrame(rows, columns=COLUMNS), run)


def _line(y, score, units, holders):
    slope, intercept = calibration_line(y, score)
    if not np.isfinite(slope):
        return {"note": NO_LINE}
    left = lines_without_cases(y, score, (slope, intercept), units, units.max() + 1)[np.unique(units)]
    found = {"slope": slope, "intercept": intercept, "slope_p": open_p(slope - 1, left[:, 0], holders)}
    for place, name in enumerate(("slope", "intercept")):
        found |= zip((f"{name}_lo", f"{name}_hi"), open_limits(found[name], left[:, place], holders), strict=True)
    if not np.isfinite(found["slope_lo"]):
        found["note"] = FEW_HOLDERS if holders < 2 else ONE_DECIDES
    return found


def _gap(y, score, units):
    held, local = np.unique(units, return_inverse=True)
    sums = case_sums(np.column_stack([score - y, np.ones(len(y))]), local, len(held))
    found = ratio_by_case(*sums.T)
    return *open_limits(*found), open_p(*found)


def calibration_curve_table(run):
    """The smoothed calibration curve of each arm, to go with the bins of `glomfeat.results.reliability`.

    It is a logistic regression on a restricted cubic spline of the score's logit, with four knots at the 5th, 35th,
    65th and 95th percentile (Harrell 2015, section 2.4.6), or a line if scores have fewer values than knots. With more
    than two classes it is about the largest score, and how often that is right.

    Parameters
    ----------
    run : Run

    Returns
    -------
    pandas.DataFrame
        Columns `CURVE_COLUMNS`: `POINTS` scores from the first to the last percentile, and pointwise limits from
        leaving out each case, which are empty if one case holds all images of a kind. An arm without a curve has no
        row.
    """
    rows = []
    for arm, parts in parts_by_unit(run):
        found = [sureness(part.y, part.score)[:2] for part in parts]
        sure, true = (np.concatenate(column).astype(float) for column in zip(*found, strict=True))
        cases = np.concatenate([part.cases for part in parts])
        holders = own_cases("each", true, cases, cases.max() + 1)[1]
        rows += [(arm, *point, run.manifest.split) for point in _curve(sure, true, cases, holders)]
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def _curve(score, true, cases, holders):
    low, high = np.percentile(np.clip(score, EDGE, 1 - EDGE), [1, 99])
    if true.min() == true.max() or low == high:
        return
    # closest together at both ends, where the curve bends most
    x, grid = logits(score, EDGE), low + (high - low) * (1 - np.cos(np.linspace(0, np.pi, POINTS))) / 2
    knots = np.unique(np.percentile(x, KNOTS))
    X, of_grid = (spline(values, knots) for values in (x, logits(grid, EDGE)))
    beta = fit_logistic(X, true)
    if beta is None:
        return
    heights, left = of_grid @ beta, fit_without_cases(X, true, beta, cases, cases.max() + 1)[np.unique(cases)]
    for place, (height, without) in enumerate(zip(heights, of_grid @ left.T, strict=True)):
        yield grid[place], *expit([height, *open_limits(height, without, holders)])


def spline(x, knots):
    """The columns of a restricted cubic spline: cubic between knots, straight outside them (Stone & Koo 1985).

    Parameters
    ----------
    x : ndarray of float, shape (n,)
    knots : ndarray of float, shape (k,)
        Ascending; with fewer than three the spline is a line.

    Returns
    -------
    ndarray of float64, shape (n, k) or (n, 2)
        Ones, `x`, and a column for each knot but the last two.

    Examples
    --------
    >>> spline(np.array([0.0, 3.0, 4.0, 5.0]), np.array([0.0, 1.0, 2.0]))[:, 2].tolist()
    [0.0, 3.0, 4.5, 6.0]
    """
    columns = [np.ones_like(x), x]
    if len(knots) > 2:
        (before, last), scale = knots[-2:], (knots[-1] - knots[0]) ** 2
        for knot in knots[:-2]:
            bend = np.maximum(x - knot, 0) ** 3
            bend -= np.maximum(x - before, 0) ** 3 * (last - knot) / (last - before)
            columns.append((bend + np.maximum(x - last, 0) ** 3 * (before - knot) / (last - before)) / scale)
    return np.column_stack(columns)
