"""The curves behind the figures: ROC and precision-recall, with bands from a bootstrap over cases."""

from dataclasses import replace

import numpy as np

from glomfeat.core.seeds import seed_for
from glomfeat.metrics.resampling import case_weights, enough, tail_of
from glomfeat.metrics.scores import of_class
from glomfeat.results.parts import count_holders, regroup, tested_units, trial_parts

GRID = np.linspace(0, 1, 101)
REPLICATES = 400
HELD = 400_000  # numbers, replicates by images, that are held at once


def scored(run, arm, label=None):
    """The finished trials of an arm, one class against all others.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    arm : str
    label : int, optional
        The class; the positive one, which is the last, by default.

    Returns
    -------
    list of Part
        `y` says whether an image belongs to the class; `cases` are units, from `glomfeat.results.parts.tested_units`.
    """
    label = len(run.manifest.classes) - 1 if label is None else label
    mine = [trial for trial in run.trials if str(trial.arm) == arm]
    return [against_rest(part, label) for part in regroup(trial_parts(run, mine), tested_units(run))]


def against_rest(part, label):
    """A part in which `y` says whether an image belongs to a class, and `score` is that of the class."""
    return replace(part, y=part.y == label, score=of_class(part.score, label))


def _steps(part, weights):
    """Weight of positives and negatives at each distinct score or above: two arrays (replicates, scores)."""
    order = np.argsort(-part.score, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(part.score[order]) != 0, True])
    of_rows = weights[:, part.cases][:, order]
    ones = np.cumsum(of_rows * part.y[order], axis=1)[:, ends]
    return ones, np.cumsum(of_rows * ~part.y[order], axis=1)[:, ends]


def _mean_curve(parts, weights, curve):
    """A curve of each trial on `GRID`, averaged over the trials in which a replicate has both classes."""
    total, times = np.zeros((len(weights), len(GRID))), np.zeros((len(weights), 1))
    for part in parts:
        step = max(1, HELD // len(part.y))
        for start in range(0, len(weights), step):
            some = slice(start, start + step)
            ones, zeros = _steps(part, weights[some])
            both = np.flatnonzero((ones[:, -1] > 0) & (zeros[:, -1] > 0))
            total[start + both] += curve(ones[both], zeros[both])
            times[start + both] += 1
    with np.errstate(invalid="ignore"):
        return total / times


def _places(rows, values, side="left"):
    """`numpy.searchsorted` for the same values in each row."""
    found = [np.searchsorted(row, values, side=side) for row in rows]
    return np.reshape(found, (len(rows), len(values))).astype(np.intp)


def roc(parts, weights):
    """Mean ROC curve over trials at equal false-positive rates ("vertical averaging", Fawcett 2006).

    Scores of different folds come from different models, so the curves are averaged and not pooled; the area under the
    mean curve is the AUROC of the tables.

    Parameters
    ----------
    parts : list of Part
    weights : ndarray of float, shape (replicates, cases)

    Returns
    -------
    ndarray of float, shape (replicates, len(GRID))
        Sensitivity at each false-positive rate of `GRID`.

    Examples
    --------
    >>> from glomfeat.results.parts import Part
    >>> part = Part(0, np.array([False, True, True]), np.arange(3), np.array([0.2, 0.1, 0.9]), 0.5)
    >>> roc([part], np.ones((1, 3)))[0, [0, 50, 100]].tolist()
    [0.5, 0.5, 1.0]
    """

    def curve(ones, zeros):
        rate, height = (np.pad(sums / sums[:, -1:], ((0, 0), (1, 0))) for sums in (zeros, ones))
        # the top of a vertical step, and the straight line from there to the next point
        at = _places(rate, GRID, "right") - 1
        after = np.minimum(at + 1, rate.shape[1] - 1)
        (left, low), (right, high) = ([np.take_along_axis(of, k, axis=1) for of in (rate, height)] for k in (at, after))
        return low + (high - low) * (GRID - left) / np.where(right > left, right - left, 1)

    return _mean_curve(parts, weights, curve)


def precision_recall(parts, weights):
    """Mean precision over trials at equal recall: that of the highest threshold which reaches the recall.

    Parameters and returns are those of `roc`.
    """

    def curve(ones, zeros):
        precision, first = ones / np.maximum(ones + zeros, 1e-12), np.argmax(ones > 0, axis=1)
        at = np.maximum(_places(ones / ones[:, -1:], GRID - 1e-12), first[:, None])
        return np.take_along_axis(precision, at, axis=1)

    return _mean_curve(parts, weights, curve)


def with_band(run, parts, curve):
    """A mean curve with a 95 % band from percentiles of a bootstrap over cases, point by point.

    Unlike the areas in the tables, the height at one point is a quantile of scores and jumps, which a jackknife cannot
    handle (Efron 1982, section 3.4). Draws without both sides do not count. The fewer cases hold
    the rarer side, the farther out the percentiles are (`glomfeat.metrics.resampling.tail_of`).

    Parameters
    ----------
    run : glomfeat.results.run.Run
    parts : list of Part
    curve : callable
        `roc` or `precision_recall`.

    Returns
    -------
    mean, low, high : ndarray of float, shape (len(GRID),)
        There is no band, low and high are NaN, if fewer than half of the draws count, or if one case holds all images
        of a side.
    """
    drawn = case_weights(tested_units(run).max() + 1, REPLICATES, seed_for(run.seed, "bootstrap"))
    curves = curve(parts, np.vstack([np.ones(drawn.shape[1]), drawn]))
    counts, holders = np.isfinite(curves[1:]).all(axis=1), count_holders(parts, 2)
    if not enough(counts) or holders < 2:
        return curves[0], *np.full((2, len(GRID)), np.nan)
    tail = tail_of(holders)
    return curves[0], *np.quantile(curves[1:][counts], [tail, 1 - tail], axis=0)
